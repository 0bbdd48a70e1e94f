import DP
import GMP
import SecureAgg
import Sodium

/// Every number that two pillars must share, set once: survivor floor, colluders, vector length,
/// modulus, rotation seeds. It hands each pillar its own parameters and nothing else.
///
/// The digest of a plan, with round and incoming adapter, is the opaque context that every key, mask
/// and signature of the round is bound to: clients that hold another plan hold other masks.
public struct RoundPlan: Sendable {
    public let name: String
    public let unit: PrivacyUnit
    public let algorithm: FederationConfiguration.Algorithm
    /// n, the most clients whose turn comes in one round.
    public let clients: Int
    /// All clients of the federation: n, or more where each takes part in one of several rounds.
    public let population: Int
    /// How often one client takes part at most; its own ledger enforces it.
    public let participation: ParticipationBounds
    /// A round starts with at least this many of them.
    public let minCohort: Int
    public let rounds: Int
    /// t: no sum over fewer contributions is opened. The survivor floor of SecureAgg and of DP.
    public let minSurvivors: Int
    /// κ, of whom the privacy claim assumes that their noise is known.
    public let colluders: Int
    public let delta: Rational
    public let epsilonMax: Rational
    /// q; 1 for the client unit.
    public let samplingRate: Rational
    /// The public number that sums are divided by: expected records, or clients.
    public let denominator: Double
    public let profile: SecurityProfile
    public let allowTinyCohort: Bool
    public let dropoutFraction: Rational
    public let baseDigest: Digest
    /// What the operator says for the report; binds nobody.
    public let statements: [String: String]
    /// σ/Δ as the file gives it, or as it was solved for the file's ε.
    public let requestedMultiplier: Rational
    /// Encoding, noise and modulus; its noise is at least what was requested.
    public let aggregation: AggregationPlan
    /// The seeds that clients share for noise which is removed again; nil when all noise stays.
    public let removableNoise: RemovableNoise?

    /// Neighbours and threshold of the full cohort.
    public let topology: Topology
    /// What one round does to one unit; the ledger charges it whoever survives.
    public let event: PrivacyEvent
    public let digest: Digest

    /// Solves the plan for a configuration.
    ///
    /// - Parameters:
    ///   - dimension: trainable parameters.
    ///   - recordCounts: records of each client; taken as public.
    /// - Throws: `PlanError`, `AccountingError` or `ParameterError` for terms that cannot be met together.
    public init(
        _ configuration: FederationConfiguration, dimension: Int, recordCounts: [Int], baseDigest: Digest
    ) throws {
        let privacy = configuration.privacy
        let unit = privacy.unit
        let participation = privacy.participation
        let population = recordCounts.count
        let clients = (population + participation.gap - 1) / participation.gap
        let rate = unit == .record ? privacy.samplingRate : 1
        let unitsPerClient =
            unit == .client
            ? 1
            : AggregationPlan.sampleSizeMax(
                records: recordCounts.max() ?? 0, rate: rate.asDouble,
                failureBits: Self.oversamplingBits(clients: clients))

        func solve(_ noiseMultiplier: Rational) throws -> (AggregationPlan, PrivacyEvent) {
            var request = AggregationPlan.Request(
                dimension: dimension, clipNorm: privacy.clipNorm, noiseMultiplier: noiseMultiplier,
                clients: clients, minSurvivors: configuration.rounds.minSurvivors,
                colluders: privacy.colluders)
            request.unitsPerClientMax = max(1, unitsPerClient)
            request.modulusBitsMax = configuration.aggregation.modulusBits ?? 32
            request.mechanism = privacy.mechanism
            request.dropoutNoise = privacy.dropoutNoise
            let plan = try AggregationPlan.solve(request)
            return (plan, try Self.event(of: plan, unit: unit, rate: rate))
        }
        let multiplier: Rational
        switch privacy.noise {
        case .multiplier(let chosen): multiplier = chosen
        case .forEpsilon(let epsilon):
            multiplier = try Self.noiseMultiplier(
                epsilon: epsilon.asDouble, delta: privacy.delta.asDouble,
                participations: participation.participations(in: configuration.rounds.count),
                solve: { try solve($0).1 })
        }
        requestedMultiplier = multiplier
        (aggregation, event) = try solve(multiplier)
        removableNoise = try Self.removableNoise(aggregation.noise)

        name = configuration.name
        statements = configuration.statements
        self.unit = unit
        algorithm = configuration.training.algorithm
        self.clients = clients
        self.population = population
        self.participation = participation
        minCohort = min(clients, configuration.rounds.minCohort ?? population / participation.gap)
        rounds = configuration.rounds.count
        minSurvivors = configuration.rounds.minSurvivors
        colluders = privacy.colluders
        delta = privacy.delta
        epsilonMax = privacy.epsilonMax
        samplingRate = rate
        denominator =
            unit == .client
            ? Double(clients)
            : max(1, rate.asDouble * Double(recordCounts.reduce(0, +)) / Double(participation.gap))
        profile = configuration.aggregation.profile == .maliciousServer ? .maliciousServer : .semiHonest
        allowTinyCohort = configuration.aggregation.allowTinyCohort
        dropoutFraction = configuration.aggregation.dropoutFraction
        self.baseDigest = baseDigest
        digest = Self.digest(
            configuration, aggregation: aggregation, removableNoise: removableNoise, clients: clients,
            baseDigest: baseDigest)
        // The cohort's terms are checked here, before anything is trained.
        let parameters = try AggregationParameters(
            task: name, round: 1, context: digest, vectorLength: aggregation.length,
            modulusBits: aggregation.modulusBits, cohort: minCohort...clients,
            minSurvivors: minSurvivors, profile: profile,
            colluderFraction: Self.colluderFraction(colluders, minCohort), dropoutFraction: dropoutFraction,
            allowTinyCohort: allowTinyCohort, removableNoise: removableNoise)
        _ = try parameters.topology(cohortSize: minCohort)
        topology = try parameters.topology(cohortSize: clients)
    }

