import FedTrain
import Foundation
import SecureAgg
import Sodium

/// What the coordinator asks of the run that it serves. Whoever implements it decides about training,
/// noise and the ledger; the coordinator only moves messages and watches deadlines.
package protocol FederationHost: AnyObject {
    /// n, the clients that the plan is made for.
    var invited: Int { get }
    /// A round starts with at least this many.
    var minCohort: Int { get }
    var minSurvivors: Int { get }
    var roundsPlanned: Int { get }
    /// Rounds started and released so far, over all processes of the run.
    var counts: (started: Int, released: Int) { get }
    var epsilonSpent: Double { get throws }
    var terms: HostTerms { get }
    /// The incoming adapter of the next or the open round.
    var adapter: (values: [UInt8], digest: Digest) { get }

    /// Nonces of session requests that earlier processes accepted, each with the time, in seconds since 1970,
    /// until which the request could be replayed.
    var acceptedNonces: [Digest: UInt64] { get }

    /// Must be durable before the session opens: a restarted server would take the request again.
    func accepts(nonce: Digest, until: UInt64) throws
    /// Pays for the next round and opens its session; nil when all rounds were started.
    func beginRound(lifetimeSeconds: UInt64) throws -> (round: Int, session: ServerSession)?
    /// Must be durable before the stage's messages are handed out.
    func stageOpens(_ stage: Stage, round: Int, members: [ClientID]) throws
    /// Must be durable before the first share is asked for.
    func commit(round: Int, survivors: Int, trace: RoundTrace) throws
    func release(_ sum: AggregateSum, trace: RoundTrace) throws -> RoundSummary
    func abort(_ fault: AggregationFault, trace: RoundTrace, isCharged: Bool) throws -> RoundSummary
    /// Ends the run: everything that is left to write.
    func finish(stopped: Bool) throws
    /// Told each point of a round that a crash may come after, by name.
    func passes(_ point: String) throws
}

extension FederationHost {
    package func passes(_ point: String) throws {}
}

/// The run's terms as a client gets them.
package struct HostTerms: Sendable {
    package var federation: String
    package var run: String
    package var identifier: Digest
    package var configuration: [UInt8]
    package var spentBefore: String
    package var runsBefore: Int
    package var roster: [UInt8]
    package var planDigest: Digest
    package var baseDigest: Digest
    package var seed: UInt64?

    package init(
        federation: String, run: String, identifier: Digest, configuration: [UInt8], spentBefore: String,
        runsBefore: Int, roster: [UInt8], planDigest: Digest, baseDigest: Digest, seed: UInt64?
    ) {
        self.federation = federation
        self.run = run
        self.identifier = identifier
        self.configuration = configuration
        self.spentBefore = spentBefore
        self.runsBefore = runsBefore
        self.roster = roster
        self.planDigest = planDigest
        self.baseDigest = baseDigest
        self.seed = seed
    }

    var wire: WireTerms {
        var wire = WireTerms()
        wire.federation = federation
        wire.run = run
        wire.runID = Data(identifier.bytes)
        wire.configuration = Data(configuration)
        wire.spentBefore = spentBefore
        wire.runsBefore = UInt32(runsBefore)
        wire.roster = Data(roster)
        wire.planDigest = Data(planDigest.bytes)
        wire.baseDigest = Data(baseDigest.bytes)
        if let seed { wire.seed = seed }
        return wire
    }

    /// Reads terms whose signature was checked.
    init(_ wire: WireTerms) throws(Problem) {
        guard let identifier = Digest(bytes: wire.runID), let plan = Digest(bytes: wire.planDigest),
            let base = Digest(bytes: wire.baseDigest)
        else { throw Problem(.malformed, "the terms carry a digest of another length") }
        self.init(
            federation: wire.federation, run: wire.run, identifier: identifier,
            configuration: [UInt8](wire.configuration), spentBefore: wire.spentBefore,
            runsBefore: Int(wire.runsBefore), roster: [UInt8](wire.roster), planDigest: plan,
            baseDigest: base, seed: wire.hasSeed ? wire.seed : nil)
    }
}
