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
        /// Of clients with held-out records of their own.
        public let siteScores: [SiteScore]
        public let adapter: Adapter
        /// The clients' own adapters, in their order; nil for those without one. Only a simulation sees them.
        public let personal: [Adapter?]
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
        let federation = try LocalFederation(
            prepared, source: source, workspace: workspace, serverKey: serverKey, clock: clock,
            observe: observe)
        do {
            try federation.runRounds(shouldStop: shouldStop)
        } catch {
            // What the clients spent is known even of a run that broke.
            try? federation.keepClientLedgers()
            throw error
        }
        let siteScores = try federation.siteScores()
        let personal = try federation.personalAdapters()
        let (before, after) = try federation.finish(comparisons: comparisons)
        return Outcome(
            run: federation.server.run, rounds: federation.server.rounds,
            epsilon: try federation.server.epsilonSpent, before: before, after: after,
            siteScores: siteScores, adapter: federation.server.adapter, personal: personal,
            wasStopped: federation.server.rounds.count < prepared.plan.rounds)
    }
}

extension ScoreFact {
    public init(name: String, _ score: HeldOutTest.Score) {
        self.init(
            name: name, metric: score.metric, value: score.value, count: score.count,
            higherIsBetter: score.higherIsBetter)
    }
}

/// What one client's own held-out records say, computed where the client is.
public struct SiteScore: Sendable, Equatable, Codable {
    public let site: String
    /// Mean loss of the base model, the shared adapter and the client's own; nil without one.
    public let base: Double
    public let shared: Double
    public let personal: Double?
    /// Predicted tokens that each mean rests on.
    public let tokens: Int
}
