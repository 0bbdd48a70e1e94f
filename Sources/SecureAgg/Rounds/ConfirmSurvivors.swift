import Foundation
import Sodium

// Stage 3. server → client: the survivor bitmap and a root over all masked vectors. client → server:
// a signature over exactly these bytes. Learned by all: who survived. A client signs one set per
// session, so two different sets cannot both collect t signatures.

/// U3 as everyone signs it: who survived and what they sent.
struct SurvivorStatement: Hashable, Sendable {
    let bitmap: BitSet
    let vectorsRoot: Digest
    /// The bytes that were sent and are signed.
    let body: [UInt8]

    init(bitmap: BitSet, vectorsRoot: Digest) {
        self.bitmap = bitmap
        self.vectorsRoot = vectorsRoot
        var wire = Secagg_V1_Survivors()
        wire.bitmap = Data(bitmap.bytes)
        wire.vectorsRoot = Data(vectorsRoot.bytes)
        body = encodeWire(wire)
    }

    init?(body: [UInt8], cohortSize: Int) {
        guard let wire = try? decodeWire(body) as Secagg_V1_Survivors,
            let bitmap = BitSet(count: cohortSize, bytes: [UInt8](wire.bitmap)),
            let vectorsRoot = Digest(bytes: wire.vectorsRoot)
        else { return nil }
        self.bitmap = bitmap
        self.vectorsRoot = vectorsRoot
        self.body = body
    }

    func signature(by key: SigningKey, session: Digest) -> [UInt8] {
        key.sign(signedDigest(.survivors, scope: session, body: body))
    }

    func isSigned(_ signature: [UInt8], by key: VerifyingKey, session: Digest) -> Bool {
        key.accepts(
            signature: signature, over: signedDigest(.survivors, scope: session, body: body))
    }
}

// MARK: Client

/// The client after stage 3: bound to one survivor set.
struct ConfirmedClient: ~Copyable {
    let context: ClientContext
    let cohort: Cohort
    let ownIndex: Int
    let live: BitSet
    let shares: SecretBytes
    let statement: SurvivorStatement
}

extension MaskedClient {
    /// Checks the survivor list and signs it.
    consuming func confirm(
        _ bytes: [UInt8]
    ) throws(AggregationFault) -> ClientStep<ConfirmedClient> {
        let statement = try openSurvivors(bytes)
        try check(statement.bitmap)
        let message = Message(
            .confirm, session: cohort.session, body: [],
            signature: statement.signature(
                by: context.identity.signingKey, session: cohort.session)
        ).encoded()
        try context.record(message, at: .confirmSurvivors)
        return ClientStep(
            message: message,
            next: ConfirmedClient(
                context: context, cohort: cohort, ownIndex: ownIndex, live: live, shares: shares,
                statement: statement))
    }

    private borrowing func openSurvivors(
        _ bytes: [UInt8]
    ) throws(AggregationFault) -> SurvivorStatement {
        let message = try context.open(
            bytes, .survivors, session: cohort.session, at: .confirmSurvivors,
            limit: BitSet.byteCount(cohort.count) + 64 * Digest.length)
        let wire: Secagg_V1_SurvivorSet
        do { wire = try decodeWire(message.body) } catch {
            throw error.fault(at: .confirmSurvivors, scope: .round)
        }
        guard
            let statement = SurvivorStatement(
                body: [UInt8](wire.survivors), cohortSize: cohort.count),
            wire.path.count % Digest.length == 0
        else { throw AggregationFault(.malformed, at: .confirmSurvivors) }
        let pathBytes = [UInt8](wire.path)
        let path = stride(from: 0, to: pathBytes.count, by: Digest.length).map {
            Digest(bytes: pathBytes[$0..<$0 + Digest.length])!
        }
        let place = statement.bitmap.members.firstIndex(of: ownIndex)
        guard let place,
            MerkleTree.verify(
                VectorDigest.survivorLeaf(member: ownIndex, root: vectorRoot), index: place,
                count: statement.bitmap.population, path: path, root: statement.vectorsRoot)
        else { throw AggregationFault(.ownVectorMissing, at: .confirmSurvivors) }
        return statement
    }

