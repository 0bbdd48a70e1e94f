import GMP
import Sodium

/// What a client insists on, whatever a server announces.
public struct ClientPolicy: Hashable, Sendable {
    /// The digest of the round plan that this client holds.
    public var context: Digest
    public var vectorLength: Int
    public var modulusBits: Int
    public var minCohort: Int
    public var minSurvivors: Int
    /// Refuse `semi-honest` rounds.
    public var requireMaliciousServerProfile: Bool
    public var allowTinyCohort: Bool
    public var minSecurityBits: Int
    /// The least γ: a server that announces fewer colluders gets a weaker graph.
    public var minColluderFraction: Rational
    /// The noise levels of the client's own plan, for which it brings seeds; nil: none.
    public var removableNoise: RemovableNoise?
    /// The terms of the client's own plan, from which a manifest may differ in nothing; nil: any that keep
    /// the floors above.
    public private(set) var exactTerms: AggregationParameters?

    public init(
        context: Digest, vectorLength: Int, modulusBits: Int,
        minCohort: Int = AggregationParameters.defaultCohortFloor, minSurvivors: Int,
        requireMaliciousServerProfile: Bool = true, allowTinyCohort: Bool = false,
        minSecurityBits: Int = 40, minColluderFraction: Rational = 0,
        removableNoise: RemovableNoise? = nil
    ) {
        self.context = context
        self.vectorLength = vectorLength
        self.modulusBits = modulusBits
        self.minCohort = minCohort
        self.minSurvivors = minSurvivors
        self.requireMaliciousServerProfile = requireMaliciousServerProfile
        self.allowTinyCohort = allowTinyCohort
        self.minSecurityBits = minSecurityBits
        self.minColluderFraction = minColluderFraction
        self.removableNoise = removableNoise
    }

    /// Insists on exactly `terms`, as a client must that knows the whole plan of its round: of a weaker
    /// γ, another task name or a thinner graph nothing would be seen in the context's digest.
    public init(exactly terms: AggregationParameters) {
        self.init(
            context: terms.context, vectorLength: terms.vectorLength, modulusBits: terms.modulusBits,
            minCohort: terms.cohort.lowerBound, minSurvivors: terms.minSurvivors,
            requireMaliciousServerProfile: terms.profile == .maliciousServer,
            allowTinyCohort: terms.allowTinyCohort, minSecurityBits: terms.securityBits,
            minColluderFraction: terms.colluderFraction, removableNoise: terms.removableNoise)
        exactTerms = terms
    }
}

/// One client's part in one round: five calls in order, each taking the server's message of the
/// stage and returning the bytes to send.
///
/// Nothing here waits, reads a clock or touches a socket. Every returned message was recorded in the
/// journal first; after a network failure send the *same bytes* again, never call twice. Any thrown
/// fault ends the session and wipes its keys; a client that restarts inside a session is a dropout.
///
///     let session = ClientSession(identity: …, server: …, roster: …, policy: …, journal: …)
///     send(try session.advertiseKeys(manifest, now: …, random: &random))
///     send(try session.shareKeys(cohort, random: &random))
///     for part in try session.maskedInput(delivery, values: contribution) { send(part) }
///     send(try session.confirmSurvivors(survivorSet))
///     send(try session.unmask(signatures))
///     let verified = try session.finish(result)
public final class ClientSession {
    private enum State: ~Copyable {
        case idle
        case advertised(AdvertisedClient)
        case shared(SharedClient)
        case masked(MaskedClient)
        case confirmed(ConfirmedClient)
        case finished(FinishedClient)
        case ended
    }

    private let identity: ClientIdentity
    private let server: VerifyingKey
    private let roster: Roster?
    private let policy: ClientPolicy
    private let journal: any ClientJournal
    private let threads: Int
    private let cohortCache: CohortCache?
    /// Handed to stage 0 and then forgotten here.
    private var noiseSeeds: [SecretBytes]
    private var state = State.idle
    /// The stage whose message is expected next, or at which the session ended.
    public private(set) var stage = Stage.advertiseKeys

    /// - Parameters:
    ///   - server: the server's pinned signing key.
    ///   - roster: the verified roster; nil only makes sense for semi-honest rounds.
    ///   - threads: how many threads mask expansion may use; the result does not depend on it.
    ///   - noiseSeeds: one secret of 31 bytes for each level of `policy.removableNoise`, from which the
    ///     noise in the contribution was made; never used in another session.
    public convenience init(
        identity: ClientIdentity, server: VerifyingKey, roster: Roster?, policy: ClientPolicy,
        journal: any ClientJournal, threads: Int = 1, noiseSeeds: [SecretBytes] = []
    ) {
        self.init(
            identity: identity, server: server, roster: roster, policy: policy, journal: journal,
            threads: threads, noiseSeeds: noiseSeeds, cohortCache: nil)
    }

