import Foundation
import Sodium

// Stage 2. server → client: the live neighbours' boxes. client → server: the masked vector in chunks
// whose digests a signed header lists. Learned by the server: vectors that are uniform until a set of
// survivors is opened together.

/// The messages of one masked input: the header first, then every chunk. Keep the value until the
/// server has all of it; a retry sends the same bytes.
public struct MaskedUpload: Sendable {
    public let header: [UInt8]
    public let chunkCount: Int
    private let session: Digest
    private let packed: [[UInt8]]

    init(header: [UInt8], session: Digest, packed: [[UInt8]]) {
        self.header = header
        self.session = session
        self.packed = packed
        chunkCount = packed.count
    }

    /// The message of chunk `index`, made when it is asked for so that the vector exists once.
    public func chunk(_ index: Int) -> [UInt8] {
        var wire = Secagg_V1_MaskedChunk()
        wire.index = UInt32(index)
        wire.packed = Data(packed[index])
        return Message(.maskedChunk, session: session, body: encodeWire(wire)).encoded()
    }

    /// All messages in sending order.
    public var messages: some Sequence<[UInt8]> {
        [header].lazy + (0..<chunkCount).lazy.map { self.chunk($0) }
    }
}

// MARK: Client

/// The client after stage 2: its mask keys are gone; it holds its neighbours' shares.
struct MaskedClient: ~Copyable {
    let context: ClientContext
    let cohort: Cohort
    let ownIndex: Int
    /// Slots whose members are in U2 (the own slot included where it exists).
    let live: BitSet
    /// All shares of each live slot in slot order.
    let shares: SecretBytes
    let vectorRoot: Digest
}

struct MaskedStep: ~Copyable {
    let upload: MaskedUpload
    let next: MaskedClient
}

extension SharedClient {
    /// Opens the neighbours' shares, then masks `values` once.
    consuming func submit(
        _ bytes: [UInt8], values: [Int32]
    ) throws(AggregationFault) -> MaskedStep {
        guard values.count == context.parameters.vectorLength else {
            throw AggregationFault(
                .vectorLength, at: .submitMaskedInput, scope: .misuse,
                "\(values.count) values, announced \(context.parameters.vectorLength)")
        }
        let (live, shares) = try openDelivery(bytes)
        let terms = try maskTerms(live)
        let parameters = context.parameters
        let packed =
            parameters.modulusBits <= 16
            ? Self.mask(RingVector<UInt16>(values, bits: parameters.modulusBits), terms, context)
            : Self.mask(RingVector<UInt32>(values, bits: parameters.modulusBits), terms, context)
        let digests = packed.enumerated().map { index, bytes in
            VectorDigest.chunk(session: cohort.session, member: ownIndex, index: index, packed: bytes)
        }
        var wire = Secagg_V1_MaskedHeader()
        wire.chunkDigests = Data(digests.flatMap(\.bytes))
        let header = Message(
            .maskedHeader, session: cohort.session, body: encodeWire(wire), label: .masked,
            signer: context.identity.signingKey
        ).encoded()
        try context.record(header, at: .submitMaskedInput)
        let upload = MaskedUpload(header: header, session: cohort.session, packed: packed)
        return MaskedStep(
            upload: upload,
            next: MaskedClient(
                context: context, cohort: cohort, ownIndex: ownIndex, live: live, shares: shares,
                vectorRoot: VectorDigest.root(digests)))
    }

    private borrowing func openDelivery(
        _ bytes: [UInt8]
    ) throws(AggregationFault) -> (BitSet, SecretBytes) {
        let graph = cohort.neighbours
        let shareCount = context.parameters.sharesPerHolder
        let boxLength = SealedShare.length(shares: shareCount)
        let plaintextLength = SealedShare.plaintextLength(shares: shareCount)
        let message = try context.open(
            bytes, .delivery, session: cohort.session, at: .submitMaskedInput,
            limit: graph.holderCount * (boxLength + 1) + 64)
        let wire: Secagg_V1_ShareDelivery
        do { wire = try decodeWire(message.body) } catch {
            throw error.fault(at: .submitMaskedInput, scope: .round)
        }
        guard let live = BitSet(count: graph.holderCount, bytes: [UInt8](wire.live)) else {
            throw AggregationFault(.malformed, at: .submitMaskedInput)
        }
        let holders = graph.holders(of: ownIndex)
        let senders = live.members.filter { holders[$0] != ownIndex }
        guard wire.boxes.count == senders.count * boxLength else {
            throw AggregationFault(.shareCount, at: .submitMaskedInput)
        }
        guard !graph.includesSelf || live[ownIndex] else {
            throw AggregationFault(.malformed, at: .submitMaskedInput)
        }
        guard live.population >= cohort.threshold else {
            throw AggregationFault(
                .tooFewNeighbours, at: .submitMaskedInput,
                "\(live.population) live, threshold \(cohort.threshold)")
        }
        let opened = openBoxes([UInt8](wire.boxes), from: senders.map { ($0, holders[$0]) }, shareCount)
        if let refused = opened.firstIndex(where: { $0 == nil }) {
            throw AggregationFault(
                .shareRejected, at: .submitMaskedInput, culprits: [cohort.id(holders[senders[refused]])])
        }
        var next = opened.makeIterator()
        let shares = SecretBytes(count: live.population * plaintextLength) { output in
            for (position, slot) in live.members.enumerated() {
                let block = holders[slot] == ownIndex ? ownShares! : next.next()!!
                block.withUnsafeBytes {
                    (output.baseAddress! + position * plaintextLength)
                        .copyMemory(from: $0.baseAddress!, byteCount: plaintextLength)
                }
            }
        }
        return (live, shares)
    }