    /// The survivor floor, agreement with stage 2, and the pattern of dropouts.
    private borrowing func check(_ survivors: BitSet) throws(AggregationFault) {
        let floor = max(context.parameters.minSurvivors, cohort.threshold)
        guard survivors.population >= floor else {
            throw AggregationFault(
                .belowSurvivorFloor, at: .confirmSurvivors,
                "\(survivors.population) survivors, at least \(floor)")
        }
        let holders = cohort.neighbours.holders(of: ownIndex)
        for slot in holders.indices where survivors[holders[slot]] && !live[slot] {
            throw AggregationFault(
                .inconsistentNeighbour, at: .confirmSurvivors, culprits: [cohort.id(holders[slot])])
        }
        guard holders.count(where: { survivors[$0] }) >= cohort.threshold else {
            throw AggregationFault(
                .tooFewNeighbours, at: .confirmSurvivors, "threshold \(cohort.threshold)")
        }
        guard DropPattern.isPlausible(survivors: survivors, neighbours: cohort.neighbours) else {
            throw AggregationFault(.dropPattern, at: .confirmSurvivors)
        }
    }
}

// MARK: Server

/// U4 as frozen at the end of stage 3: who signed the survivor list.
struct ConfirmedCohort {
    let masked: MaskedCohort
    let statement: SurvivorStatement
    /// Indexed by cohort index; nil for those who did not sign.
    let signatures: [[UInt8]?]

    var cohort: Cohort { masked.cohort }
    var signers: [Int] { signatures.indices.filter { signatures[$0] != nil } }

    /// The stage 4 message for `member`: exactly as many neighbours' signatures as it needs.
    func evidence(for member: Int) -> [UInt8] {
        let graph = cohort.neighbours
        let holders = graph.holders(of: member)
        // On the complete graph the member's own signature counts and need not travel.
        let needed = cohort.threshold - (graph.includesSelf ? 1 : 0)
        var signers = BitSet(count: holders.count)
        var joined: [UInt8] = []
        for (slot, holder) in holders.enumerated() where holder != member {
            guard signers.population < needed else { break }
            guard let signature = signatures[holder] else { continue }
            signers[slot] = true
            joined += signature
        }
        var wire = Secagg_V1_SurvivorSignatures()
        wire.signers = Data(signers.bytes)
        wire.signatures = Data(joined)
        return Message(.signatures, session: cohort.session, body: encodeWire(wire)).encoded()
    }
}

/// The server in stage 3: collects signatures over the frozen survivor set.
final class ConfirmCollector {
    let context: ServerContext
    let masked: MaskedCohort
    let statement: SurvivorStatement
    private let tree: MerkleTree
    private var signatures: [[UInt8]?]

    init(context: ServerContext, masked: MaskedCohort) {
        self.context = context
        self.masked = masked
        signatures = Array(repeating: nil, count: masked.cohort.count)
        tree = MerkleTree(
            masked.survivors.members.map {
                VectorDigest.survivorLeaf(
                    member: $0, root: masked.headers[$0]!.root)
            })
        statement = SurvivorStatement(bitmap: masked.survivors, vectorsRoot: tree.root)
    }

    private var cohort: Cohort { masked.cohort }
    var awaited: [Int] { masked.survivors.members.filter { signatures[$0] == nil } }

    /// The stage 3 message for each survivor: the common statement and the receiver's own path.
    func messages() -> [(member: Int, bytes: [UInt8])] {
        masked.survivors.members.enumerated().map { place, member in
            var wire = Secagg_V1_SurvivorSet()
            wire.survivors = Data(statement.body)
            wire.path = Data(tree.path(to: place).flatMap(\.bytes))
            return (
                member,
                Message(.survivors, session: cohort.session, body: encodeWire(wire)).encoded()
            )
        }
    }

    func receive(_ message: Message, from member: Int) throws(AggregationFault) {
        let id = cohort.id(member)
        func fault(_ check: AggregationFault.Check) -> AggregationFault {
            AggregationFault(check, at: .confirmSurvivors, scope: .peer(id), culprits: [id])
        }
        guard message.session == cohort.session else { throw fault(.wrongSession) }
        // Whoever is still sending its vector is too late: the set is frozen.
        guard message.kind == .confirm else {
            throw fault(
                message.kind == .maskedHeader || message.kind == .maskedChunk ? .wrongStage : .unexpectedKind)
        }
        guard masked.survivors[member] else { throw fault(.unknownPeer) }
        guard message.body.isEmpty else { throw fault(.malformed) }
        guard
            statement.isSigned(
                message.signature, by: cohort.members[member].identityKey, session: cohort.session)
        else { throw fault(.badSignature) }
        signatures[member] = message.signature
    }

    /// Freezes U4.
    func close() throws(AggregationFault) -> ConfirmedCohort {
        let count = signatures.count { $0 != nil }
        guard count >= cohort.threshold else {
            throw AggregationFault(
                .tooFewSignatures, at: .confirmSurvivors,
                "\(count) signed, threshold \(cohort.threshold)")
        }
        let signed = signatures
        try masked.shared.requireHolders(at: .confirmSurvivors) { signed[$0] != nil }
        return ConfirmedCohort(masked: masked, statement: statement, signatures: signatures)
    }
}
