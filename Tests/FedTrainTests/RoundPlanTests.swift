import DP
import FedTrain
import Foundation
import GMP
import Models
import Sodium
import Testing

/// The one place where the pillars' shared numbers are set.
@Suite struct RoundPlanTests {
    private func configuration(
        unit: String = "record", epsilon: String = "8", rounds: String = "10", colluders: String = "1"
    ) throws -> FederationConfiguration {
        func text(_ value: String) -> ConfigurationNode { ConfigurationNode(.scalar(value), at: nil) }
        let empty = ConfigurationNode(.map([]), at: nil)
        let values = [
            ("schema", "fedtrain/1"), ("name", "t"), ("rounds.count", rounds), ("rounds.minSurvivors", "6"),
            ("privacy.unit", unit), ("privacy.epsilon", epsilon), ("privacy.colluders", colluders),
            ("privacy.samplingRate", unit == "record" ? "1/8" : "1"),
            ("training.algorithm", unit == "record" ? "dp-fedsgd" : "fedavg"),
            ("secagg.allowTinyCohort", "true"),
        ]
        let node = try values.reduce(empty) { try $0.setting(path: $1.0, to: text($1.1)) }
        return try FederationConfiguration(reading: node)
    }

    private func plan(_ configuration: FederationConfiguration) throws -> RoundPlan {
        try RoundPlan(
            configuration, dimension: 2000, recordCounts: [Int](repeating: 100, count: 8),
            baseDigest: .of([1]))
    }

    @Test(arguments: ["record", "client"], ["0.5", "3", "8"])
    func theSolvedNoiseStaysJustWithinTheBudget(unit: String, epsilon: String) throws {
        let plan = try plan(try configuration(unit: unit, epsilon: epsilon))
        let spent = try plan.epsilon(rounds: plan.rounds)
        let budget = Double(epsilon)!
        #expect(spent <= budget)
        #expect(spent > budget * 0.995, "noise is not wasted: \(spent)")
        #expect(try plan.epsilon(rounds: plan.rounds + 1) > spent)
    }

    @Test func allPillarsGetTheSameFloorLengthAndModulus() throws {
        let plan = try plan(try configuration())
        let aggregation = try plan.secureAggregation(round: 3, incoming: .of([2]))
        #expect(aggregation.minSurvivors == plan.aggregation.noise.minSurvivors)
        #expect(aggregation.vectorLength == plan.aggregation.length)
        #expect(aggregation.modulusBits == plan.aggregation.modulusBits)
        #expect(aggregation.colluders(cohortSize: 8) == plan.aggregation.noise.colluders)
        guard
            case .poissonSampled(_, .discreteGaussianSum(_, let variance, let shares, let dimension)) =
                plan.event.kind
        else {
            Issue.record("the record unit is Poisson-sampled")
            return
        }
        #expect(variance == plan.aggregation.noise.localVariance)
        #expect(shares == plan.minSurvivors - plan.colluders)
        #expect(dimension == plan.aggregation.length)
    }

    @Test func aClientThatHoldsThePlanInsistsOnAllOfItsTerms() throws {
        let plan = try plan(try configuration(colluders: "2"))
        let policy = try plan.clientPolicy(round: 3, incoming: .of([2]))
        #expect(policy.exactTerms == (try plan.secureAggregation(round: 3, incoming: .of([2]))))
        // γ too, which the context's digest does not show: with fewer colluders t would be too small.
        #expect(policy.minColluderFraction == Rational(2, 8))
    }

    @Test func theContextBindsPlanRoundAndAdapter() throws {
        let first = try plan(try configuration())
        let second = try plan(try configuration(rounds: "11"))
        let contexts = [
            first.context(round: 1, incoming: .of([1])), first.context(round: 2, incoming: .of([1])),
            first.context(round: 1, incoming: .of([2])), second.context(round: 1, incoming: .of([1])),
        ]
        #expect(Set(contexts).count == 4)
        #expect(first.context(round: 1, incoming: .of([1])) == contexts[0])
    }

