import Foundation
import Sodium

/// A transcript whose every signature, root, seed and set was checked; with the masked vectors it
/// recomputes any chunk of the sum.
///
/// Needs no cooperation of the server: the reader brings the server's public key and the roster.
public struct VerifiedTranscript: Sendable {
    public let parameters: AggregationParameters
    public let topology: Topology
    public let session: Digest
    /// TH("log", bytes), which the signed result names.
    public let root: Digest
    public let cohort: [ClientID]
    public let survivors: [ClientID]
    public let resultDigest: Digest
    /// The roster that the manifest names; nil for a semi-honest round.
    public let rosterDigest: Digest?
    /// The noise that is to be taken out of the sum, each seed checked against its owner's commitment.
    public let revealedNoise: [RevealedNoise]

    private let server: VerifyingKey
    private let bitmap: BitSet
    private let survivorIndices: [Int]
    private let headers: [VectorHeader]
    private let terms: [MaskTerm]

    public var chunkCount: Int { parameters.chunkCount }

    /// - Parameter roster: the roster that the round's manifest names; nil for a semi-honest round without.
    /// - Throws: the first failed check; nothing of the transcript can then be relied on.
    public init(
        _ bytes: [UInt8], server: VerifyingKey, roster: Roster?
    ) throws(AggregationFault) {
        let wire: Secagg_V1_Transcript
        do { wire = try decodeWire(bytes) } catch { throw error.fault(at: .unmask, scope: .round) }
        let manifestBody = [UInt8](wire.manifest)
        guard
            server.accepts(
                signature: [UInt8](wire.manifestSignature),
                over: signedDigest(.manifest, scope: RoundManifest.signatureScope, body: manifestBody))
        else { throw AggregationFault(.badSignature, at: .advertiseKeys) }
        let manifest = try RoundManifest(body: manifestBody)
        guard manifest.rosterDigest == roster?.digest else {
            throw AggregationFault(.rosterMismatch, at: .advertiseKeys)
        }
        let cohort = try Cohort(
            wire.cohort, manifest: RoundManifest.digest(ofBody: manifestBody),
            parameters: manifest.parameters, roster: roster)
        let commitments = try Self.commitments(wire, cohort)
        let (statement, headers) = try Self.survivors(wire, cohort, manifest.parameters, commitments)
        guard let resultDigest = Digest(bytes: wire.resultDigest) else {
            throw AggregationFault(.malformed, at: .unmask)
        }
        parameters = manifest.parameters
        topology = cohort.neighbours.topology
        session = cohort.session
        root = Labels.transcript.hash([bytes])
        rosterDigest = manifest.rosterDigest
        self.server = server
        self.cohort = cohort.members.map(\.id)
        bitmap = statement.bitmap
        survivorIndices = statement.bitmap.members
        survivors = cohort.ids(survivorIndices)
        self.headers = headers
        self.resultDigest = resultDigest
        let seeds = try Self.seeds([UInt8](wire.seeds), cohort, commitments, statement.bitmap)
        terms = try Unmasking.terms(cohort: cohort, survivors: statement.bitmap, seeds: seeds, threads: 1)
        revealedNoise = try Self.noise(
            [UInt8](wire.noiseSeeds), cohort, commitments, statement.bitmap, manifest.parameters)
    }

    /// Whether `elements` are the sum that the transcript stands for, by its digest.
    public func covers(elements: [UInt32]) -> Bool {
        AggregateSum.digest(session: session, bitmap: bitmap, elements: elements) == resultDigest
    }

    /// Checks the result as the server sent it to every survivor: it names exactly these bytes, these
    /// survivors and this sum, so a server cannot publish one transcript and announce another.
    ///
    /// - Throws: the failed check.
    public func check(result message: [UInt8]) throws(AggregationFault) {
        let read: Message
        do { read = try Message(decoding: message, limit: BitSet.byteCount(cohort.count) + 1024) } catch {
            throw error.fault(at: .unmask, scope: .round)
        }
        guard read.kind == .result else { throw AggregationFault(.unexpectedKind, at: .unmask) }
        guard read.session == session else { throw AggregationFault(.wrongSession, at: .unmask) }
        guard read.isSigned(by: server, label: .result, scope: session) else {
            throw AggregationFault(.badSignature, at: .unmask, "the signed result")
        }
        let wire: Secagg_V1_RoundResult
        do { wire = try decodeWire(read.body) } catch { throw error.fault(at: .unmask, scope: .round) }
        guard [UInt8](wire.bitmap) == bitmap.bytes, [UInt8](wire.resultDigest) == resultDigest.bytes else {
            throw AggregationFault(.resultMismatch, at: .unmask)
        }
        guard [UInt8](wire.transcriptRoot) == root.bytes else {
            throw AggregationFault(
                .transcriptMismatch, at: .unmask, "its bytes are not those whose root the server signed")
        }
    }

