import DP
import Models
import Sodium

/// One run from start to finish: scores before, rounds, scores after, adapter, report.
public struct FederationRun {
    public let prepared: PreparedFederation
    /// What the operator wrote, overrides applied; kept with the run.
    public let source: ConfigurationNode
    public let workspace: Workspace
    public let serverKey: SigningKey
    public let clock: RunClock

    public init(
        prepared: PreparedFederation, source: ConfigurationNode, workspace: Workspace,
        serverKey: SigningKey, clock: RunClock
    ) {
        self.prepared = prepared
        self.source = source
        self.workspace = workspace
        self.serverKey = serverKey
        self.clock = clock
    }

    public struct Outcome: Sendable {
        public let run: RunDirectory
        public let rounds: [RoundSummary]
        public let epsilon: Double
        public let before: HeldOutTest.Score?
        public let after: HeldOutTest.Score?
        public let adapter: LoRAAdapter
        public let wasStopped: Bool

        /// The busiest client's bytes in a whole round, up and down.
        public var bytesUpPerClient: Int { rounds.map(\.trace.bytesUpPerClient).max() ?? 0 }
        public var bytesDownPerClient: Int { rounds.map(\.trace.bytesDownPerClient).max() ?? 0 }
    }

    /// Runs the federation.
    ///
    /// - Parameters:
    ///   - comparisons: held-out scores of other models, to stand beside the run's own in the report.
    ///   - shouldStop: asked between rounds.
    public func execute(
        comparisons: [ScoreFact] = [], shouldStop: () -> Bool = { false },
        observe: @escaping (FederationEvent) -> Void = { _ in }
    ) throws -> Outcome {
        let run = try workspace.makeRun()
        try AtomicFile.write(source.json.text(.indented) + "\n", to: run.configuration)
        let federation = try LocalFederation(
            plan: prepared.plan, configuration: prepared.configuration, base: prepared.base,
            data: prepared.data, run: run, serverKey: serverKey, prior: prepared.prior,
            randomness: prepared.randomness, clock: clock, observe: observe)
        let before = try prepared.data.heldOut?.score(base: prepared.base, adapter: nil)
        try federation.runRounds(shouldStop: shouldStop)
        let after = try prepared.data.heldOut?.score(base: prepared.base, adapter: federation.adapter)

        var scores = comparisons
        if let before { scores.insert(ScoreFact(name: "base model", before), at: 0) }
        if let after { scores.append(ScoreFact(name: "federation with privacy", after)) }
        try federation.record(scores)
        try PeftAdapter.write(
            federation.adapter, to: run.adapter, baseModelName: prepared.configuration.model.baseDirectory)
        try federation.close()
        try ReportFiles.write(run: run, key: serverKey)
        return Outcome(
            run: run, rounds: federation.rounds, epsilon: try federation.epsilonSpent, before: before,
            after: after, adapter: federation.adapter,
            wasStopped: federation.rounds.count < prepared.plan.rounds)
    }
}

extension ScoreFact {
    public init(name: String, _ score: HeldOutTest.Score) {
        self.init(
            name: name, metric: score.metric, value: score.value, count: score.count,
            higherIsBetter: score.higherIsBetter)
    }
}
