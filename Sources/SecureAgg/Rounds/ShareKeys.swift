import Foundation
import Sodium

// Stage 1. server → client: the cohort. client → server: for each neighbour one sealed box with a share of
// the self-mask seed, of the mask-key seed and of each noise seed, and commitments to all but the second.
// Learned by the server: nothing but who answered.

// MARK: Client

/// The client after stage 1: its secrets are shared out, and it waits for its neighbours' boxes.
struct SharedClient: ~Copyable {
    let context: ClientContext
    let cohort: Cohort
    let ownIndex: Int
    let maskSecret: SecretBytes
    let maskKey: [UInt8]
    let selfMaskSeed: SecretBytes
    /// On the complete graph the client is its own holder; this is what it keeps, else nil.
    let ownShares: SecretBytes?
    /// Keys that open the neighbours' boxes, 32 bytes per slot.
    let incomingKeys: SecretBytes
}

extension AdvertisedClient {
    /// Checks the cohort and shares both seeds among the neighbours.
    consuming func shareKeys(
        _ bytes: [UInt8], random: inout some RandomSource
    ) throws(AggregationFault) -> ClientStep<SharedClient> {
        let cohort: Cohort
        if let cache = context.cohortCache {
            cohort = try cache.cohort(bytes, context: context)
        } else {
            cohort = try Cohort(bytes, context: context)
        }
        guard let ownIndex = cohort.index(of: context.identity.id),
            cohort.members[ownIndex].body == announcement
        else { throw AggregationFault(.ownEntryMissing, at: .shareKeys) }
        let selfMaskSeed = SecretBytes(random: Shamir.secretLength, from: &random)
        let graph = cohort.neighbours
        // Self-mask seed, mask-key seed, then the noise levels: the order in every box.
        var dealt = [SecretBytes]()
        for secret in [selfMaskSeed, maskSeed] + noiseSeeds {
            dealt.append(
                Shamir.share(
                    secret, threshold: cohort.threshold, holders: graph.holderCount, random: &random))
        }

        let edges = try sealEdges(dealt, cohort: cohort, from: ownIndex, random: &random)
        let boxes = edges.flatMap(\.box)
        let ownShares = graph.includesSelf ? SecretBytes(joiningSlot: ownIndex, of: dealt) : nil
        let incomingKeys = SecretBytes(count: graph.holderCount * SealedBox.keyLength) { output in
            for edge in edges {
                edge.incomingKey.withUnsafeBytes {
                    (output.baseAddress! + edge.slot * SealedBox.keyLength)
                        .copyMemory(from: $0.baseAddress!, byteCount: SealedBox.keyLength)
                }
            }
        }
        var wire = Secagg_V1_ShareKeys()
        wire.selfMaskCommitment = Data(
            Derivation.selfMaskCommitment(
                session: cohort.session, member: ownIndex, seed: selfMaskSeed
            ).bytes)
        wire.boxesDigest = Data(Digest.of(boxes).bytes)
        for (index, seed) in noiseSeeds.enumerated() {
            wire.noiseCommitments +=
                Derivation.noiseCommitment(
                    session: cohort.session, member: ownIndex, level: index + 1, seed: seed
                ).bytes
        }
        var envelope = Message(
            .share, session: cohort.session, body: encodeWire(wire), label: .share,
            signer: context.identity.signingKey)
        envelope.attachment = boxes
        let message = envelope.encoded()
        try context.record(message, at: .shareKeys)
        return ClientStep(
            message: message,
            next: SharedClient(
                context: context, cohort: cohort, ownIndex: ownIndex, maskSecret: maskSecret,
                maskKey: maskKey, selfMaskSeed: selfMaskSeed, ownShares: ownShares,
                incomingKeys: incomingKeys))
    }

