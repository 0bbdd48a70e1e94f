import Foundation
import Sodium

// Stage 4. server → client: t signatures over the survivor list. client → server: one share per
// neighbour, of the self-mask seed if it survived, of the mask-key seed if it was lost; once.
// Learned by the server: the sum over the survivors, and nothing else.

// MARK: Client

/// The client after stage 4: it holds no secret any more and waits for the announced result.
struct FinishedClient: ~Copyable {
    let context: ClientContext
    let cohort: Cohort
    let statement: SurvivorStatement
}

extension ConfirmedClient {
    /// Checks that t neighbours signed the identical list, then releases one share for each of them.
    consuming func unmask(
        _ bytes: [UInt8]
    ) throws(AggregationFault) -> ClientStep<FinishedClient> {
        try checkSignatures(bytes)
        let holders = cohort.neighbours.holders(of: ownIndex)
        var released: [UInt8] = []
        released.reserveCapacity(live.population * Shamir.shareLength)
        shares.withUnsafeBytes { pairs in
            for (position, slot) in live.members.enumerated() {
                // One bit decides which of the two shares leaves; no message can name both.
                let half = statement.bitmap[holders[slot]] ? 0 : Shamir.shareLength
                let start = position * SealedShare.plaintextLength + half
                released += pairs[start..<start + Shamir.shareLength]
            }
        }
        var wire = Secagg_V1_UnmaskShares()
        wire.shares = Data(released)
        let message = Message(
            .unmask, session: cohort.session, body: encodeWire(wire), label: .unmask,
            signer: context.identity.signingKey
        ).encoded()
        try context.record(message, at: .unmask)
        return ClientStep(
            message: message,
            next: FinishedClient(context: context, cohort: cohort, statement: statement))
    }

    private borrowing func checkSignatures(_ bytes: [UInt8]) throws(AggregationFault) {
        let graph = cohort.neighbours
        let message = try context.open(
            bytes, .signatures, session: cohort.session, at: .unmask,
            limit: graph.holderCount * (VerifyingKey.signatureLength + 1) + 64)
        let wire: Secagg_V1_SurvivorSignatures
        do { wire = try decodeWire(message.body) } catch { throw error.fault(at: .unmask, scope: .round) }
        guard let signers = BitSet(count: graph.holderCount, bytes: [UInt8](wire.signers)),
            wire.signatures.count == signers.population * VerifyingKey.signatureLength,
            !graph.includesSelf || !signers[ownIndex]
        else { throw AggregationFault(.malformed, at: .unmask) }
        let joined = [UInt8](wire.signatures)
        let holders = graph.holders(of: ownIndex)
        let claimed = signers.members.map { holders[$0] }
        let (statement, cohort) = (statement, cohort)
        var isRight = [Bool](repeating: false, count: claimed.count)
        isRight.withUnsafeMutableBufferPointer { buffer in
            nonisolated(unsafe) let output = buffer
            parallel(claimed.count, threads: context.threads) { position in
                let start = position * VerifyingKey.signatureLength
                output[position] =
                    statement.bitmap[claimed[position]]
                    && statement.isSigned(
                        Array(joined[start..<start + VerifyingKey.signatureLength]),
                        by: cohort.members[claimed[position]].identityKey, session: cohort.session)
            }
        }
        if let wrong = isRight.firstIndex(of: false) {
            throw AggregationFault(.badSignature, at: .unmask, culprits: [cohort.id(claimed[wrong])])
        }
        let count = signers.population + (graph.includesSelf ? 1 : 0)
        guard count >= cohort.threshold else {
            throw AggregationFault(
                .tooFewSignatures, at: .unmask, "\(count) signed, threshold \(cohort.threshold)")
        }
    }
}

// MARK: Server

/// The server in stage 4: collects one share per edge, rebuilds seeds and takes the masks off.
final class UnmaskCollector {
    let context: ServerContext
    let confirmed: ConfirmedCohort
    private var shares: [[UInt8]?]

    init(context: ServerContext, confirmed: ConfirmedCohort) {
        self.context = context
        self.confirmed = confirmed
        shares = Array(repeating: nil, count: confirmed.cohort.count)
    }

    private var cohort: Cohort { confirmed.cohort }
    private var shared: SharedCohort { confirmed.masked.shared }
    var awaited: [Int] { confirmed.signers.filter { shares[$0] == nil } }

    func receive(_ message: Message, from member: Int) throws(AggregationFault) {
        let id = cohort.id(member)
        func fault(_ check: AggregationFault.Check) -> AggregationFault {
            AggregationFault(check, at: .unmask, scope: .peer(id), culprits: [id])
        }
        guard message.session == cohort.session else { throw fault(.wrongSession) }
        guard message.kind == .unmask else {
            throw fault(message.kind == .confirm ? .wrongStage : .unexpectedKind)
        }
        guard confirmed.signatures[member] != nil else { throw fault(.unknownPeer) }
        guard message.isSigned(by: cohort.members[member].identityKey, label: .unmask, scope: cohort.session)
        else { throw fault(.badSignature) }
        let wire: Secagg_V1_UnmaskShares
        do { wire = try decodeWire(message.body) } catch { throw error.fault(at: .unmask, scope: .peer(id)) }
        guard wire.shares.count == dealers(of: member).count * Shamir.shareLength else {
            throw fault(.shareCount)
        }
        let bytes = [UInt8](wire.shares)
        if let earlier = shares[member] {
            guard earlier == bytes else { throw fault(.conflictingRepeat) }
            return
        }
        shares[member] = bytes
    }