    /// γ for which ⌊γ·n⌋ is at least κ in the smallest cohort, hence in every cohort.
    private static func colluderFraction(_ colluders: Int, _ minCohort: Int) -> Rational {
        Rational(colluders) / Rational(minCohort)
    }

    private static func removableNoise(_ noise: DistributedNoise) throws(ParameterError) -> RemovableNoise? {
        guard case .skellam(let skellam) = noise, let levels = skellam.levels, levels.count > 0 else {
            return nil
        }
        return try RemovableNoise(dropouts: levels.dropouts, derivation: skellam.tableDigest)
    }

    /// Whether it is a client's turn in `round`, from 1: one round in `participation.gap`, by a public rule
    /// that looks at nobody's data.
    public func isTurn(of client: ClientID, round: Int) -> Bool {
        let gap = UInt64(participation.gap)
        return (UInt64(round) - 1) % gap == (client.number &- 1) % gap
    }

    /// The most rounds of the run that one client can be in; its own ledger refuses more.
    public var participationsMax: Int { participation.participations(in: rounds) }

    /// Below SecureAgg's default floors each member learns much from subtracting itself.
    public var isTinyCohort: Bool {
        clients < AggregationParameters.defaultCohortFloor
            || minSurvivors - colluders < AggregationParameters.defaultSurvivorsBeyondColluders
    }

    /// Bits at which all clients together oversample with probability at most 2^-41.
    static func oversamplingBits(clients: Int) -> Int {
        41 + (Int.bitWidth - max(1, clients - 1).leadingZeroBitCount)
    }

    // MARK: What each pillar gets

    /// SecureAgg's parameters for one round.
    public func secureAggregation(
        round: Int, incoming adapter: Digest
    ) throws(ParameterError) -> AggregationParameters {
        try AggregationParameters(
            task: name, round: UInt64(round), context: context(round: round, incoming: adapter),
            vectorLength: aggregation.length, modulusBits: aggregation.modulusBits,
            cohort: minCohort...clients, minSurvivors: minSurvivors, profile: profile,
            colluderFraction: Self.colluderFraction(colluders, minCohort), dropoutFraction: dropoutFraction,
            allowTinyCohort: allowTinyCohort, removableNoise: removableNoise)
    }

    /// The public rotation of one round: fresh signs, the same for every party that holds the same plan
    /// and adapter.
    public func rotation(round: Int, incoming adapter: Digest) -> Rotation {
        let seed = Digest.labelled(
            "fedtrain/v1/rotation", [context(round: round, incoming: adapter).bytes])
        return Rotation(dimension: aggregation.encoding.dimension, seed: seed.bytes)
    }

    /// What binds a round's keys, masks and signatures to this plan, this round and this adapter.
    public func context(round: Int, incoming adapter: Digest) -> Digest {
        Digest.labelled(
            "fedtrain/v1/round", [digest.bytes, littleEndianBytes(UInt64(round)), adapter.bytes])
    }

    // MARK: The price

    /// The accountant whose published upper bound the budget is enforced with.
    public var accountant: any Accountant { accountantKind.accountant }