    /// One box for each holder but the client itself, in slot order.
    private borrowing func sealEdges(
        _ dealt: [SecretBytes], cohort: Cohort, from own: Int, random: inout some RandomSource
    ) throws(AggregationFault) -> [SealedEdge] {
        let holders = cohort.neighbours.holders(of: own)
        let slots = holders.indices.filter { holders[$0] != own }
        let nonces = slots.map { _ in random.bytes(SealedBox.nonceLength) }
        let (secret, key) = (encryptionSecret, encryptionKey)
        let edges = parallelMap(slots.count, threads: context.threads) { place in
            SealedEdge(
                dealt, cohort: cohort, from: own, to: holders[slots[place]], slot: slots[place],
                secret: secret, key: key, nonce: nonces[place])
        }
        if let refused = edges.firstIndex(where: { $0 == nil }) {
            throw AggregationFault(
                .lowOrderKey, at: .shareKeys, culprits: [cohort.id(holders[slots[refused]])])
        }
        return edges.compactMap(\.self)
    }
}

/// One edge as its dealer leaves it: the box for the holder, and the key that opens the holder's own.
private struct SealedEdge: Sendable {
    let slot: Int
    let box: [UInt8]
    let incomingKey: SecretBytes

    /// Nil when the holder's key has low order.
    ///
    /// - Parameters:
    ///   - dealt: a block of shares for each secret, one share per slot.
    ///   - secret: the dealer's X25519 secret, `key` its public half.
    init?(
        _ dealt: [SecretBytes], cohort: Cohort, from own: Int, to holder: Int, slot: Int,
        secret: SecretBytes, key: [UInt8], nonce: [UInt8]
    ) {
        let peerKey = cohort.members[holder].encryptionKey
        guard let agreed = KeyAgreement.sharedSecret(secretKey: secret, peerPublicKey: peerKey) else {
            return nil
        }
        let outgoing = Derivation.channel(
            session: cohort.session, from: own, to: holder, agreed: agreed, fromKey: key, toKey: peerKey)
        self.slot = slot
        box = SealedShare.seal(
            SecretBytes(joiningSlot: slot, of: dealt), key: outgoing, session: cohort.session, from: own,
            to: holder, nonce: nonce)
        incomingKey = Derivation.channel(
            session: cohort.session, from: holder, to: own, agreed: agreed, fromKey: peerKey, toKey: key)
    }
}

extension SecretBytes {
    /// Lends the 32-byte share (or key) in `slot` of a block of them.
    func withShare<Result>(_ slot: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytes { bytes in
            let start = slot * Shamir.shareLength
            return body(UnsafeRawBufferPointer(rebasing: bytes[start..<start + Shamir.shareLength]))
        }
    }

    /// The 32-byte shares in `slot` of several blocks of them, one after another.
    convenience init(joiningSlot slot: Int, of blocks: [SecretBytes]) {
        self.init(count: blocks.count * Shamir.shareLength) { output in
            for (index, block) in blocks.enumerated() {
                block.withShare(slot) {
                    (output.baseAddress! + index * Shamir.shareLength)
                        .copyMemory(from: $0.baseAddress!, byteCount: Shamir.shareLength)
                }
            }
        }
    }
}

// MARK: Server

/// One member's stage 1 message as the server keeps it.
struct DealtShares: Sendable {
    let selfMaskCommitment: Digest
    /// To the noise seeds of levels 1 … L.
    let noiseCommitments: [Digest]
    /// Boxes for the dealer's holders but itself, in slot order, concatenated.
    let boxes: [UInt8]
    /// As sent: the transcript carries these bytes on.
    let body: [UInt8]
    let signature: [UInt8]
}

/// U2 as frozen at the end of stage 1: whose boxes are delivered.
struct SharedCohort: Sendable {
    let cohort: Cohort
    /// Indexed by cohort index; nil for members outside U2.
    let dealt: [DealtShares?]

    /// The length of one sealed box.
    let boxLength: Int

    var members: [Int] { dealt.indices.filter { dealt[$0] != nil } }

    /// The box that `dealer` sealed for `holder`.
    func box(from dealer: Int, to holder: Int) -> ArraySlice<UInt8> {
        let graph = cohort.neighbours
        var place = graph.slot(of: holder, amongHoldersOf: dealer)!
        // The dealer's own slot has no box.
        if graph.includesSelf, place > dealer { place -= 1 }
        return dealt[dealer]!.boxes[place * boxLength..<(place + 1) * boxLength]
    }

