import FedTrain

/// What `simulate` reports of a federation in clear.
struct ClearPayload: Encodable {
    let inClear: String
    let directory: String
    let scope: String
    let rounds: Int
    let scores: RunPayload.Scores
    let sites: [SiteScore]

    /// Runs it; a round's line says which, since nothing else happens that a person waits for.
    init(
        _ configuration: FederationConfiguration, source: ConfigurationNode, workspace: Workspace,
        randomness: RunRandomness, console: Console
    ) throws {
        let federation = try ClearFederation(configuration, randomness: randomness)
        console.say(ClearFederation.label)
        let count = configuration.rounds.count
        SignalWatch.start()
        let outcome = try federation.execute(in: workspace, source: source) { site, round in
            if SignalWatch.interrupted {
                throw CommandFailure(
                    .interrupted, "stopped in round \(round); a run in clear keeps nothing half-way",
                    privacy: "nothing was protected, and nothing was released")
            }
            console.tick("round \(round)/\(count)\(site.map { "  \($0) on its own" } ?? "")")
        }
        inClear = ClearFederation.label
        directory = outcome.directory
        scope = configuration.training.scope.rawValue
        rounds = count
        scores = RunPayload.Scores(
            metric: outcome.after?.metric, before: outcome.before?.value, after: outcome.after?.value)
        sites = outcome.siteScores
    }

    var text: String {
        var lines = [inClear]
        if let metric = scores.metric, let before = scores.before, let after = scores.after {
            lines.append("held-out \(metric): \(decimal(before, 4)) before, \(decimal(after, 4)) after")
        }
        lines += SiteScore.lines(sites)
        lines.append("adapters \(directory)")
        return lines.joined(separator: "\n")
    }
}

extension SiteScore {
    /// Clients' own held-out losses in one line; the single figures are in the JSON.
    static func lines(_ sites: [SiteScore]) -> [String] {
        guard !sites.isEmpty else { return [] }
        func mean(_ value: (SiteScore) -> Double) -> String {
            decimal(sites.reduce(0) { $0 + value($1) } / Double(sites.count), 4)
        }
        let personal = sites.allSatisfy { $0.personal != nil } ? ", own \(mean { $0.personal! })" : ""
        return [
            "mean loss on \(sites.count) clients' own held-out records: base \(mean { $0.base }), shared "
                + mean { $0.shared } + personal
        ]
    }
}
