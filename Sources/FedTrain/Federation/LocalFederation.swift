import DP
import GMP
import Models
import SecureAgg
import Sodium

/// A whole federation in this process: the code that a network runs, with function calls for wires.
///
/// Every round: the server reserves its price, each site reserves its own, draws noise, trains and
/// encodes; the sites' vectors are summed under masks; the opened sum moves the adapter. A round that
/// falls below the survivor floor opens nothing, stays charged, and the next one starts from the same
/// adapter.
public final class LocalFederation {
    let plan: RoundPlan
    let configuration: FederationConfiguration
    let base: BaseModel
    let run: RunDirectory
    let clock: RunClock
    let randomness: RunRandomness
    private let sites: [Site]
    private let server: FederationServer
    private let ledger: LedgerFile
    private let eventLog: EventLog
    private let observe: (FederationEvent) -> Void

    /// The adapter after the latest opened round.
    public private(set) var adapter: LoRAAdapter
    private var optimizer: ServerOptimizer
    public private(set) var rounds: [RoundSummary] = []

    /// Makes identities and ledgers in `run`; nothing is trained or spent yet.
    public init(
        plan: RoundPlan, configuration: FederationConfiguration, base: BaseModel, data: FederationData,
        run: RunDirectory, serverKey: SigningKey, prior: PriorSpending, randomness: RunRandomness,
        clock: RunClock, observe: @escaping (FederationEvent) -> Void
    ) throws {
        self.plan = plan
        self.configuration = configuration
        self.base = base
        self.run = run
        self.clock = clock
        self.randomness = randomness
        self.observe = observe
        adapter = Self.initialAdapter(configuration, base: base, randomness: randomness)
        optimizer = ServerOptimizer(configuration.training.server, dimension: adapter.count(plan.part))

        let statement = plan.statement(
            run: run.name, adapter: adapter, base: base, data: data.planStatement, randomness: randomness,
            prior: prior)
        ledger = try LedgerFile.create(
            in: try FileLedgerStorage(path: run.ledger), key: serverKey, plan: statement,
            at: clock.epochSeconds())
        sites = try SiteFactory(
            plan: plan, statement: statement, run: run, randomness: randomness, clock: clock
        ).makeSites(data.sites)
        server = try FederationServer(
            key: serverKey, plan: plan, sites: sites, randomness: randomness)
        eventLog = try EventLog(path: run.events)
    }

    /// The shared start, the same for everyone: the configured adapter, or A uniform and B zero.
    public static func initialAdapter(
        _ configuration: FederationConfiguration, base: BaseModel, randomness: RunRandomness
    ) -> LoRAAdapter {
        if let start = configuration.model.start { return start }
        var generator = randomness.generator("adapter")
        return LoRAAdapter(
            configuration: configuration.model.adapter, base: base.model.configuration,
            generator: &generator)
    }

    /// Runs the rounds that are left.
    ///
    /// - Parameter shouldStop: asked between rounds; true ends the run with everything kept.
    public func runRounds(shouldStop: () -> Bool) throws {
        for round in rounds.count + 1...plan.rounds {
            if shouldStop() {
                try ledger.note(
                    at: clock.epochSeconds(),
                    payload: ["what": "stopped by the operator before round \(round)"])
                return
            }
            try runRound(round)
        }
    }

    /// Records held-out scores; the test data is public, so they cost no privacy.
    public func record(_ scores: [ScoreFact]) throws {
        for score in scores {
            try ledger.score(at: clock.epochSeconds(), payload: score.payload)
        }
    }

    /// Ends the run: the ledger names the run's files, and nothing but audits can be added any more.
    public func close() throws {
        try ledger.note(at: clock.epochSeconds(), payload: try RunFiles.closingPayload(of: run))
        try ledger.close(at: clock.epochSeconds())
    }

    /// ε charged so far.
    public var epsilonSpent: Double {
        get throws { try ledger.ledger.budget.epsilonSpent().upper }
    }

    // MARK: One round