    /// The stage 2 message for `member`: its live neighbours and their boxes.
    func delivery(for member: Int) -> [UInt8] {
        let holders = cohort.neighbours.holders(of: member)
        var live = BitSet(count: holders.count)
        var boxes: [UInt8] = []
        boxes.reserveCapacity(holders.count * boxLength)
        for (slot, holder) in holders.enumerated() where dealt[holder] != nil {
            live[slot] = true
            if holder != member { boxes += box(from: holder, to: member) }
        }
        var wire = Secagg_V1_ShareDelivery()
        wire.live = Data(live.bytes)
        wire.boxes = Data(boxes)
        return Message(.delivery, session: cohort.session, body: encodeWire(wire)).encoded()
    }
}

/// The server in stage 1: collects everyone's sealed shares.
final class ShareKeysCollector {
    let context: ServerContext
    let cohort: Cohort
    private var dealt: [DealtShares?]
    private let boxLength: Int

    init(context: ServerContext, cohort: Cohort) {
        self.context = context
        boxLength = SealedShare.length(shares: context.parameters.sharesPerHolder)
        self.cohort = cohort
        dealt = Array(repeating: nil, count: cohort.count)
    }

    var awaited: [Int] { dealt.indices.filter { dealt[$0] == nil } }

    func receive(_ message: Message, from member: Int) throws(AggregationFault) {
        let id = cohort.id(member)
        func fault(_ check: AggregationFault.Check, _ detail: String = "") -> AggregationFault {
            AggregationFault(check, at: .shareKeys, scope: .peer(id), culprits: [id], detail)
        }
        guard message.kind == .share else { throw fault(.unexpectedKind) }
        guard message.session == cohort.session else { throw fault(.wrongSession) }
        guard message.isSigned(by: cohort.members[member].identityKey, label: .share, scope: cohort.session)
        else { throw fault(.badSignature) }
        if let earlier = dealt[member] {
            guard earlier.body == message.body else { throw fault(.conflictingRepeat) }
            return
        }
        let wire: Secagg_V1_ShareKeys
        do { wire = try decodeWire(message.body) } catch {
            throw error.fault(at: .shareKeys, scope: .peer(id))
        }
        let graph = cohort.neighbours
        let boxCount = graph.holderCount - (graph.includesSelf ? 1 : 0)
        guard let commitment = Digest(bytes: wire.selfMaskCommitment),
            let noise = Digest.list(
                wire.noiseCommitments, count: context.parameters.removableNoise?.count ?? 0)
        else { throw fault(.malformed) }
        guard message.attachment.count == boxCount * boxLength else {
            throw fault(.shareCount, "\(message.attachment.count) bytes for \(boxCount) boxes")
        }
        guard Array(wire.boxesDigest) == Digest.of(message.attachment).bytes else {
            throw fault(.badSignature, "the boxes are not the signed ones")
        }
        dealt[member] = DealtShares(
            selfMaskCommitment: commitment, noiseCommitments: noise, boxes: message.attachment,
            body: message.body, signature: message.signature)
    }

    /// Freezes U2. Members left with fewer than t holders are removed before any box is delivered,
    /// which costs nobody anything; their removal may isolate others, hence the fixed point.
    func close() throws(AggregationFault) -> SharedCohort {
        var kept = dealt
        let sent = dealt.count { $0 != nil }
        let graph = cohort.neighbours
        while true {
            let isolated = kept.indices.filter { member in
                kept[member] != nil
                    && graph.holders(of: member).count { kept[$0] != nil } < cohort.threshold
            }
            if isolated.isEmpty { break }
            for member in isolated { kept[member] = nil }
        }
        let count = kept.count { $0 != nil }
        guard count >= max(context.parameters.minSurvivors, cohort.threshold) else {
            throw AggregationFault(
                .belowSurvivorFloor, at: .shareKeys,
                "\(sent) of \(cohort.count) clients shared their keys"
                    + (count < sent ? ", \(count) of them with enough neighbours that did" : "")
                    + ", at least \(max(context.parameters.minSurvivors, cohort.threshold))")
        }
        return SharedCohort(cohort: cohort, dealt: kept, boxLength: boxLength)
    }
}
