import FedTrain
import SecureAgg
import Sodium

/// A `ServerRun` as the coordinator sees it, with the store that outlives both.
package final class RunHost: FederationHost {
    private let run: ServerRun
    private let store: ServiceStore
    private let signedRoster: [UInt8]
    private let configuration: [UInt8]
    package let acceptedNonces: [Digest: UInt64]
    /// What the run ended with, once it has.
    package private(set) var scores: (before: HeldOutTest.Score?, after: HeldOutTest.Score?)?

    package init(
        run: ServerRun, store: ServiceStore, source: ConfigurationNode, signedRoster: [UInt8],
        acceptedNonces: [Digest: UInt64]
    ) {
        self.run = run
        self.store = store
        self.signedRoster = signedRoster
        self.acceptedNonces = acceptedNonces
        configuration = Array(source.json.text().utf8)
    }

    private var plan: RoundPlan { run.plan }

    package var invited: Int { plan.clients }
    package var minCohort: Int { plan.minCohort }
    package var minSurvivors: Int { plan.minSurvivors }
    package var roundsPlanned: Int { plan.rounds }
    package var counts: (started: Int, released: Int) { run.counts }
    package var epsilonSpent: Double { get throws { try run.epsilonSpent } }

    package var terms: HostTerms {
        let prior = run.prepared.prior
        var seed: UInt64?
        if case .seeded(let value) = run.prepared.randomness { seed = value }
        return HostTerms(
            federation: plan.name, run: run.run.name, identifier: run.identifier,
            configuration: configuration, spentBefore: "\(prior.epsilon)", runsBefore: prior.runs,
            roster: signedRoster, planDigest: plan.digest, baseDigest: plan.baseDigest, seed: seed)
    }

    package var adapter: (values: [UInt8], digest: Digest) {
        (run.model.numbers.littleEndianBytes, run.model.digest)
    }

    package func accepts(nonce: Digest, until: UInt64) throws { try store.accept(nonce, until: until) }

    package func beginRound(lifetimeSeconds: UInt64) throws -> (round: Int, session: ServerSession)? {
        try run.beginRound(lifetimeSeconds: lifetimeSeconds)
    }

    package func stageOpens(_ stage: Stage, round: Int, members: [ClientID]) throws {
        try store.record(stage, run: run.run.name, round: round, members: members.count)
        try run.passing("stage \(stage.name) recorded")
    }

    package func passes(_ point: String) throws { try run.passing(point) }

    package func commit(round: Int, survivors: Int, trace: RoundTrace) throws {
        try run.commit(round: round, survivors: survivors, trace: trace)
    }

    package func release(_ sum: AggregateSum, trace: RoundTrace) throws -> RoundSummary {
        try run.release(sum, trace: trace)
    }

    package func abort(
        _ fault: AggregationFault, trace: RoundTrace, isCharged: Bool
    ) throws -> RoundSummary {
        try run.abort(fault, trace: trace, isCharged: isCharged)
    }

    package func finish(stopped: Bool) throws {
        if stopped { try run.note("stopped by the operator before round \(run.counts.started + 1)") }
        scores = try run.finish()
    }
}
