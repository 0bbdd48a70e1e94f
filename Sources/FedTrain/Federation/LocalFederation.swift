import DP
import GMP
import Models
import SecureAgg
import Sodium

/// A whole federation in this process: the server's and the clients' halves that a network joins, with
/// function calls for wires.
///
/// Every round: the server reserves its price, each site reserves its own, draws noise, trains and
/// encodes; the sites' vectors are summed under masks; the opened sum moves the model. A round that
/// falls below the survivor floor opens nothing, stays charged, and the next one starts from the same
/// model.
final class LocalFederation {
    let prepared: PreparedFederation
    let server: ServerRun
    private let serverKey: VerifyingKey
    private typealias LocalSite = (
        id: ClientID, data: SiteData, run: SiteRun, ledger: MemoryLedgerStorage
    )
    private let sites: [LocalSite]
    private let clock: RunClock
    private let observe: (FederationEvent) -> Void

    private var plan: RoundPlan { prepared.plan }

    /// Makes identities and ledgers in a new run of the workspace; nothing is trained or spent yet.
    init(
        _ prepared: PreparedFederation, source: ConfigurationNode, workspace: Workspace,
        serverKey: SigningKey, clock: RunClock, observe: @escaping (FederationEvent) -> Void
    ) throws {
        self.prepared = prepared
        self.clock = clock
        self.observe = observe
        self.serverKey = serverKey.verifyingKey
        let identities = prepared.data.sites.enumerated().map { index, site in
            var random = prepared.randomness.stream("identity/\(site.name)")
            return ClientIdentity(
                id: ClientID(UInt64(index + 1)), signingKey: SigningKey(generatedBy: &random))
        }
        let roster = try Self.enrol(identities, randomness: prepared.randomness)
        server = try ServerRun(
            starting: prepared, source: source, workspace: workspace, key: serverKey, roster: roster,
            clock: clock, setting: LedgerFacts.oneProcess)
        try AtomicFile.makeDirectory(server.run.clients)
        let engine = Self.engine(prepared)
        let (run, prior, cache) = (server.run, prepared.prior, CohortCache())
        sites = try zip(prepared.data.sites, identities).map { data, identity in
            let ledger = MemoryLedgerStorage()
            let site = try SiteRun(
                PreparedSite(data, of: prepared), name: data.name, run: run.name,
                files: run.siteFiles(of: data.name, ledger: ledger), identity: identity,
                server: serverKey.verifyingKey,
                roster: roster, journal: InMemoryJournal(), prior: prior,
                // What the plan may spend is what earlier runs left of the workspace's budget.
                limit: prior.epsilon + prepared.plan.epsilonMax, randomness: prepared.randomness,
                clock: clock, setting: LedgerFacts.oneProcess, engine: engine, cohortCache: cache)
            return (identity.id, data, site, ledger)
        }
    }

    /// An authority signs the roster; everyone else verifies it.
    private static func enrol(
        _ identities: [ClientIdentity], randomness: RunRandomness
    ) throws -> Roster {
        var random = randomness.stream("authority")
        let authority = SigningKey(generatedBy: &random)
        let listed = try Roster(
            epoch: 1, entries: identities.map { .init(id: $0.id, key: $0.verifyingKey) })
        return try Roster(signedBytes: listed.signed(by: authority), authority: authority.verifyingKey)
    }

    /// Runs the rounds that are left.
    ///
    /// - Parameter shouldStop: asked between rounds; true ends the run with everything kept.
    func runRounds(shouldStop: () -> Bool) throws {
        while !shouldStop() {
            let now = UInt64(max(0, clock.epochSeconds()))
            guard let (round, session) = try server.beginRound() else { return }
            observe(.roundStarted(round, of: plan.rounds))
            let summary = try runRound(round, session: session, now: now)
            observe(.roundEnded(summary, epsilon: try server.epsilonSpent))
        }
    }

    private func runRound(_ round: Int, session: ServerSession, now: UInt64) throws -> RoundSummary {
        let turn = turn(in: round)
        var lost = losses(round: round)
        // A client that its own ledger keeps out says nothing at all.
        for site in turn where !site.run.mayEnter(round) { lost[site.id] = .advertiseKeys }
        let incoming = server.model.digest
        // Training comes before stage 0, so that a slow site costs nobody anything.
        var participants: [LoopbackRound.Participant] = []
        let present = turn.filter { lost[$0.id] != .advertiseKeys }
        // Several for each lane, so that none waits long for the slowest of a group.
        let groupSize = lanes == 1 ? 1 : 4 * lanes
        for start in stride(from: 0, to: present.count, by: groupSize) {
            let group = Array(present[start..<min(start + groupSize, present.count)])
            for (offset, site) in group.enumerated() {
                observe(
                    .siteTraining(round, site: site.data.name, index: start + offset, of: present.count))
            }
            for (site, trained) in zip(group, train(group, round: round)) {
                let values: [Int32]
                do { values = try trained.get() } catch let error as ExternalTrainerError {
                    // Nothing of the site has left: it has its price back, and is lost before the first stage.
                    try site.run.settle(round, reason: error.name)
                    lost[site.id] = .advertiseKeys
                    observe(.trainerFailed(round, site: site.data.name, error))
                    continue
                }
                let (session, random) = try site.run.session(round: round, incoming: incoming)
                participants.append(
                    LoopbackRound.Participant(
                        id: site.id, session: session, random: random,
                        values: {
                            try site.run.commit(round)
                            return values
                        }))
            }
        }
        var aggregation = LoopbackRound(
            server: session, participants: participants, invited: turn.count, losses: lost, now: now,
            clock: clock.monotonic)
        let outcome = try aggregation.run { survivors, trace in
            try server.commit(round: round, survivors: survivors.count, trace: trace)
        }
        let trace = aggregation.trace
        for site in turn { try site.run.settle(round) }
        switch outcome {
        case .released(let sum):
            return try server.release(sum, trace: trace)
        case .aborted(let fault):
            // Once any part of a masked vector has left a client, the round's price stays spent.
            let isCharged = (trace.bytesUp[.submitMaskedInput] ?? 0) > 0
            return try server.abort(fault, trace: trace, isCharged: isCharged)
        }
    }

