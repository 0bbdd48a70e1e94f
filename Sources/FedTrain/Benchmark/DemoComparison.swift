import Models

/// The yardsticks of the demo: what the base, each site alone, and a federation in clear reach on the
/// same held-out notes.
///
/// They use the sites' notes without any privacy, which only generated data allows.
public struct DemoComparison {
    public let prepared: PreparedFederation

    public init(_ prepared: PreparedFederation) {
        self.prepared = prepared
    }

    /// Trains and scores every yardstick; `progress` names the one under way.
    public func scores(progress: (String) -> Void) throws -> [ScoreFact] {
        guard let heldOut = prepared.data.heldOut else { return [] }
        var scores: [ScoreFact] = []
        for site in prepared.data.sites {
            progress("\(site.name) on its own")
            let adapter = try train(site.examples, purpose: "alone/\(site.name)")
            scores.append(
                ScoreFact(
                    name: "\(site.name) alone", try heldOut.score(base: prepared.base, adapter: adapter)))
        }
        progress("the federation with its sum in clear")
        let everything = prepared.data.sites.flatMap(\.examples)
        let adapter = try train(everything, purpose: "clear")
        scores.append(
            ScoreFact(
                name: "federation in clear", try heldOut.score(base: prepared.base, adapter: adapter)))
        return scores
    }

    private func train(_ records: [TokenizedExample], purpose: String) throws -> LoRAAdapter {
        let training = ClearTraining(
            engine: TrainingEngine(model: prepared.base.model), part: .bOnly,
            rounds: prepared.plan.rounds, samplingRate: prepared.plan.samplingRate.asDouble,
            clipNorm: Float(prepared.plan.aggregation.encoding.clipNorm.asDouble),
            server: prepared.configuration.training.server)
        let start = LocalFederation.initialAdapter(
            prepared.configuration, base: prepared.base, randomness: prepared.randomness)
        return try training.train(
            start, on: records, random: prepared.randomness.stream(purpose))
    }
}
