import DP
import GMP
import Sodium

/// What a plan can be solved for.
public enum PlanUnknown: String, CaseIterable, Sendable {
    /// The least noise for the file's rounds and clients.
    case noise
    /// The most rounds for the file's noise.
    case rounds
    /// The fewest clients, when each goes on adding as much noise as it does now.
    case cohort
}

/// A changed plan that meets a target ε, checked by planning it again.
public struct PlanSolution: Sendable {
    public let unknown: PlanUnknown
    /// What to put into `federation.yaml`: path and value.
    public let settings: [(path: String, value: String)]
    /// The plan with those settings.
    public let plan: RoundPlan
    /// Its ε after all rounds, at most the target.
    public let epsilon: Double

    /// - Parameters:
    ///   - configuration: the file's terms; whatever is not solved for stays.
    ///   - recordCounts: records of each client that there is.
    /// - Throws: `PlanSolutionError` when no value in range meets the target.
    public init(
        _ unknown: PlanUnknown, epsilon target: Rational, _ configuration: FederationConfiguration,
        dimension: Int, recordCounts: [Int], baseDigest: Digest
    ) throws {
        func planned(_ changed: FederationConfiguration, counts: [Int]) throws -> RoundPlan {
            try RoundPlan(changed, dimension: dimension, recordCounts: counts, baseDigest: baseDigest)
        }
        var settings: [(path: String, value: String)] = []
        var changed = configuration
        changed.privacy.epsilonMax = target
        var counts = recordCounts
        switch unknown {
        case .noise:
            changed.privacy.noise = .forEpsilon(target)
            let multiplier = try planned(changed, counts: counts).requestedMultiplier
            changed.privacy.noise = .multiplier(multiplier)
            settings = [("privacy.noiseMultiplier", "\(multiplier)")]
        case .rounds:
            guard case .multiplier = configuration.privacy.noise else {
                throw PlanSolutionError.noiseFollowsRounds
            }
            let plan = try planned(changed, counts: counts)
            let count = try Calibration.count(
                epsilon: target.asDouble, delta: plan.delta.asDouble, accountant: plan.accountant,
                of: plan.event, countMax: Self.roundsMax)
            guard count > 0 else {
                throw PlanSolutionError.oneRoundTooMuch(
                    epsilon: try plan.epsilon(rounds: 1), target: target.asDouble)
            }
            changed.rounds.count = min(plan.participation.rounds(for: count) ?? .max, Self.roundsMax)
            settings = [("rounds.count", "\(changed.rounds.count)")]
        case .cohort:
            let now = try planned(configuration, counts: counts)
            let honest = now.minSurvivors - now.colluders
            /// The terms with `extra` more honest survivors, whose noise comes on top.
            func terms(_ extra: Int) -> (FederationConfiguration, [Int]) {
                var terms = changed
                let share = Rational(honest + extra) / Rational(honest)
                terms.privacy.noise = .multiplier(
                    Self.squareRootDown(now.requestedMultiplier * now.requestedMultiplier * share))
                terms.rounds.minSurvivors = now.minSurvivors + extra
                let survivors = BigInteger(terms.rounds.minSurvivors)
                let clients =
                    (BigInteger(now.population) * survivors)
                    .ceilingDivided(by: BigInteger(now.minSurvivors)).asInt ?? .max
                return (terms, (0..<clients).map { recordCounts[$0 % recordCounts.count] })
            }
            func meets(_ extra: Int) throws -> Bool {
                let (terms, counts) = terms(extra)
                let plan = try planned(terms, counts: counts)
                return try plan.epsilon(rounds: plan.rounds) <= target.asDouble
            }
            var high = 0
            while try !meets(high) {
                high = max(1, 2 * high)
                guard now.minSurvivors + high <= Self.cohortMax else {
                    throw PlanSolutionError.cohortTooLarge(Self.cohortMax, target: target.asDouble)
                }
            }
            var low = high / 2
            while high - low > 1 {
                let middle = (low + high) / 2
                if try meets(middle) { high = middle } else { low = middle }
            }
            (changed, counts) = terms(high)
            guard case .multiplier(let multiplier) = changed.privacy.noise else { preconditionFailure() }
            settings = [
                ("rounds.minSurvivors", "\(changed.rounds.minSurvivors)"),
                ("privacy.noiseMultiplier", "\(multiplier)"),
            ]
        }
        // The run is to stop at the target, not at the file's older budget.
        settings.append(("privacy.epsilon", "\(target)"))
        self.settings = settings
        self.unknown = unknown
        plan = try planned(changed, counts: counts)
        epsilon = try plan.epsilon(rounds: plan.rounds)
        precondition(epsilon <= target.asDouble, "a solution that was planned again meets its target")
    }

    /// Most rounds and clients that are looked for.
    public static let roundsMax = 1_000_000
    public static let cohortMax = 100_000

    /// √x rounded down to a multiple of 2^-16, as the planner's own multipliers are.
    private static func squareRootDown(_ value: Rational) -> Rational {
        let scaled = value.numerator.shiftedLeft(32).floorDivided(by: value.denominator)
        return Rational(scaled.squareRoot, .powerOfTwo(16))
    }
}

/// Why no plan meets the target.
public enum PlanSolutionError: Error, Equatable, Sendable {
    /// The file lets the noise follow from ε, so any number of rounds would fit.
    case noiseFollowsRounds
    case oneRoundTooMuch(epsilon: Double, target: Double)
    case cohortTooLarge(Int, target: Double)
}