    private func runRound(_ round: Int) throws {
        observe(.roundStarted(round, of: plan.rounds))
        let incoming = adapter.digest
        let rotation = plan.rotation(round: round, incoming: incoming)
        let lost = server.losses(round: round, configuration.simulation.lose)
        let permit = try ledger.reserve(round: round, at: clock.epochSeconds())
        let contributions = try train(round, rotation: rotation, lost: lost)

        var aggregation = try server.round(
            round, incoming: incoming, contributions: contributions, lost: lost,
            clock: clock)
        let outcome = try aggregation.run { survivors, trace in
            // Durable before the first share is asked for: from then on the sum may be known.
            try ledger.commit(
                round: round, survivors: survivors.count, at: clock.epochSeconds(),
                payload: RoundCounts(trace).payload)
        }
        let trace = aggregation.trace
        let summary: RoundSummary
        // Once any part of a masked vector has left a client, the round's price stays spent.
        let isCharged = (trace.bytesUp[.submitMaskedInput] ?? 0) > 0
        switch outcome {
        case .released(let sum):
            adapter = ServerRound(plan: plan).nextAdapter(
                adapter, sum: plan.opened(sum), rotation: rotation, permit: permit, optimizer: &optimizer)
            var payload = RoundCounts(trace).payload
            payload["adapter"] = adapter.digest.hex
            payload["transcript"] = sum.transcript.root.hex
            try PeftAdapter.write(
                adapter, to: run.globalAdapter(round: round),
                baseModelName: configuration.model.baseDirectory)
            payload[RunFiles.roundAdapterField] = try RunFiles.adapterDigest(
                in: run.globalAdapter(round: round)
            ).hex
            try ledger.release(round: round, at: clock.epochSeconds(), payload: payload)
            summary = RoundSummary(
                round: round, trace: trace, survivors: sum.survivors.count, fault: nil,
                isCharged: true)
        case .aborted(let fault):
            try recordAbort(round, fault: fault, trace: trace, isCharged: isCharged)
            summary = RoundSummary(
                round: round, trace: trace, survivors: trace.survivors, fault: fault, isCharged: isCharged)
        }
        try settleSites(round, trace: trace, lost: lost)
        rounds.append(summary)
        try eventLog.append(summary, epsilon: epsilonSpent)
        observe(.roundEnded(summary, epsilon: try epsilonSpent))
    }

    /// Training comes before stage 0, so that a slow site costs nobody anything.
    private func train(
        _ round: Int, rotation: Rotation, lost: [ClientID: Stage]
    ) throws -> [ClientID: Contribution] {
        let client = ClientRound(
            plan: plan, training: configuration.training, engine: TrainingEngine(model: base.model))
        var contributions: [ClientID: Contribution] = [:]
        for (index, site) in sites.enumerated() where lost[site.id] != .advertiseKeys {
            observe(.siteTraining(round, site: site.name, index: index, of: sites.count))
            let permit = try site.ledger.reserve(round: round, at: clock.epochSeconds())
            let random = randomness.stream("\(run.name)/round \(round)/\(site.name)")
            let seeds = plan.noiseSeeds(using: random)
            let values = try client.contribution(
                of: site.examples, adapter: adapter, rotation: rotation, permit: permit,
                noiseSeeds: seeds, random: random)
            contributions[site.id] = Contribution(values: values, noiseSeeds: seeds)
        }
        return contributions
    }

    private func recordAbort(
        _ round: Int, fault: AggregationFault, trace: RoundTrace, isCharged: Bool
    ) throws {
        try ledger.abort(
            round: round, beforeAnythingLeft: !isCharged,
            reason: "\(fault.stage.name): \(fault.check.rawValue)",
            at: clock.epochSeconds(), payload: RoundCounts(trace).payload)
    }

    /// Each site closes its own entry: spent if its masked vector left, returned otherwise.
    private func settleSites(_ round: Int, trace: RoundTrace, lost: [ClientID: Stage]) throws {
        for site in sites where lost[site.id] != .advertiseKeys {
            if trace.sentMaskedInput(site.id) {
                try site.ledger.commit(round: round, at: clock.epochSeconds())
            } else {
                try site.ledger.abort(
                    round: round, beforeAnythingLeft: true, reason: "left before the masked vector",
                    at: clock.epochSeconds())
            }
        }
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
