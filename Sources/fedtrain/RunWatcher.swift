import FedTrain

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
        if plan.allowTinyCohort {
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
                    head + "ABORTED at \(fault.stage.name): \(summary.survivors) of "
                        + "\(summary.trace.invited) survived, \(plan.minSurvivors) needed; nothing opened, "
                        + "ε = \(decimal(epsilon, 4)) stays charged")
            } else {
                console.say(
                    head + "released: \(summary.survivors) of \(summary.trace.invited) in the sum, ε = "
                        + decimal(epsilon, 4))
            }
        }
    }
}
