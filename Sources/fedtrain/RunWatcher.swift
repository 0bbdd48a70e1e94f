import FedTrain
import SecureAgg

/// Tells a person how a run goes: a line per round, and what is being waited for in between.
final class RunWatcher {
    private let console: Console
    private let plan: RoundPlan
    private let started = monotonicSeconds()

    init(console: Console, plan: RoundPlan) {
        self.console = console
        self.plan = plan
    }

    func announce(_ prepared: PreparedFederation) {
        let records = prepared.data.sites.map(\.examples.count).reduce(0, +)
        console.say(
            "\(plan.clients) clients, \(records) records, \(plan.rounds) rounds; "
                + "\(plan.aggregation.length) coordinates of \(plan.aggregation.modulusBits) bits")
        console.say(
            "privacy per \(plan.unit.rawValue): ε ≤ \(decimal(plan.epsilonMax.asDouble, 4)) at δ = "
                + "\(plan.delta.asDouble), noise multiplier "
                + "\(decimal(plan.aggregation.noiseMultiplierSquared.asDouble.squareRoot(), 4))")
        if case .seeded(let seed) = prepared.randomness {
            console.say("seed \(seed): whoever knows it can recompute the noise; not for real data")
        }
        if plan.isTinyCohort {
            console.say(
                "tiny cohort: each member can subtract itself; differential privacy is the only protection")
        }
    }

    func observe(_ event: FederationEvent) {
        switch event {
        case .roundStarted:
            break
        case .siteTraining(let round, let site, let index, let count):
            console.tick("round \(round)/\(plan.rounds)  training \(site) (\(index + 1) of \(count))")
        case .trainerFailed(let round, let site, let error):
            console.warn(
                "round \(round)/\(plan.rounds): \(site) is lost: \(error); its price was returned, nothing left"
            )
        case .roundEnded(let summary, let epsilon):
            console.say(
                Self.line(
                    summary, epsilon: epsilon, plan: plan, elapsed: monotonicSeconds() - started))
        }
    }

    /// How a round ended, in one line.
    static func line(
        _ summary: RoundSummary, epsilon: Double, plan: RoundPlan, elapsed: Double? = nil
    ) -> String {
        let time = elapsed.map { "\(decimal($0, 1)) s  " } ?? ""
        let head = "round \(summary.round)/\(plan.rounds)  \(time)"
        guard let fault = summary.fault else {
            return head + "released: \(summary.survivors) of \(summary.trace.invited) in the sum, ε = "
                + decimal(epsilon, 4)
        }
        return head + "ABORTED at \(fault.stage.name): \(reason(summary, fault, plan)); nothing opened, "
            + (summary.isCharged
                ? "ε = \(decimal(epsilon, 4)) stays charged" : "the round's price was returned")
    }

    private static func reason(
        _ summary: RoundSummary, _ fault: AggregationFault, _ plan: RoundPlan
    ) -> String {
        guard fault.check == .belowSurvivorFloor else { return fault.check.meaning }
        return "\(summary.survivors) of \(summary.trace.invited) survived, \(plan.minSurvivors) needed"
    }
}
