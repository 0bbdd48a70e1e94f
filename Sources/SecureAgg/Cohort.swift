import Foundation
import Sodium

/// The frozen set U1 in ascending order of roster numbers, with everything that follows from it: the
/// root over all announcements, the session and the graph. Server and clients compute the same value.
final class Cohort: Sendable {
    let members: [Announcement]
    let root: Digest
    let session: Digest
    let neighbours: Neighbours

    private init(members: [Announcement], leaves: [Digest], manifest: Digest, topology: Topology) {
        self.members = members
        root = MerkleTree(leaves: leaves).root
        session = Derivation.session(manifest: manifest, cohortRoot: root)
        neighbours = Neighbours(topology: topology, seed: root)
    }

    /// - Precondition: members are in strictly ascending order of id.
    convenience init(
        members: [Announcement], manifest: Digest, parameters: AggregationParameters
    ) throws(ParameterError) {
        self.init(
            members: members, leaves: members.enumerated().map { Self.leaf($0.offset, $0.element) },
            manifest: manifest, topology: try parameters.topology(cohortSize: members.count))
    }

    var count: Int { members.count }
    var threshold: Int { neighbours.topology.threshold }
    func id(_ member: Int) -> ClientID { members[member].id }
    func ids(_ members: some Sequence<Int>) -> [ClientID] { members.map { self.members[$0].id } }

    func index(of id: ClientID) -> Int? {
        var (low, high) = (0, members.count)
        while low < high {
            let middle = (low + high) / 2
            if members[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < members.count && members[low].id == id ? low : nil
    }

    /// LP(index) ‖ LP(announcement body) ‖ LP(signature).
    private static func leaf(_ index: Int, _ member: Announcement) -> Digest {
        MerkleTree.leaf(
            lengthPrefixed(ByteOrder.bytes(index)) + lengthPrefixed(member.body)
                + lengthPrefixed(member.signature))
    }

    /// The stage 1 message, the same bytes for everyone.
    func encoded() -> [UInt8] {
        var wire = Secagg_V1_Cohort()
        wire.entries = members.map { member in
            var entry = Secagg_V1_CohortEntry()
            entry.advertise = Data(member.body)
            entry.signature = Data(member.signature)
            return entry
        }
        return Message(.cohort, session: session, body: encodeWire(wire)).encoded()
    }

    /// A client's reading of the stage 1 message, with every check that does not need its own keys.
    convenience init(
        _ bytes: [UInt8], context: ClientContext
    ) throws(AggregationFault) {
        let parameters = context.parameters
        let message = try context.open(
            bytes, .cohort, session: nil, at: .shareKeys,
            limit: parameters.cohort.upperBound * Limits.cohortEntryBytes)
        let wire: Secagg_V1_Cohort
        do { wire = try decodeWire(message.body) } catch { throw error.fault(at: .shareKeys, scope: .round) }
        try self.init(
            wire, manifest: context.manifestDigest, parameters: parameters, roster: context.roster,
            threads: context.threads)
        guard message.session == session else { throw AggregationFault(.wrongSession, at: .shareKeys) }
    }

    /// Checks every entry: size bounds, identities, signatures, distinct numbers and keys.
    ///
    /// - Parameter threads: how many threads may check signatures; the first fault in order is reported
    ///   whatever their number.
    convenience init(
        _ wire: Secagg_V1_Cohort, manifest: Digest, parameters: AggregationParameters, roster: Roster?,
        threads: Int = 1
    ) throws(AggregationFault) {
        guard parameters.cohort.contains(wire.entries.count) else {
            throw AggregationFault(.cohortSize, at: .shareKeys, "\(wire.entries.count) clients")
        }
        var members: [Announcement] = []
        members.reserveCapacity(wire.entries.count)
        var leaves: [Digest] = []
        leaves.reserveCapacity(wire.entries.count)
        var keys = Set<SIMD4<UInt64>>(minimumCapacity: 3 * wire.entries.count)
        let read = parallelMap(
            beside: {
                Result { () throws(ParameterError) in try parameters.topology(cohortSize: wire.entries.count)
                }
            },
            wire.entries.count, threads: threads
        ) { Self.read(wire.entries[$0], at: $0, manifest: manifest, roster: roster) }
        for entry in read.elements {
            let (member, leaf): (Announcement, Digest)
            do { (member, leaf) = try entry.get() } catch {
                throw AggregationFault(
                    error.check, at: .shareKeys, culprits: error.culprit.map { [$0] } ?? [])
            }
            if let last = members.last, last.id >= member.id {
                throw AggregationFault(.duplicateIdentity, at: .shareKeys, culprits: [member.id])
            }
            for key in [member.identityKey.bytes, member.encryptionKey, member.maskKey]
            where !keys.insert(Self.words(of: key)).inserted {
                throw AggregationFault(.duplicateKey, at: .shareKeys, culprits: [member.id])
            }
            members.append(member)
            leaves.append(leaf)
        }
        do {
            self.init(members: members, leaves: leaves, manifest: manifest, topology: try read.side.get())
        } catch {
            throw AggregationFault(.parameters, at: .shareKeys, error.description)
        }
    }
}

extension Cohort {
    /// One entry, with its signature checked, which is nearly all of a client's work in stage 1, and as a leaf
    /// of the cohort's tree.
    private static func read(
        _ entry: Secagg_V1_CohortEntry, at index: Int, manifest: Digest, roster: Roster?
    ) -> Result<(Announcement, Digest), CheckFailure> {
        Result { () throws(CheckFailure) in
            let member = try Announcement(
                body: [UInt8](entry.advertise), signature: [UInt8](entry.signature), manifest: manifest,
                roster: roster)
            return (member, leaf(index, member))
        }
    }

    /// A 32-byte key as a set's element: a thousand of them are compared.
    private static func words(of key: [UInt8]) -> SIMD4<UInt64> {
        key.withUnsafeBytes { $0.loadUnaligned(as: SIMD4<UInt64>.self) }
    }
}

package func lengthPrefixed(_ bytes: [UInt8]) -> [UInt8] { ByteOrder.bytes(bytes.count) + bytes }
