import DP
import Foundation
import Models
import SecureAgg
import Sodium

/// The server's half of a run that others drive: what outlives a round, and what it costs.
///
/// The driver asks for a round, hands messages to its session, and comes back with what became of it.
/// Every step that a crash must not forget is durable when its call returns: the reservation before a
/// round exists, the commitment before the first share is asked for, the new adapter before it is
/// announced. `resume` finds out how far a dead process got and closes what it left open.
package final class ServerRun {
    package let prepared: PreparedFederation
    package let run: RunDirectory
    package let roster: Roster
    package private(set) var model: GlobalModel
    /// The rounds that this process ended.
    package private(set) var rounds: [RoundSummary] = []
    /// What `resume` had to close, in words; empty for a fresh run.
    package private(set) var recovered: [String] = []

    /// Told each point that a crash may come after, by name; a test throws there and starts again.
    package var passing: (_ point: String) throws -> Void = { _ in }

    private let key: SigningKey
    private let clock: RunClock
    private let ledger: LedgerFile
    private let eventLog: EventLog
    private var optimizers: [ServerOptimizer]
    private var open: (round: Int, rotation: Rotation)?
    /// The right to use the open round's sum.
    private var permit: Permit?

    package var plan: RoundPlan { prepared.plan }
    /// The adapter after the latest opened round.
    package var adapter: Adapter { model.adapter }

    /// Names the run beyond its number: the digest of its ledger's first line.
    package var identifier: Digest {
        let records = ledger.ledger.records
        return records.count > 1 ? records[1].previous : ledger.ledger.head
    }

    /// Starts the workspace's next run.
    package init(
        starting prepared: PreparedFederation, source: ConfigurationNode, workspace: Workspace,
        key: SigningKey, roster: Roster, clock: RunClock, setting: String = LedgerFacts.network
    ) throws {
        run = try workspace.makeRun()
        try AtomicFile.write(source.json.text(.indented) + "\n", to: run.configuration)
        self.prepared = prepared
        self.roster = roster
        self.key = key
        self.clock = clock
        model = prepared.initialModel
        optimizers = GlobalModel.optimizers(prepared.configuration.training.server, prepared.shared)
        // Before the ledger, so that a ledger always has a state to continue from.
        try AtomicFile.write(
            ServerSnapshot(round: 0, model: model.numbers, optimizers: optimizers.map(\.state), release: [:])
                .bytes,
            to: run.serverState)
        ledger = try LedgerFile.create(
            in: try FileLedgerStorage(path: run.ledger), key: key,
            plan: prepared.plan.statement(
                run: run.name, adapter: model.adapter, base: prepared.base, data: prepared.data.planStatement,
                randomness: prepared.randomness, prior: prepared.prior, setting: setting,
                runsInClear: workspace.clearRuns().count),
            at: clock.epochSeconds())
        eventLog = try EventLog(path: run.events)
    }

    /// Continues a run after its process ended, however it ended.
    ///
    /// A round whose sum was already turned into an adapter is released now. Any other open round is
    /// declared failed: its cost is returned only if nothing can have left a client.
    ///
    /// - Parameter mayHaveLeft: whether masked vectors of a round were ever asked for.
    package init(
        resuming run: RunDirectory, prepared: PreparedFederation, key: SigningKey, roster: Roster,
        clock: RunClock, mayHaveLeft: (_ round: Int) -> Bool
    ) throws {
        self.run = run
        self.prepared = prepared
        self.roster = roster
        self.key = key
        self.clock = clock
        ledger = try LedgerFile.open(try FileLedgerStorage(path: run.ledger), key: key)
        eventLog = try EventLog(path: run.events, continuing: true)
        guard ledger.ledger.plan.facts[LedgerFacts.planDigest] == prepared.plan.digest.hex else {
            throw ServerRunError.planChanged(run: run.path)
        }
        guard let bytes = FileManager.default.contents(atPath: run.serverState),
            let snapshot = ServerSnapshot(bytes: Array(bytes)),
            let restored = GlobalModel(
                numbers: snapshot.model, prepared.configuration, shared: prepared.shared,
                plan: prepared.plan.digest),
            let optimizers = GlobalModel.optimizers(
                prepared.configuration.training.server, prepared.shared, continuing: snapshot.optimizers)
        else { throw ServerRunError.stateUnreadable(run.serverState) }
        model = restored
        self.optimizers = optimizers
        try closeOpenRounds(snapshot, mayHaveLeft: mayHaveLeft)
    }

    private func closeOpenRounds(
        _ snapshot: ServerSnapshot, mayHaveLeft: (Int) -> Bool
    ) throws {
        for (round, entry) in ledger.ledger.rounds.sorted(by: { $0.key < $1.key }) {
            switch entry.state {
            case .committed where snapshot.round == round:
                try writeAdapter(round: round)
                try ledger.release(round: round, at: clock.epochSeconds(), payload: snapshot.release)
                recovered.append("round \(round) was opened and is released now")
            case .committed:
                try abortLeftover(round, returned: false)
            case .reserved:
                try abortLeftover(round, returned: !mayHaveLeft(round))
            case .released, .abortedSpent, .abortedReturned:
                break
            }
        }
    }

    private func abortLeftover(_ round: Int, returned: Bool) throws {
        try ledger.abort(
            round: round, beforeAnythingLeft: returned, reason: "the server was restarted",
            at: clock.epochSeconds())
        recovered.append(
            "round \(round) is declared failed; its price "
                + (returned ? "was returned: nothing had left a client" : "stays spent"))
    }

    // MARK: One round

    /// Reserves the next round's price and opens its session; nil when all rounds have been started.
    package func beginRound(
        lifetimeSeconds: UInt64 = RoundPlan.roundLifetimeSeconds
    ) throws -> (round: Int, session: ServerSession)? {
        precondition(open == nil, "one round at a time")
        let round = (ledger.ledger.rounds.keys.max() ?? 0) + 1
        guard round <= plan.rounds else { return nil }
        let incoming = adapter.digest
        var random = prepared.randomness.stream("round \(round)/server")
        let manifest = try plan.manifest(
            round: round, incoming: incoming, roster: roster,
            nonce: Digest(bytes: random.bytes(Digest.length))!,
            now: UInt64(max(0, clock.epochSeconds())), lifetimeSeconds: lifetimeSeconds)
        permit = try ledger.reserve(round: round, at: clock.epochSeconds())
        open = (round, plan.rotation(round: round, incoming: incoming))
        try passing("round reserved")
        return (round, ServerSession(manifest: manifest, signingKey: key, roster: roster, threads: 2))
    }

    /// Must return before the first share is asked for: from then on the sum may be known.
    package func commit(round: Int, survivors: Int, trace: RoundTrace) throws {
        try ledger.commit(
            round: round, survivors: survivors, at: clock.epochSeconds(),
            payload: RoundCounts(trace).payload)
        try passing("sum committed")
    }

    /// Turns the opened sum into the next adapter.
    package func release(_ sum: AggregateSum, trace: RoundTrace) throws -> RoundSummary {
        let (round, rotation) = open!
        open = nil
        ServerRound(plan: plan).advance(
            &model, sum: plan.opened(sum), round: round, rotation: rotation, permit: permit.take()!,
            optimizers: &optimizers)
        var payload = RoundCounts(trace).payload
        payload["adapter"] = adapter.digest.hex
        payload["transcript"] = sum.transcript.root.hex
        // Before the state, whose release must name the file.
        try writeAdapter(round: round)
        payload[RunFiles.roundAdapterField] = try RunFiles.adapterDigest(
            in: run.globalAdapter(round: round)
        ).hex
        try passing("adapter written")
        try AtomicFile.write(
            ServerSnapshot(
                round: round, model: model.numbers, optimizers: optimizers.map(\.state), release: payload
            ).bytes, to: run.serverState)
        try passing("state written")
        try ledger.release(round: round, at: clock.epochSeconds(), payload: payload)
        try passing("round released")
        return try ended(
            RoundSummary(
                round: round, trace: trace, survivors: sum.survivors.count, fault: nil, isCharged: true))
    }

    /// Closes a round that opened nothing.
    ///
    /// - Parameter isCharged: whether any part of a masked vector can have left a client.
    package func abort(
        _ fault: AggregationFault, trace: RoundTrace, isCharged: Bool
    ) throws -> RoundSummary {
        let round = open!.round
        open = nil
        permit = nil
        try ledger.abort(
            round: round, beforeAnythingLeft: !isCharged,
            reason: "\(fault.stage.name): \(fault.check.rawValue)", at: clock.epochSeconds(),
            payload: RoundCounts(trace).payload)
        try passing("round aborted")
        return try ended(
            RoundSummary(
                round: round, trace: trace, survivors: trace.survivors, fault: fault, isCharged: isCharged))
    }

    private func ended(_ summary: RoundSummary) throws -> RoundSummary {
        rounds.append(summary)
        try eventLog.append(summary, epsilon: epsilonSpent)
        return summary
    }

    private func writeAdapter(round: Int) throws {
        try PeftAdapter.write(
            adapter, to: run.globalAdapter(round: round),
            baseModelName: prepared.configuration.model.baseName)
    }

    // MARK: The end

    /// Records why a run ends before its last round.
    package func note(_ text: String) throws {
        try ledger.note(at: clock.epochSeconds(), payload: ["what": text])
    }

    /// Scores the adapter, closes the ledger and writes the signed report.
    ///
    /// - Parameter comparisons: held-out scores of other models, to stand beside the run's own in the report.
    package func finish(
        comparisons: [ScoreFact] = []
    ) throws -> (before: HeldOutTest.Score?, after: HeldOutTest.Score?) {
        let before = try prepared.data.heldOut?.score(base: prepared.base, adapter: nil)
        let after = try prepared.data.heldOut?.score(base: prepared.base, adapter: adapter)
        // A process that died here before may have recorded them already.
        let isScored = ledger.ledger.records.contains { $0.kind == .score }
        let base = before.map { [ScoreFact(name: "base model", $0)] } ?? []
        let own = after.map { [ScoreFact(name: "federation with privacy", $0)] } ?? []
        for score in base + comparisons + own where !isScored {
            try ledger.score(at: clock.epochSeconds(), payload: score.payload)
            try passing("score recorded")
        }
        try PeftAdapter.write(
            adapter, to: run.adapter, baseModelName: prepared.configuration.model.baseName)
        try passing("final adapter written")
        try ledger.note(at: clock.epochSeconds(), payload: try RunFiles.closingPayload(of: run))
        try passing("adapter noted")
        try ledger.close(at: clock.epochSeconds())
        try passing("ledger closed")
        try ReportFiles.write(run: run, key: key)
        try passing("report written")
        return (before, after)
    }

    /// ε charged so far.
    package var epsilonSpent: Double {
        get throws { try ledger.ledger.budget.epsilonSpent().upper }
    }

    /// Rounds by what became of them, over all processes of this run.
    package var counts: (started: Int, released: Int) {
        let rounds = ledger.ledger.rounds
        return (rounds.count, rounds.values.count { $0.state == .released })
    }

    /// How far the workspace's latest run got.
    package enum Latest {
        case none
        case unfinished(RunDirectory)
        case finished(RunDirectory)
    }

    /// Looks at the workspace's latest run that was started by a server.
    package static func latest(in workspace: Workspace, key: SigningKey) throws -> Latest {
        let files = FileManager.default
        guard
            let run = workspace.runs().last(where: {
                files.fileExists(atPath: $0.ledger) && files.fileExists(atPath: $0.serverState)
            })
        else { return .none }
        let bytes = Array(FileManager.default.contents(atPath: run.ledger) ?? Data())
        let complete = (bytes.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
        guard complete > 0 else { return .none }
        let ledger = try Ledger.verify(Array(bytes[..<complete]), expecting: key.verifyingKey)
        guard ledger.isClosed else { return .unfinished(run) }
        if !files.fileExists(atPath: run.reportSignature) { try ReportFiles.write(run: run, key: key) }
        return .finished(run)
    }
}

/// Why a run cannot be continued.
package enum ServerRunError: Error, Equatable {
    /// The configuration or the base model gives another plan than the one that the run was started with.
    case planChanged(run: String)
    case stateUnreadable(String)
}
