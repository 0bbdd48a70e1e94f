import Foundation
import Sodium

// Stage 4. server → client: t signatures over the survivor list. client → server: one share per
// neighbour, of the self-mask seed if it survived, of the mask-key seed if it was lost; once. With removable
// noise also shares of the survivors' noise seeds, for the levels above what the losses need.
// Learned by the server: the sum over the survivors with the noise that stays in it, and nothing else.

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
        var wire = Secagg_V1_UnmaskShares()
        wire.shares = Data(releasedSeedShares())
        wire.noiseShares = Data(releasedNoiseShares())
        let message = Message(
            .unmask, session: cohort.session, body: encodeWire(wire), label: .unmask,
            signer: context.identity.signingKey
        ).encoded()
        try context.record(message, at: .unmask)
        return ClientStep(
            message: message,
            next: FinishedClient(context: context, cohort: cohort, statement: statement))
    }

    /// One bit decides which of a neighbour's two seeds is opened; no message can name both.
    private borrowing func releasedSeedShares() -> [UInt8] {
        let holders = cohort.neighbours.holders(of: ownIndex)
        var released: [UInt8] = []
        released.reserveCapacity(live.population * Shamir.shareLength)
        for (position, slot) in live.members.enumerated() {
            let share = statement.bitmap[holders[slot]] ? 0 : 1
            withShare(share, position: position) { released += $0 }
        }
        return released
    }

    /// Noise shares of the survivors, for the levels that their number opens and no other: the number is
    /// that of the list which this client and t neighbours signed. Shares for every survivor, so that
    /// nobody who leaves in this stage is missed.
    private borrowing func releasedNoiseShares() -> [UInt8] {
        let survivors = statement.bitmap.population
        guard let levels = context.parameters.openedNoiseLevels(survivors: survivors) else { return [] }
        let holders = cohort.neighbours.holders(of: ownIndex)
        var released: [UInt8] = []
        for (position, slot) in live.members.enumerated() where statement.bitmap[holders[slot]] {
            for level in levels { withShare(1 + level, position: position) { released += $0 } }
        }
        return released
    }

    /// Lends share `index` of the live neighbour at `position`.
    private borrowing func withShare(
        _ index: Int, position: Int, _ body: (UnsafeRawBufferPointer) -> Void
    ) {
        shares.withShare(position * context.parameters.sharesPerHolder + index, body)
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
        let (statement, cohort, cache) = (statement, cohort, context.cohortCache)
        let isRight = parallelMap(claimed.count, threads: context.threads) { position in
            let start = position * VerifyingKey.signatureLength
            let signature = Array(joined[start..<start + VerifyingKey.signatureLength])
            let key = cohort.members[claimed[position]].identityKey
            return statement.bitmap[claimed[position]]
                && (cache?.isSigned(statement, signature, by: key, session: cohort.session)
                    ?? statement.isSigned(signature, by: key, session: cohort.session))
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
    private var shares: [Released?]
    /// The noise levels that the survivors' number opens; nil for none.
    private let noiseLevels: ClosedRange<Int>?

    /// One holder's shares, in the order of its slots.
    private struct Released: Equatable {
        let seeds: [UInt8]
        let noise: [UInt8]
    }

    init(context: ServerContext, confirmed: ConfirmedCohort) {
        self.context = context
        self.confirmed = confirmed
        shares = Array(repeating: nil, count: confirmed.cohort.count)
        noiseLevels = context.parameters.openedNoiseLevels(
            survivors: confirmed.statement.bitmap.population)
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
        guard wire.shares.count == dealers(of: member).count * Shamir.shareLength,
            wire.noiseShares.count
                == survivingDealers(of: member).count * (noiseLevels?.count ?? 0) * Shamir.shareLength
        else { throw fault(.shareCount) }
        let released = Released(seeds: [UInt8](wire.shares), noise: [UInt8](wire.noiseShares))
        if let earlier = shares[member] {
            guard earlier == released else { throw fault(.conflictingRepeat) }
            return
        }
        shares[member] = released
    }

    /// The members of U2 whose shares `holder` has, in its slot order.
    private func dealers(of holder: Int) -> [Int] {
        cohort.neighbours.holders(of: holder).filter { shared.dealt[$0] != nil }
    }

    /// Those of them that survived: whose noise seeds it has to release.
    private func survivingDealers(of holder: Int) -> [Int] {
        dealers(of: holder).filter { confirmed.masked.survivors[$0] }
    }

    /// Rebuilds every needed seed, takes all masks off the sum and returns it with what was learned
    /// on the way. Nothing is returned unless every seed matched its commitment or public key.
    func close() throws(AggregationFault) -> OpenedSum {
        var recovery = SeedRecovery(cohort: cohort)
        var seeds: [RevealedSeed] = []
        let received = collected(.seeds, dealers(of:), &recovery)
        for dealer in shared.members {
            let survived = confirmed.masked.survivors[dealer]
            let commitment = shared.dealt[dealer]!.selfMaskCommitment
            let seed = try recovery.recover(received[dealer] ?? [], of: dealer) { seed in
                Unmasking.isAnnounced(
                    RevealedSeed(member: dealer, survived: survived, seed: seed), cohort: cohort,
                    commitment: commitment)
            }
            seeds.append(RevealedSeed(member: dealer, survived: survived, seed: seed))
        }
        let noise = try openNoise(&recovery)
        let terms = try Unmasking.terms(
            cohort: cohort, survivors: confirmed.statement.bitmap, seeds: seeds, threads: context.threads)
        confirmed.masked.sum.add(terms, threads: context.threads)
        return OpenedSum(
            elements: confirmed.masked.sum.elements, seeds: seeds, noise: noise,
            faults: recovery.faults)
    }

    /// The survivors' noise seeds of the levels that their number opens, by ascending member and level.
    private func openNoise(_ recovery: inout SeedRecovery) throws(AggregationFault) -> [OpenedNoise] {
        guard let noiseLevels else { return [] }
        let byLevel = noiseLevels.map { collected(.noise(level: $0), survivingDealers(of:), &recovery) }
        var opened: [OpenedNoise] = []
        for dealer in confirmed.masked.survivors.members {
            for (received, level) in zip(byLevel, noiseLevels) {
                let commitment = shared.dealt[dealer]!.noiseCommitments[level - 1]
                let seed = try recovery.recover(received[dealer] ?? [], of: dealer) { [cohort] seed in
                    Derivation.noiseCommitment(
                        session: cohort.session, member: dealer, level: level, seed: seed) == commitment
                }
                opened.append(OpenedNoise(member: dealer, level: level, seed: seed))
            }
        }
        return opened
    }

    private enum Secret {
        case seeds
        case noise(level: Int)
    }

    /// The shares of one kind of secret by dealer. Numbers that no share can be are somebody's fault.
    private func collected(
        _ secret: Secret, _ dealers: (Int) -> [Int], _ recovery: inout SeedRecovery
    ) -> [Int: [ShareRecovery.Share]] {
        var received: [Int: [ShareRecovery.Share]] = [:]
        for holder in shares.indices {
            guard let released = shares[holder] else { continue }
            for (position, dealer) in dealers(holder).enumerated() {
                let value: ArraySlice<UInt8>
                switch secret {
                case .seeds: value = Self.share(position, in: released.seeds)
                case .noise(let level):
                    value = Self.share(
                        position * noiseLevels!.count + level - noiseLevels!.lowerBound, in: released.noise)
                }
                guard let element = Array(value).withUnsafeBytes({ FieldElement(canonical: $0) }) else {
                    recovery.blame(holder, "not below p")
                    continue
                }
                let slot = cohort.neighbours.slot(of: holder, amongHoldersOf: dealer)!
                received[dealer, default: []].append(
                    ShareRecovery.Share(holder: holder, slot: slot, value: element))
            }
        }
        return received
    }

    private static func share(_ place: Int, in bytes: [UInt8]) -> ArraySlice<UInt8> {
        bytes[place * Shamir.shareLength..<(place + 1) * Shamir.shareLength]
    }
}

/// Recovery of one round's secrets, with the faults found on the way.
private struct SeedRecovery {
    private let cohort: Cohort
    private var recovery: ShareRecovery
    private(set) var faults: [AggregationFault] = []

    init(cohort: Cohort) {
        self.cohort = cohort
        recovery = ShareRecovery(threshold: cohort.threshold)
    }

    mutating func blame(_ holder: Int, _ detail: String) {
        faults.append(
            AggregationFault(
                .wrongShare, at: .unmask, scope: .peer(cohort.id(holder)),
                culprits: [cohort.id(holder)], detail))
    }

    mutating func recover(
        _ shares: [ShareRecovery.Share], of dealer: Int, isRight: (SecretBytes) -> Bool
    ) throws(AggregationFault) -> SecretBytes {
        switch recovery.recover(shares, isRight: isRight) {
        case .recovered(let seed, let liars):
            for liar in liars { blame(liar, "for \(cohort.id(dealer))") }
            return seed
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
        cohort: Cohort, survivors: BitSet, seeds: [RevealedSeed], threads: Int
    ) throws(AggregationFault) -> [MaskTerm] {
        // One agreement for each lost neighbour of each survivor: worth all threads.
        let found = parallelMap(seeds.count, threads: threads) { index in
            Result { () throws(AggregationFault) in
                try masks(of: seeds[index], cohort: cohort, survivors: survivors)
            }
        }
        var terms: [MaskTerm] = []
        for result in found { terms += try result.get() }
        return terms
    }

    private static func masks(
        of revealed: RevealedSeed, cohort: Cohort, survivors: BitSet
    ) throws(AggregationFault) -> [MaskTerm] {
        let member = revealed.member
        if revealed.survived {
            let key = Derivation.selfMask(session: cohort.session, member: member, seed: revealed.seed)
            return [MaskTerm(key: key, sign: .minus)]
        }
        let secret = Derivation.maskSecret(seed: revealed.seed)
        var terms: [MaskTerm] = []
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
        return terms
    }
}

/// A seed that stage 4 opened: of the own mask for survivors, of the mask key for the lost.
struct RevealedSeed: Sendable {
    let member: Int
    let survived: Bool
    let seed: SecretBytes
}

/// A survivor's noise seed that stage 4 opened.
struct OpenedNoise: Sendable {
    let member: Int
    let level: Int
    let seed: SecretBytes
}

/// The sum modulo 2^b and what came to light while opening it.
struct OpenedSum {
    let elements: [UInt32]
    let seeds: [RevealedSeed]
    let noise: [OpenedNoise]
    let faults: [AggregationFault]
}