    /// Bytes of one survivor's packed vector, all chunks one after the other.
    public var packedVectorBytes: Int {
        (0..<chunkCount).reduce(0) { $0 + packedBytes(ofChunk: $1) }
    }

    /// Bytes of one survivor's packed chunk; it begins after those of the chunks before it.
    public func packedBytes(ofChunk index: Int) -> Int {
        parameters.packedBytes(parameters.chunk(index).count)
    }

    /// Recomputes one chunk of the sum from the survivors' packed chunks, each checked against the
    /// digest that its sender signed.
    ///
    /// - Parameters:
    ///   - threads: how many threads mask expansion may use; the result does not depend on it.
    ///   - packed: the packed coordinates of this chunk as the client sent them
    ///     (`MaskedChunk.packed`).
    public func recompute(
        chunk index: Int, threads: Int = 1, packed: (ClientID) throws -> [UInt8]
    ) throws -> [UInt32] {
        precondition((0..<chunkCount).contains(index))
        let range = parameters.chunk(index)
        let sum = MaskedSum(length: range.count, bits: parameters.modulusBits)
        for (place, member) in survivorIndices.enumerated() {
            let id = cohort[member]
            let bytes = try packed(id)
            let digest = VectorDigest.chunk(
                session: session, member: member, index: index, packed: bytes)
            guard bytes.count == parameters.packedBytes(range.count),
                digest == headers[place].chunkDigests[index]
            else {
                throw AggregationFault(
                    .vectorDigest, at: .submitMaskedInput, culprits: [id], "chunk \(index)")
            }
            sum.add(packed: bytes, to: 0..<range.count)
        }
        sum.add(terms, startingAt: range.lowerBound, threads: max(1, threads))
        return sum.elements
    }

    /// The coordinates that chunk `index` covers.
    public func coordinates(ofChunk index: Int) -> Range<Int> { parameters.chunk(index) }

    /// What a member committed to in stage 1.
    private struct Commitments {
        let selfMask: Digest
        let noise: [Digest]
    }

    /// U2 with the signed commitments to seeds, indexed by cohort index.
    private static func commitments(
        _ wire: Secagg_V1_Transcript, _ cohort: Cohort
    ) throws(AggregationFault) -> [Commitments?] {
        var commitments = [Commitments?](repeating: nil, count: cohort.count)
        var last = -1
        for member in wire.shared {
            let index = Int(member.index)
            guard index > last, index < cohort.count else {
                throw AggregationFault(.malformed, at: .shareKeys)
            }
            last = index
            let body = [UInt8](member.share)
            guard
                cohort.members[index].identityKey.accepts(
                    signature: [UInt8](member.signature),
                    over: signedDigest(.share, scope: cohort.session, body: body))
            else {
                throw AggregationFault(.badSignature, at: .shareKeys, culprits: [cohort.id(index)])
            }
            guard let share = try? decodeWire(body) as Secagg_V1_ShareKeys,
                let selfMask = Digest(bytes: share.selfMaskCommitment),
                let noise = Digest.list(
                    share.noiseCommitments, count: share.noiseCommitments.count / Digest.length)
            else { throw AggregationFault(.malformed, at: .shareKeys, culprits: [cohort.id(index)]) }
            commitments[index] = Commitments(selfMask: selfMask, noise: noise)
        }
        return commitments
    }