    /// The shares of each sender in order; nil where a box does not open.
    private borrowing func openBoxes(
        _ boxes: [UInt8], from senders: [(slot: Int, member: Int)], _ shareCount: Int
    ) -> [SecretBytes?] {
        let boxLength = SealedShare.length(shares: shareCount)
        let (keys, session, own) = (incomingKeys, cohort.session, ownIndex)
        return parallelMap(senders.count, threads: context.threads) { place in
            let key = keys.withShare(senders[place].slot) { SecretBytes(copying: $0) }
            return SealedShare.open(
                Array(boxes[place * boxLength..<(place + 1) * boxLength]), shares: shareCount, key: key,
                session: session, from: senders[place].member, to: own)
        }
    }

    /// The own mask and one mask per live neighbour: the larger index adds, the smaller subtracts.
    private borrowing func maskTerms(_ live: BitSet) throws(AggregationFault) -> [MaskTerm] {
        let holders = cohort.neighbours.holders(of: ownIndex)
        let peers = live.members.map { holders[$0] }.filter { $0 != ownIndex }
        let (cohort, own, secret, ownKey) = (cohort, ownIndex, maskSecret, maskKey)
        let keys = parallelMap(peers.count, threads: context.threads) { place in
            Derivation.pairMask(
                session: cohort.session, own: own, peer: peers[place], ownSecret: secret, ownKey: ownKey,
                peerKey: cohort.members[peers[place]].maskKey)
        }
        var terms = [
            MaskTerm(
                key: Derivation.selfMask(session: cohort.session, member: own, seed: selfMaskSeed),
                sign: .plus)
        ]
        for (peer, key) in zip(peers, keys) {
            guard let key else {
                throw AggregationFault(
                    .lowOrderKey, at: .submitMaskedInput, culprits: [cohort.id(peer)])
            }
            terms.append(MaskTerm(key: key, sign: peer < own ? .plus : .minus))
        }
        return terms
    }

    private static func mask<Lane: RingLane>(
        _ plain: consuming RingVector<Lane>, _ terms: [MaskTerm], _ context: ClientContext
    ) -> [[UInt8]] {
        // Masked in place: the plain integers are nowhere else than with the caller.
        var vector = plain
        MaskSum.add(terms, to: &vector, threads: context.threads)
        let parameters = context.parameters
        return (0..<parameters.chunkCount).map { vector.packed(parameters.chunk($0)) }
    }
}

// MARK: Server

/// One member's masked vector while its chunks arrive.
private struct PendingVector {
    var chunks: [[UInt8]?]
    var missing: Int
}

/// U3 as frozen at the end of stage 2, with the running sum of the masked vectors.
struct MaskedCohort {
    let shared: SharedCohort
    /// Bit per cohort index.
    let survivors: BitSet
    /// The header per survivor, indexed by cohort index; nil for the others.
    let headers: [VectorHeader?]
    let sum: MaskedSum

    var cohort: Cohort { shared.cohort }
}

/// The server in stage 2: adds each vector as soon as all of its chunks are there, and keeps none.
final class MaskedInputCollector {
    let context: ServerContext
    let shared: SharedCohort
    private var pending: [Int: PendingVector] = [:]
    private var headers: [VectorHeader?]
    private var isComplete: BitSet
    private let sum: MaskedSum

    init(context: ServerContext, shared: SharedCohort) {
        self.context = context
        self.shared = shared
        isComplete = BitSet(count: shared.cohort.count)
        headers = Array(repeating: nil, count: shared.cohort.count)
        sum = MaskedSum(parameters: context.parameters)
    }