    /// The sites whose turn it is.
    private func turn(in round: Int) -> [LocalSite] {
        sites.filter { plan.isTurn(of: $0.id, round: round) }
    }

    private var lanes: Int { Self.lanes(clients: sites.count) }

    /// Clients that train at the same time: many keep the cores busier than one that has them all, and the bits
    /// are the same.
    static func lanes(clients: Int) -> Int { clients >= 4 * concurrency ? concurrency : 1 }

    /// What the clients train with: one thread each where several train at a time.
    static func engine(_ prepared: PreparedFederation) -> TrainingEngine {
        TrainingEngine(
            model: prepared.base.model,
            threads: lanes(clients: prepared.data.sites.count) > 1 ? 1 : nil)
    }

    private func train(_ group: [LocalSite], round: Int) -> [Result<[Int32], any Error>] {
        let model = server.model
        // Each site is touched by one thread only, and its clock is read-only.
        nonisolated(unsafe) let group = group
        guard group.count > 1 else {
            return group.map { site in
                Result { try site.run.contribution(round: round, model: model) }
            }
        }
        return concurrentResults(group.count) {
            try group[$0].run.contribution(round: round, model: model)
        }
    }

    /// Who is lost in a round, by the configuration's script: random sites, drawn per round.
    private func losses(round: Int) -> [ClientID: Stage] {
        var generator = prepared.randomness.generator("round \(round)/losses")
        var order = turn(in: round).map(\.id)
        order.shuffle(using: &generator)
        var losses: [ClientID: Stage] = [:]
        for loss in prepared.configuration.simulation.lose where loss.round == round {
            for id in order.filter({ losses[$0] == nil }).prefix(loss.clients) {
                losses[id] = loss.stage
            }
        }
        return losses
    }

    // MARK: The end

    /// What each client's own held-out records say of the shared model and of its own.
    func siteScores() throws -> [SiteScore] {
        try sites.filter { !$0.data.heldOut.isEmpty }.map { site in
            try SiteScore(
                site.data, base: prepared.base, shared: server.adapter,
                personal: try site.run.personalAdapter(server.model))
        }
    }

    /// The clients' own adapters, which never leave them in a federation over a network.
    func personalAdapters() throws -> [Adapter?] {
        try sites.map { try $0.run.personalAdapter(server.model) }
    }

    /// Writes the clients' ledgers beside the server's, as far as the run got.
    func keepClientLedgers() throws {
        for site in sites {
            let path = server.run.clientLedger(site.data.name)
            try AtomicFile.write(site.ledger.log, to: path)
            if let acknowledgement = site.ledger.acknowledgement {
                try AtomicFile.write(acknowledgement, to: path + ".ack")
            }
        }
    }

    /// Scores the shared model, closes the ledgers and writes the report.
    func finish(
        comparisons: [ScoreFact]
    ) throws -> (before: HeldOutTest.Score?, after: HeldOutTest.Score?) {
        for site in sites { try site.run.close() }
        try keepClientLedgers()
        return try server.finish(comparisons: comparisons)
    }
}

extension SiteScore {
    init(_ site: SiteData, base: BaseModel, shared: Adapter, personal: Adapter?) throws {
        func loss(_ adapter: Adapter?) throws -> (loss: Double, tokens: Int) {
            try Evaluator(model: base.model, adapter: adapter).meanLoss(site.heldOut)
        }
        let before = try loss(nil)
        self.init(
            site: site.name, base: before.loss, shared: try loss(shared).loss,
            personal: try personal.map { try loss($0).loss }, tokens: before.tokens)
    }
}

/// The clocks of a run, handed in from above.
public struct RunClock {
    /// Seconds since 1970, for ledgers.
    public let epochSeconds: () -> Int
    /// Seconds of a clock that never jumps, for durations.
    public let monotonic: () -> Double

    public init(epochSeconds: @escaping () -> Int, monotonic: @escaping () -> Double) {
        self.epochSeconds = epochSeconds
        self.monotonic = monotonic
    }
}

/// What a watcher of a run gets to see.
public enum FederationEvent: Sendable {
    case roundStarted(Int, of: Int)
    case siteTraining(Int, site: String, index: Int, of: Int)
    case roundEnded(RoundSummary, epsilon: Double)
    /// The site is lost for the round; its price went back to it.
    case trainerFailed(Int, site: String, ExternalTrainerError)
}

/// One round in figures.
public struct RoundSummary: Sendable {
    public let round: Int
    public let trace: RoundTrace
    public let survivors: Int
    /// Why the round opened nothing; nil when it was released.
    public let fault: AggregationFault?
    /// Whether the round's price stays spent.
    public let isCharged: Bool

    package init(
        round: Int, trace: RoundTrace, survivors: Int, fault: AggregationFault?, isCharged: Bool
    ) {
        self.round = round
        self.trace = trace
        self.survivors = survivors
        self.fault = fault
        self.isCharged = isCharged
    }

    public var isReleased: Bool { fault == nil }
}