    /// - Parameter cohortCache: shared by the clients of one program; nil for a client that trusts nobody.
    package init(
        identity: ClientIdentity, server: VerifyingKey, roster: Roster?, policy: ClientPolicy,
        journal: any ClientJournal, threads: Int, noiseSeeds: [SecretBytes], cohortCache: CohortCache?
    ) {
        precondition(
            noiseSeeds.count == policy.removableNoise?.count ?? 0
                && noiseSeeds.allSatisfy { $0.count == RemovableNoise.seedLength },
            "one noise seed of 31 bytes for each level")
        self.identity = identity
        self.server = server
        self.roster = roster
        self.policy = policy
        self.journal = journal
        self.threads = max(1, threads)
        self.noiseSeeds = noiseSeeds
        self.cohortCache = cohortCache
    }

    /// Stage 0: checks the signed manifest and announces two fresh keys.
    ///
    /// - Parameter now: the caller's clock in the unit of the manifest's expiry.
    public func advertiseKeys(
        _ manifest: [UInt8], now: UInt64, random: inout some RandomSource
    ) throws(AggregationFault) -> [UInt8] {
        guard case .idle = take() else { throw outOfOrder(.advertiseKeys) }
        let seeds = noiseSeeds
        noiseSeeds = []
        let step = try AdvertisedClient.enter(
            manifest, identity: identity, server: server, roster: roster, policy: policy,
            journal: journal, threads: threads, noiseSeeds: seeds, cohortCache: cohortCache, now: now,
            random: &random)
        let message = step.message
        state = .advertised(step.next)
        stage = .shareKeys
        return message
    }

    /// Stage 1: checks the cohort and seals one share pair for each neighbour.
    public func shareKeys(
        _ cohort: [UInt8], random: inout some RandomSource
    ) throws(AggregationFault) -> [UInt8] {
        guard case .advertised(let client) = take() else { throw outOfOrder(.shareKeys) }
        let step = try client.shareKeys(cohort, random: &random)
        let message = step.message
        state = .shared(step.next)
        stage = .submitMaskedInput
        return message
    }

    /// Stage 2: opens the neighbours' shares and masks the contribution.
    ///
    /// - Parameter values: d integers; they enter the ring modulo 2^b.
    /// - Returns: the messages to send in this order; the first carries the signed digests.
    public func maskedInput(
        _ delivery: [UInt8], values: [Int32]
    ) throws(AggregationFault) -> MaskedUpload {
        guard case .shared(let client) = take() else { throw outOfOrder(.submitMaskedInput) }
        let step = try client.submit(delivery, values: values)
        let upload = step.upload
        state = .masked(step.next)
        stage = .confirmSurvivors
        return upload
    }

    /// Stage 3: checks the survivor list and signs it.
    public func confirmSurvivors(_ survivorSet: [UInt8]) throws(AggregationFault) -> [UInt8] {
        guard case .masked(let client) = take() else { throw outOfOrder(.confirmSurvivors) }
        let step = try client.confirm(survivorSet)
        let message = step.message
        state = .confirmed(step.next)
        stage = .unmask
        return message
    }

    /// Stage 4: checks the neighbours' signatures and releases exactly one share per neighbour.
    public func unmask(_ signatures: [UInt8]) throws(AggregationFault) -> [UInt8] {
        guard case .confirmed(let client) = take() else { throw outOfOrder(.unmask) }
        let step = try client.unmask(signatures)
        let message = step.message
        state = .finished(step.next)
        return message
    }

    /// Checks the server's signed result against what was signed before.
    public func finish(_ result: [UInt8]) throws(AggregationFault) -> VerifiedResult {
        guard case .finished(let client) = take() else { throw outOfOrder(.unmask) }
        return try client.finish(result)
    }

    /// Leaves the round and wipes every key, as a client does that loses interest or its connection.
    public func leave() {
        noiseSeeds = []
        state = .ended
    }

    /// Moves the state out: unless a step puts a new one in, the session has ended.
    private func take() -> State {
        var taken = State.ended
        swap(&taken, &state)
        return taken
    }

    private func outOfOrder(_ called: Stage) -> AggregationFault {
        AggregationFault(.outOfOrder, at: called, scope: .misuse, "expected \(stage.name)")
    }
}