    /// The members of U2 whose shares `holder` has, in its slot order.
    private func dealers(of holder: Int) -> [Int] {
        cohort.neighbours.holders(of: holder).filter { shared.dealt[$0] != nil }
    }

    /// Rebuilds every needed seed, takes all masks off the sum and returns it with what was learned
    /// on the way. Nothing is returned unless every seed matched its commitment or public key.
    func close() throws(AggregationFault) -> OpenedSum {
        let recovered = try recoverSeeds()
        let terms = try Unmasking.terms(
            cohort: cohort, survivors: confirmed.statement.bitmap, seeds: recovered.seeds)
        confirmed.masked.sum.add(terms, threads: context.threads)
        return OpenedSum(
            elements: confirmed.masked.sum.elements, seeds: recovered.seeds,
            faults: recovered.faults)
    }

    private func recoverSeeds() throws(AggregationFault) -> (
        seeds: [RevealedSeed], faults: [AggregationFault]
    ) {
        // Shares by dealer: (slot of the holder, its share).
        var received: [Int: [ShareRecovery.Share]] = [:]
        var faults: [AggregationFault] = []
        for holder in shares.indices {
            guard let bytes = shares[holder] else { continue }
            for (position, dealer) in dealers(of: holder).enumerated() {
                let value = bytes[position * Shamir.shareLength..<(position + 1) * Shamir.shareLength]
                let element = Array(value).withUnsafeBytes { FieldElement(canonical: $0) }
                guard let element else {
                    faults.append(
                        AggregationFault(
                            .wrongShare, at: .unmask, scope: .peer(cohort.id(holder)),
                            culprits: [cohort.id(holder)], "not below p"))
                    continue
                }
                let slot = cohort.neighbours.slot(of: holder, amongHoldersOf: dealer)!
                received[dealer, default: []].append(
                    ShareRecovery.Share(holder: holder, slot: slot, value: element))
            }
        }
        var seeds: [RevealedSeed] = []
        var recovery = ShareRecovery(threshold: cohort.threshold)
        for dealer in shared.members {
            let survived = confirmed.masked.survivors[dealer]
            let commitment = shared.dealt[dealer]!.selfMaskCommitment
            let outcome = recovery.recover(received[dealer] ?? []) { seed in
                Unmasking.isAnnounced(
                    RevealedSeed(member: dealer, survived: survived, seed: seed), cohort: cohort,
                    commitment: commitment)
            }
            switch outcome {
            case .recovered(let seed, let liars):
                seeds.append(RevealedSeed(member: dealer, survived: survived, seed: seed))
                for liar in liars {
                    faults.append(
                        AggregationFault(
                            .wrongShare, at: .unmask, scope: .peer(cohort.id(liar)),
                            culprits: [cohort.id(liar)], "for \(cohort.id(dealer))"))
                }
            case .tooFew(let count):
                throw AggregationFault(
                    .unrecoverable, at: .unmask,
                    "\(cohort.id(dealer)): \(count) shares, threshold \(cohort.threshold)")
            case .dealerLied:
                throw AggregationFault(
                    .unrecoverable, at: .unmask, culprits: [cohort.id(dealer)],
                    "the shares agree on a seed that its dealer did not announce")
            case .tooManyWrong(let count):
                throw AggregationFault(
                    .unrecoverable, at: .unmask,
                    "\(cohort.id(dealer)): too many of its \(count) shares are wrong to tell which")
            }
        }
        return (seeds, faults)
    }
}

/// What follows from the opened seeds; the server and every reader of a transcript compute the same.
enum Unmasking {
    /// Whether a seed is the one its owner announced: by commitment if it survived, else by mask key.
    static func isAnnounced(_ revealed: RevealedSeed, cohort: Cohort, commitment: Digest) -> Bool {
        revealed.survived
            ? Derivation.selfMaskCommitment(
                session: cohort.session, member: revealed.member, seed: revealed.seed) == commitment
            : KeyAgreement.publicKey(of: Derivation.maskSecret(seed: revealed.seed))
                == cohort.members[revealed.member].maskKey
    }

    /// The masks still in the survivors' sum, with the sign that takes them off: every survivor's own,
    /// and those that survivors share with lost members of U2.
    static func terms(
        cohort: Cohort, survivors: BitSet, seeds: [RevealedSeed]
    ) throws(AggregationFault) -> [MaskTerm] {
        var terms: [MaskTerm] = []
        for revealed in seeds {
            let member = revealed.member
            if revealed.survived {
                let key = Derivation.selfMask(
                    session: cohort.session, member: member, seed: revealed.seed)
                terms.append(MaskTerm(key: key, sign: .minus))
                continue
            }
            let secret = Derivation.maskSecret(seed: revealed.seed)
            for peer in cohort.neighbours.holders(of: member) where peer != member && survivors[peer] {
                guard
                    let key = Derivation.pairMask(
                        session: cohort.session, own: member, peer: peer, ownSecret: secret,
                        ownKey: cohort.members[member].maskKey, peerKey: cohort.members[peer].maskKey)
                else {
                    throw AggregationFault(.lowOrderKey, at: .unmask, culprits: [cohort.id(peer)])
                }
                // The survivor added the mask if its index is the larger one; undo that.
                terms.append(MaskTerm(key: key, sign: peer > member ? .minus : .plus))
            }
        }
        return terms
    }
}

/// A seed that stage 4 opened: of the own mask for survivors, of the mask key for the lost.
struct RevealedSeed: Sendable {
    let member: Int
    let survived: Bool
    let seed: SecretBytes
}

/// The sum modulo 2^b and what came to light while opening it.
struct OpenedSum {
    let elements: [UInt32]
    let seeds: [RevealedSeed]
    let faults: [AggregationFault]
}