    private var cohort: Cohort { shared.cohort }
    var awaited: [Int] { shared.members.filter { !isComplete[$0] } }

    func receive(_ message: Message, from member: Int) throws(AggregationFault) {
        let id = cohort.id(member)
        guard message.session == cohort.session else { throw fault(.wrongSession, id) }
        guard shared.dealt[member] != nil else { throw fault(.unknownPeer, id) }
        switch message.kind {
        case .maskedHeader: try receiveHeader(message, member, id)
        case .maskedChunk: try receiveChunk(message, member, id)
        default: throw fault(.unexpectedKind, id)
        }
    }

    private func fault(
        _ check: AggregationFault.Check, _ id: ClientID, _ detail: String = ""
    ) -> AggregationFault {
        AggregationFault(check, at: .submitMaskedInput, scope: .peer(id), culprits: [id], detail)
    }

    private func receiveHeader(
        _ message: Message, _ member: Int, _ id: ClientID
    ) throws(AggregationFault) {
        guard
            message.isSigned(by: cohort.members[member].identityKey, label: .masked, scope: cohort.session)
        else { throw fault(.badSignature, id) }
        if let earlier = headers[member] {
            guard earlier.body == message.body else { throw fault(.conflictingRepeat, id) }
            return
        }
        let chunkCount = context.parameters.chunkCount
        guard
            let header = VectorHeader(
                body: message.body, signature: message.signature, chunkCount: chunkCount)
        else { throw fault(.vectorLength, id, "not \(chunkCount) chunk digests") }
        headers[member] = header
        pending[member] = PendingVector(
            chunks: Array(repeating: nil, count: chunkCount), missing: chunkCount)
    }

    private func receiveChunk(
        _ message: Message, _ member: Int, _ id: ClientID
    ) throws(AggregationFault) {
        let wire: Secagg_V1_MaskedChunk
        do { wire = try decodeWire(message.body) } catch {
            throw error.fault(at: .submitMaskedInput, scope: .peer(id))
        }
        let index = Int(wire.index)
        guard index < context.parameters.chunkCount else { throw fault(.vectorLength, id) }
        let range = context.parameters.chunk(index)
        guard wire.packed.count == context.parameters.packedBytes(range.count) else {
            throw fault(.vectorLength, id, "chunk \(index) has \(wire.packed.count) bytes")
        }
        guard let header = headers[member] else {
            // Chunks follow the header that vouches for them.
            throw fault(.vectorDigest, id, "no header yet")
        }
        let packed = [UInt8](wire.packed)
        guard
            VectorDigest.chunk(
                session: cohort.session, member: member, index: index, packed: packed)
                == header.chunkDigests[index]
        else { throw fault(.vectorDigest, id, "chunk \(index)") }
        // A repeat of bytes that are already counted.
        guard !isComplete[member], pending[member]!.chunks[index] == nil else { return }
        pending[member]!.chunks[index] = packed
        pending[member]!.missing -= 1
        if pending[member]!.missing == 0 {
            let vector = pending.removeValue(forKey: member)!
            for (index, chunk) in vector.chunks.enumerated() {
                sum.add(packed: chunk!, to: context.parameters.chunk(index))
            }
            isComplete[member] = true
        }
    }

    /// Freezes U3. Incomplete vectors were never added and are forgotten.
    func close() throws(AggregationFault) -> MaskedCohort {
        pending.removeAll()
        let survivors = isComplete.members
        let floor = max(context.parameters.minSurvivors, cohort.threshold)
        guard survivors.count >= floor else {
            throw AggregationFault(
                .belowSurvivorFloor, at: .submitMaskedInput,
                "\(survivors.count) of \(cohort.count) clients sent their vector, at least \(floor)")
        }
        let set = isComplete
        try shared.requireHolders(at: .submitMaskedInput) { set[$0] }
        return MaskedCohort(
            shared: shared, survivors: set,
            headers: headers.indices.map { set[$0] ? headers[$0] : nil }, sum: sum)
    }
}

extension SharedCohort {
    /// After delivery every member of U2 entered its neighbours' masks, so each one's secrets, whether
    /// it is live or not, must stay recoverable: t of its holders have to be left.
    func requireHolders(
        at stage: Stage, _ isLeft: (Int) -> Bool
    ) throws(AggregationFault) {
        let lost = members.filter { member in
            cohort.neighbours.holders(of: member).count { isLeft($0) } < cohort.threshold
        }
        guard lost.isEmpty else {
            throw AggregationFault(
                .unrecoverable, at: stage,
                "\(lost.count) clients have fewer than \(cohort.threshold) share holders left")
        }
    }
}