    /// The signed survivor set, with every survivor's signed vector header under its root.
    private static func survivors(
        _ wire: Secagg_V1_Transcript, _ cohort: Cohort, _ parameters: AggregationParameters,
        _ commitments: [Commitments?]
    ) throws(AggregationFault) -> (SurvivorStatement, [VectorHeader]) {
        let stage = Stage.confirmSurvivors
        guard
            let statement = SurvivorStatement(
                body: [UInt8](wire.survivors), cohortSize: cohort.count)
        else { throw AggregationFault(.malformed, at: stage) }
        let members = statement.bitmap.members
        guard members.count >= max(parameters.minSurvivors, cohort.threshold) else {
            throw AggregationFault(.belowSurvivorFloor, at: stage, "\(members.count) survivors")
        }
        guard members.allSatisfy({ commitments[$0] != nil }), wire.vectors.count == members.count else {
            throw AggregationFault(.transcriptMismatch, at: stage)
        }
        guard DropPattern.isPlausible(survivors: statement.bitmap, neighbours: cohort.neighbours) else {
            throw AggregationFault(.dropPattern, at: stage)
        }
        var signers: Set<UInt32> = []
        for entry in wire.signatures {
            let index = Int(entry.index)
            guard index < cohort.count, statement.bitmap[index], signers.insert(entry.index).inserted,
                statement.isSigned(
                    [UInt8](entry.signature), by: cohort.members[index].identityKey,
                    session: cohort.session)
            else { throw AggregationFault(.badSignature, at: stage) }
        }
        guard signers.count >= cohort.threshold else {
            throw AggregationFault(.tooFewSignatures, at: stage, "\(signers.count) signatures")
        }
        var headers: [VectorHeader] = []
        for (member, vector) in zip(members, wire.vectors) {
            let body = [UInt8](vector.header)
            let signature = [UInt8](vector.signature)
            guard
                cohort.members[member].identityKey.accepts(
                    signature: signature,
                    over: signedDigest(.masked, scope: cohort.session, body: body)),
                let header = VectorHeader(
                    body: body, signature: signature, chunkCount: parameters.chunkCount)
            else {
                throw AggregationFault(
                    .badSignature, at: .submitMaskedInput, culprits: [cohort.id(member)])
            }
            headers.append(header)
        }
        let tree = MerkleTree(
            zip(members, headers).map { VectorDigest.survivorLeaf(member: $0, root: $1.root) })
        guard tree.root == statement.vectorsRoot else {
            throw AggregationFault(.transcriptMismatch, at: stage)
        }
        return (statement, headers)
    }

    /// One seed per member of U2, each matching what its owner announced.
    private static func seeds(
        _ bytes: [UInt8], _ cohort: Cohort, _ commitments: [Commitments?], _ survivors: BitSet
    ) throws(AggregationFault) -> [RevealedSeed] {
        let members = commitments.indices.filter { commitments[$0] != nil }
        guard bytes.count == members.count * Shamir.secretLength else {
            throw AggregationFault(.malformed, at: .unmask)
        }
        var seeds: [RevealedSeed] = []
        for (place, member) in members.enumerated() {
            let start = place * Shamir.secretLength
            let seed = SecretBytes(copying: bytes[start..<start + Shamir.secretLength])
            let revealed = RevealedSeed(member: member, survived: survivors[member], seed: seed)
            guard
                Unmasking.isAnnounced(
                    revealed, cohort: cohort, commitment: commitments[member]!.selfMask)
            else {
                throw AggregationFault(
                    .transcriptMismatch, at: .unmask, culprits: [cohort.id(member)])
            }
            seeds.append(revealed)
        }
        return seeds
    }
}

extension VerifiedTranscript {
    /// The survivors' noise seeds of exactly the levels that their number opens.
    private static func noise(
        _ bytes: [UInt8], _ cohort: Cohort, _ commitments: [Commitments?], _ survivors: BitSet,
        _ parameters: AggregationParameters
    ) throws(AggregationFault) -> [RevealedNoise] {
        let levels = Array(parameters.openedNoiseLevels(survivors: survivors.population) ?? 1...1)
        let count = parameters.openedNoiseLevels(survivors: survivors.population)?.count ?? 0
        guard bytes.count == survivors.population * count * Shamir.secretLength else {
            throw AggregationFault(.malformed, at: .unmask)
        }
        var revealed: [RevealedNoise] = []
        for member in survivors.members {
            for level in levels.prefix(count) {
                let start = revealed.count * Shamir.secretLength
                let seed = SecretBytes(copying: bytes[start..<start + Shamir.secretLength])
                let known = commitments[member]!.noise
                guard known.count >= level,
                    Derivation.noiseCommitment(
                        session: cohort.session, member: member, level: level, seed: seed)
                        == known[level - 1]
                else {
                    throw AggregationFault(
                        .transcriptMismatch, at: .unmask, culprits: [cohort.id(member)])
                }
                revealed.append(RevealedNoise(client: cohort.id(member), level: level, seed: seed))
            }
        }
        return revealed
    }
}

/// Reading one chunk of a masked vector from the message that carried it, for whoever keeps them.
public enum MaskedChunk {
    /// The chunk's index and packed coordinates; nil when the bytes are not a chunk message.
    public static func packed(in message: [UInt8]) -> (index: Int, packed: [UInt8])? {
        guard let message = try? Message(decoding: message, limit: message.count),
            message.kind == .maskedChunk,
            let wire = try? decodeWire(message.body) as Secagg_V1_MaskedChunk
        else { return nil }
        return (Int(wire.index), [UInt8](wire.packed))
    }
}