    @Test func colludersCostHonestNoise() throws {
        let none = try plan(try configuration(colluders: "0"))
        let two = try plan(try configuration(colluders: "2"))
        // Each client adds more, so that what is left without the colluders is the same.
        #expect(two.aggregation.noise.localVariance > none.aggregation.noise.localVariance)
        #expect(two.aggregation.noise.honestShares == none.aggregation.noise.honestShares - 2)
    }

    @Test func serverOptimizersStepAsTheirFormulasSay() {
        var settings = FederationConfiguration.Training.Server(
            optimizer: .sgd, learningRate: 0.5, momentum: 0.9, decayRounds: 0)
        var sgd = ServerOptimizer(settings, dimension: 1)
        #expect(sgd.step([1]) == [0.5])
        #expect(abs(sgd.step([1])[0] - 0.95) < 1e-6)
        settings.optimizer = .adam
        var adam = ServerOptimizer(settings, dimension: 2)
        // The first step of Adam has the rate's size, whatever the gradient's.
        let step = adam.step([100, -0.001])
        #expect(abs(step[0] - 0.5) < 1e-3 && abs(step[1] + 0.5) < 1e-2)
    }

    private func solution(
        _ unknown: PlanUnknown, _ epsilon: Rational, _ configuration: FederationConfiguration
    ) throws -> PlanSolution {
        try PlanSolution(
            unknown, epsilon: epsilon, configuration, dimension: 2000,
            recordCounts: [Int](repeating: 100, count: 8), baseDigest: .of([1]))
    }

    @Test(arguments: ["record", "client"])
    func solvedNoiseAndRoundsMeetTheTargetAndNotMuchMore(unit: String) throws {
        let configuration = try configuration(unit: unit)
        let noise = try solution(.noise, 3, configuration)
        #expect(noise.epsilon <= 3 && noise.epsilon > 2.98)
        #expect(noise.settings.map(\.path) == ["privacy.noiseMultiplier", "privacy.epsilon"])

        var fixed = configuration
        fixed.privacy.noise = .multiplier(4)
        let rounds = try solution(.rounds, 3, fixed)
        #expect(rounds.epsilon <= 3)
        #expect(rounds.settings.map(\.value) == ["\(rounds.plan.rounds)", "3"])
        #expect(try rounds.plan.epsilon(rounds: rounds.plan.rounds + 1) > 3)
    }

    @Test(arguments: ["record", "client"])
    func aSolvedCohortAddsTheSameNoisePerClient(unit: String) throws {
        var fixed = try configuration(unit: unit)
        fixed.privacy.noise = .multiplier(1)
        let now = try plan(fixed)
        let target = Rational(exactly: try now.epsilon(rounds: now.rounds) / 2)!
        let solved = try solution(.cohort, target, fixed)
        #expect(solved.epsilon <= target.asDouble)
        #expect(solved.plan.minSurvivors > now.minSurvivors && solved.plan.clients > now.clients)
        let before =
            now.aggregation.noise.localVariance.asDouble
            / Double(now.aggregation.encoding.clipSteps * now.aggregation.encoding.clipSteps)
        let after =
            solved.plan.aggregation.noise.localVariance.asDouble
            / Double(solved.plan.aggregation.encoding.clipSteps * solved.plan.aggregation.encoding.clipSteps)
        #expect(abs(after / before - 1) < 0.02, "\(before) \(after)")
    }

    @Test func unsolvablePlansAreRefused() throws {
        let configuration = try configuration()
        #expect(throws: PlanSolutionError.noiseFollowsRounds) { try solution(.rounds, 3, configuration) }
        var loud = configuration
        loud.privacy.noise = .multiplier(Rational(1, 4))
        #expect(throws: PlanSolutionError.self) { try solution(.rounds, Rational(1, 100), loud) }
    }
}
