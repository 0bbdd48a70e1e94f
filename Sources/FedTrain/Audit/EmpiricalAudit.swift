import DP
import GMP
import Models
import SecureAgg
import Sodium

/// Attacks a plan's own rounds with made-up units and says how much they leaked.
///
/// Rounds are run among parties that exist only for the audit: the plan's cohort, its noise, its modulus,
/// the real sessions, nobody's data, so nothing is charged. As many clients as the plan tolerates are
/// lost, `colluders` of the rest disclose their noise, and what is left holds exactly the noise that the
/// plan's claim counts on. In the others, canaries take part or not, each by its own fair coin: whole clients
/// (unit *client*) or records inside a client's sum, drawn at the plan's sampling rate (unit *record*). From
/// the opened sums the audit guesses the coins; too many right guesses refute the claim [SNJ23, MMC25].
public struct EmpiricalAudit {
    public struct Request: Sendable, Hashable {
        /// Canaries of each kind.
        public var canaries = 1000
        /// 1 − the chance of refuting a true claim, over all tests of the audit together.
        public var confidence = 0.95
        /// Rounds that each canary may take part in; nil: all of the plan's for records, one for clients.
        public var participations: Int?

        public init() {}
    }

    public enum Progress: Sendable {
        case round(Int, of: Int, CanaryKind)
    }

    public let plan: RoundPlan
    public let request: Request
    private let randomness: RunRandomness
    package var steps = ProtectiveSteps.genuine

    public static let canariesMin = 50
    public static let canariesMax = 1_000_000

    /// - Parameter plan: with room for the canaries (`EmpiricalAudit.plan`).
    /// - Throws: `AccountingError` for a request out of range or an event that no trade-off curve is known for.
    public init(plan: RoundPlan, request: Request, randomness: RunRandomness) throws {
        func require(_ holds: Bool, _ name: String, _ value: Any, _ requirement: String) throws {
            guard holds else { throw AccountingError.invalidParameter(name, "\(value)", requirement) }
        }
        try require(
            (Self.canariesMin...Self.canariesMax).contains(request.canaries), "canaries", request.canaries,
            "from \(Self.canariesMin) to \(Self.canariesMax)")
        try require(
            request.confidence >= 0.5 && request.confidence < 1, "confidence", request.confidence,
            "from 0.5 to below 1")
        if let participations = request.participations {
            try require(
                (1...plan.rounds).contains(participations), "rounds", participations,
                "from 1 to the plan's \(plan.rounds)")
        }
        self.plan = plan
        self.request = request
        self.randomness = randomness
    }

    /// The plan of `configuration` with a modulus that has room for the canaries: the same event, hence
    /// the same claim.
    ///
    /// - Parameters:
    ///   - dimension: trainable parameters.
    ///   - recordCounts: of the clients; taken as public.
    public static func plan(
        _ configuration: FederationConfiguration, dimension: Int, recordCounts: [Int], baseDigest: Digest,
        request: Request
    ) throws -> RoundPlan {
        let honest = max(1, configuration.rounds.minSurvivors - configuration.privacy.colluders)
        let perClient = (request.canaries + honest - 1) / honest
        return try RoundPlan(
            configuration, dimension: dimension, recordCounts: recordCounts.map { max($0, perClient) },
            baseDigest: baseDigest)
    }

    /// The same from base model and data as `configuration` names them; only counted, never trained on.
    public static func plan(
        _ configuration: FederationConfiguration, request: Request
    ) throws -> RoundPlan {
        let base = try BaseModel.load(
            directory: try configuration.model.baseDirectory ?? BuiltInModel.directory())
        let configuration = try configuration.settled(on: base)
        let data = try FederationData(configuration, base: base, seed: 1)
        let shared = try SharedVector(configuration, base: base.model.configuration)
        return try plan(
            configuration, dimension: shared.dimension, recordCounts: data.recordCounts,
            baseDigest: base.digest, request: request)
    }

    /// Rounds that each canary may take part in.
    public var participations: Int {
        request.participations
            ?? (plan.unit == .record ? plan.participationsMax : 1)
    }

