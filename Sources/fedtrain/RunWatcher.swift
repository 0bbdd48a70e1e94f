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
        case .roundEnded(let summary, let epsilon):
            let elapsed = decimal(monotonicSeconds() - started, 1)
            let head = "round \(summary.round)/\(plan.rounds)  \(elapsed) s  "
            if let fault = summary.fault {
                console.say(
                    head + "ABORTED at \(fault.stage.name): \(reason(summary, fault)); nothing opened, "
                        + (summary.isCharged
                            ? "ε = \(decimal(epsilon, 4)) stays charged" : "the round's price was returned"))
            } else {
                console.say(
                    head + "released: \(summary.survivors) of \(summary.trace.invited) in the sum, ε = "
                        + decimal(epsilon, 4))
            }
        }
    }

    private func reason(_ summary: RoundSummary, _ fault: AggregationFault) -> String {
        guard fault.check == .belowSurvivorFloor else { return fault.check.meaning }
        return "\(summary.survivors) of \(summary.trace.invited) survived, \(plan.minSurvivors) needed"
    }
}
