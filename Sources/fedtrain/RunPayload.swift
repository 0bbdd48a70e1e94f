import FedTrain

/// What `simulate` and `demo` report of a run.
struct RunPayload: Encodable {
    struct Scores: Encodable {
        let metric: String?
        let before: Double?
        let after: Double?
    }

    let run: String
    let rounds: Int
    let released: Int
    let epsilon: Double
    let delta: Double
    let unit: String
    let scores: Scores
    /// Of clients with held-out records of their own.
    let sites: [SiteScore]
    let survivorsPerRound: [Int]
    let outcomePerRound: [String]
    let bytesUpPerClient: Int
    let bytesDownPerClient: Int
    let peakMemory: Int
    let adapter: String
    let report: String
    let stopped: Bool

    init(_ outcome: FederationRun.Outcome, plan: RoundPlan) {
        run = outcome.run.path
        rounds = outcome.rounds.count
        released = outcome.rounds.count(where: \.isReleased)
        epsilon = outcome.epsilon
        delta = plan.delta.asDouble
        unit = plan.unit.rawValue
        scores = Scores(
            metric: outcome.after?.metric, before: outcome.before?.value, after: outcome.after?.value)
        sites = outcome.siteScores
        survivorsPerRound = outcome.rounds.map(\.survivors)
        outcomePerRound = outcome.rounds.map { $0.isReleased ? "released" : "aborted" }
        bytesUpPerClient = outcome.bytesUpPerClient
        bytesDownPerClient = outcome.bytesDownPerClient
        peakMemory = peakMemoryBytes()
        adapter = outcome.run.adapter
        report = outcome.run.reportHTML
        stopped = outcome.wasStopped
    }

    var text: String {
        var lines = [
            "\(released) of \(rounds) rounds released; ε = \(decimal(epsilon, 4)) spent at δ = \(delta) "
                + "for one \(unit)"
        ]
        if let metric = scores.metric, let before = scores.before, let after = scores.after {
            lines.append("held-out \(metric): \(decimal(before, 4)) before, \(decimal(after, 4)) after")
        }
        lines += SiteScore.lines(sites)
        lines += [
            "each client sent \(bytes(bytesUpPerClient)) and received \(bytes(bytesDownPerClient)) a round; "
                + "peak memory \(bytes(peakMemory))",
            "adapter  \(adapter)",
            "report   \(report)",
            "next: fedtrain audit \(run)",
        ]
        return lines.joined(separator: "\n")
    }

    /// A run that was stopped, or that never released anything, is not a success.
    var failure: CommandFailure? {
        if stopped {
            return CommandFailure(
                .interrupted, "stopped after \(rounds) rounds; ledger, adapter and report are complete",
                at: run, privacy: "ε = \(decimal(epsilon, 4)) is spent")
        }
        guard released > 0 else {
            return CommandFailure(
                .quorum, "no round had enough survivors; nothing was opened", at: run,
                privacy: epsilon > 0
                    ? "ε = \(decimal(epsilon, 4)) is spent: masked vectors had left the clients"
                    : "nothing is spent: no masked vector had left",
                hint: "lower rounds.minSurvivors, or find out why clients are lost")
        }
        return nil
    }
}