    public var accountantKind: AccountantKind { Self.accountant(for: event) }

    /// ε after `rounds` charged rounds, for a unit that took part as often as it may.
    public func epsilon(rounds: Int) throws(AccountingError) -> Double {
        try epsilon(participations: participation.participations(in: rounds))
    }

    /// ε for a unit that was charged for so many rounds.
    public func epsilon(participations: Int) throws(AccountingError) -> Double {
        try accountant.epsilon(of: EventTally(event, count: participations), delta: delta.asDouble).upper
    }

    static func accountant(for event: PrivacyEvent) -> AccountantKind {
        // Only an unsampled sum of discrete Gaussians has a published zCDP bound.
        if case .discreteGaussianSum = event.kind, event.unit == .client { return .zcdp }
        return .rdp
    }

    private static func event(
        of plan: AggregationPlan, unit: PrivacyUnit, rate: Rational
    ) throws(AccountingError) -> PrivacyEvent {
        let sum = plan.noise.event(
            sensitivitySquared: plan.sensitivitySquared, dimension: plan.length)
        return try PrivacyEvent(
            unit: unit, adjacency: .zeroOut, kind: rate < 1 ? .poissonSampled(rate: rate, sum) : sum)
    }

    /// The noise multiplier whose solved plan stays within ε: calibration runs on the integer plan
    /// itself, so what is promised is what is charged.
    private static func noiseMultiplier(
        epsilon: Double, delta: Double, participations: Int, solve: (Rational) throws -> PrivacyEvent
    ) throws -> Rational {
        func cost(_ multiplier: Rational) throws -> Double {
            let event = try solve(multiplier)
            return try accountant(for: event).accountant
                .epsilon(of: EventTally(event, count: participations), delta: delta).upper
        }
        // Bisection over multiples of 1/grid: fine enough for 1e-4 of a typical ε, and short to print.
        let grid = 65_536
        var low = 0
        var high = grid / 8
        while try cost(Rational(BigInteger(high), BigInteger(grid))) > epsilon {
            low = high
            high *= 2
            guard high <= 1 << 40 else {
                throw AccountingError.targetUnreachable(
                    "no noise brings \(participations) rounds below ε = \(epsilon)")
            }
        }
        while high - low > 1 {
            let middle = (low + high) / 2
            if try cost(Rational(BigInteger(middle), BigInteger(grid))) > epsilon {
                low = middle
            } else {
                high = middle
            }
        }
        return Rational(BigInteger(high), BigInteger(grid))
    }

    /// A digest over everything above that a client must agree with.
    private static func digest(
        _ configuration: FederationConfiguration, aggregation: AggregationPlan,
        removableNoise: RemovableNoise?, clients: Int, baseDigest: Digest
    ) -> Digest {
        let server = configuration.training.server
        var terms: [String] = [
            configuration.name, configuration.privacy.unit.rawValue,
            configuration.training.algorithm.rawValue, configuration.training.rule.rawValue,
            "\(clients)", "\(configuration.rounds.count)", "\(configuration.rounds.minSurvivors)",
            "\(configuration.privacy.colluders)", "\(configuration.privacy.samplingRate)",
            "\(configuration.privacy.delta)",
        ]
        terms += configuration.model.adapter.terms
        terms += [
            "\(configuration.training.localSteps)", "\(configuration.training.batchSize)",
            "\(configuration.training.learningRate)", server.optimizer.rawValue,
            "\(server.learningRate)", "\(server.momentum)", "\(server.decayRounds)",
            "\(aggregation.encoding.dimension)", "\(aggregation.encoding.clipNorm)",
            "\(aggregation.encoding.clipSteps)", "\(aggregation.sensitivitySquared)",
            "\(aggregation.noise.localVariance)", "\(aggregation.modulusBits)",
        ]
        if configuration.privacy.mechanism != .discreteGaussian {
            terms += [aggregation.noise.name, configuration.privacy.dropoutNoise.rawValue]
        }
        if let removableNoise {
            terms += removableNoise.dropouts.map(String.init) + [removableNoise.derivation.hex]
        }
        if let minCohort = configuration.rounds.minCohort { terms.append("\(minCohort)") }
        terms += configuration.training.laterTerms
        let participation = configuration.privacy.participation
        if participation.isBinding {
            terms += ["limit \(participation.limit ?? 0)", "gap \(participation.gap)"]
        }
        return Digest.labelled(
            "fedtrain/v1/plan", terms.map { Array($0.utf8) } + [baseDigest.bytes])
    }
}