    /// Runs the audit.
    public func run(observe: (Progress) -> Void = { _ in }) throws -> AuditOutcome {
        guard let claim = try TradeOffCurve(of: plan.event, count: participations) else {
            throw AccountingError.unsupportedEvent(
                "\(plan.event.kind)", accountant: "audit", "no trade-off curve is known for it")
        }
        let family = TradeOffFamily(claim: claim)
        let delta = plan.delta.asDouble
        let claimed = try plan.epsilon(participations: participations)
        // Two kinds, two forms: each test gets a quarter of the chance of error, so that all hold together.
        let significance = (1 - request.confidence) / Double(2 * CanaryKind.allCases.count)
        var tests: [AuditOutcome.Test] = []
        for kind in CanaryKind.allCases {
            let count =
                kind == .coordinate
                ? min(request.canaries, plan.aggregation.encoding.dimension) : request.canaries
            let design = try AuditDesign(
                kind, canaries: count, family: family, delta: delta, significance: significance,
                interference: interference(kind, canaries: count))
            let canaries = Canaries(
                kind, count: count, encoding: plan.aggregation.encoding,
                random: randomness.stream("audit/\(kind.rawValue)/coins"))
            let evidence = CanaryEvidence(
                scores: try scores(of: canaries, observe), samplingRate: claim.rate,
                parts: CanaryEvidence.parts(kind, count: count))
            let audit = try OneRunAudit(
                canaries: count, guesses: design.guesses,
                correct: CanaryEvidence.correct(
                    evidence.logLikelihoodRatios(), isIncluded: canaries.isIncluded, guesses: design.guesses),
                significance: significance)
            let oneRun = try audit.epsilonLowerBound(delta: delta)
            tests.append(
                AuditOutcome.Test(
                    kind: kind, canaries: count, guesses: audit.guesses, correct: audit.correct,
                    epsilonOneRun: Figures.rounded(oneRun, .down),
                    epsilonTradeOff: Figures.rounded(family.epsilonLowerBound(audit, delta: delta), .down),
                    epsilonShowable: Figures.rounded(design.epsilonShowable),
                    noiseFactorNoticed: Figures.rounded(design.noiseFactorNoticed, digits: 3, .down),
                    refutesClaim: oneRun > claimed || audit.refutes(claim.callAsFunction)))
        }
        return AuditOutcome(
            unit: plan.unit, participations: participations, delta: delta,
            epsilonClaimed: Figures.rounded(claimed, .up), confidence: request.confidence,
            randomness: randomness.statement, codeVersion: FedTrainVersion.text, tests: tests)
    }

    // MARK: Rounds

    /// The variance that a round's other canaries add to a score: random directions of d coordinates overlap
    /// by 1/√d each, coordinates not at all.
    private func interference(_ kind: CanaryKind, canaries: Int) -> Double {
        guard kind == .direction else { return 0 }
        let others = plan.unit == .client ? plan.minSurvivors - plan.colluders - 1 : canaries - 1
        return Double(others) / 2 * plan.samplingRate.asDouble
            / Double(plan.aggregation.encoding.dimension)
    }

    /// Each canary's scores in its rounds.
    private func scores(of canaries: Canaries, _ observe: (Progress) -> Void) throws -> [[Double]] {
        let rounds = try AuditRounds(plan: plan, randomness: purpose(canaries.kind))
        let honest = plan.minSurvivors - plan.colluders
        // One canary per honest client, or all of them as records of the honest clients.
        let perRound = plan.unit == .client ? honest : canaries.count
        let batches = Array(stride(from: 0, to: canaries.count, by: perRound))
        var scores = [[Double]](repeating: [], count: canaries.count)
        for start in batches {
            let batch = start..<min(start + perRound, canaries.count)
            for _ in 0..<participations {
                observe(.round(rounds.count + 1, of: batches.count * participations, canaries.kind))
                let found = try openRound(rounds, batch: batch, of: canaries)
                for (index, score) in zip(batch, found) { scores[index].append(score) }
            }
        }
        return scores
    }

    /// One round with the canaries of `batch`: their scores.
    private func openRound(
        _ rounds: AuditRounds, batch: Range<Int>, of canaries: Canaries
    ) throws -> [Double] {
        let rotation = rounds.rotation
        let random = purpose(canaries.kind)
        let colluders = plan.colluders
        let contributions = (0..<plan.minSurvivors).map { client in
            let stream = random.stream("audit/round \(rounds.count + 1)/client \(client)")
            let own = members(of: batch, at: client - colluders)
            let seeds = plan.noiseSeeds(using: stream)
            let values = steps.contribution(
                plan.aggregation, rotation: rotation, noiseSeeds: seeds, random: stream
            ) { encoder, values in
                let present = own.filter { canaries.isIncluded[$0] }
                for index in plan.unit == .record ? plan.sample(present, stream) : present {
                    encoder.encode(
                        canaries.vector(index, rotation: rotation), addingTo: &values, random: stream)
                }
            }
            return Contribution(values: values, noiseSeeds: seeds)
        }
        var sum = try rounds.open(contributions)
        // What colluders know of their own contributions is no secret to the adversary. At the survivor floor
        // no noise is superfluous, so none of theirs was removed before.
        for contribution in contributions.prefix(colluders) {
            for index in sum.indices { sum[index] &-= contribution.values[index] }
        }
        let decoded = ServerRound(plan: plan).decode(sum, rotation: rotation)
        return canaries.scores(batch, sum: sum, decoded: decoded)
    }

    /// The canaries of `batch` that live at honest client `client`; colluders have negative numbers and none.
    private func members(of batch: Range<Int>, at client: Int) -> [Int] {
        guard client >= 0 else { return [] }
        let honest = plan.minSurvivors - plan.colluders
        return Array(stride(from: batch.lowerBound + client, to: batch.upperBound, by: honest))
    }

    /// Randomness of its own for each kind, so that no noise is used twice.
    private func purpose(_ kind: CanaryKind) -> RunRandomness {
        guard case .seeded(let seed) = randomness else { return randomness }
        return .seeded(seed &+ (kind == .direction ? 0 : 0x9E37_79B9_7F4A_7C15))
    }
}
