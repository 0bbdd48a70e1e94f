import GMP
import SecureAgg
import Sodium

/// A federation in one thread: its clients, its server, the network between them and everything that
/// goes wrong, all of it decided by one seed.
///
/// The clients and the honest server run the code that real ones run. A world lasts a few rounds, so that
/// journals, replays and keys have a past; its last round has no faults and must succeed.
public final class World {
    public struct Options: Sendable {
        public var clients = 16
        public var rounds = 8
        /// The last one has no faults.
        /// Keeps a line per event.
        public var traces = false

        public init() {}
    }

    public struct Report: Sendable {
        public let seed: UInt64
        public internal(set) var outcomes: [RoundOutcome] = []
        public internal(set) var faults: [Fault: Int] = [:]
        public internal(set) var violations: [Violation] = []
        /// Equal for equal runs.
        public internal(set) var digest: UInt64 = 0
        public internal(set) var events = 0
        public internal(set) var lines: [String] = []
    }

    enum Event {
        case toServer(sender: Int, bytes: [UInt8], link: Int)
        case toClient(Int, bytes: [UInt8], link: Int)
        case deadline(opening: Int)
        case reminder(opening: Int)
        case serverRestart(round: Int)
        case retry(client: Int, manifest: [UInt8], stage: Stage)
        case clientRestart(Int)
        case roundOver(Int)
        case startRound(Int)
    }

    /// Ticks until a stage closes by itself; an ordinary message takes 1 to 20.
    static let deadline: UInt64 = 400

    let options: Options
    var random: SimulationRandom
    var queue = EventQueue<Event>()
    var now: UInt64 = 0
    var trace: Trace
    var report: Report
    var history = History()
    var rates = FaultRates.none
    let cast: Cast
    let clients: [SimulatedClient]
    let observer: Observer
    var server: (any SimulatedServer)?
    var mail: MailArchive

    // The present round.
    private var place = 0
    var round: UInt64 = 0
    private var roundStarted: UInt64 = 0
    private var downtime: UInt64 = 0
    private var isRoundOver = true
    private var opening = 0
    private var missedDeadline = false
    private var liars: Set<ClientID> = []
    private var comparisonsSeen = 0

    public init(seed: UInt64, options: Options = Options()) {
        self.options = options
        random = SimulationRandom(seed: seed)
        trace = Trace(keepsLines: options.traces)
        report = Report(seed: seed)
        let cast = Cast(clients: options.clients, random: &random)
        self.cast = cast
        mail = MailArchive(links: 2 * options.clients)
        var machines: [SimulatedClient] = []
        for index in cast.identities.indices {
            machines.append(
                SimulatedClient(
                    index: index, identity: cast.identities[index], isReckless: random.below(2) == 0,
                    server: cast.serverKey.verifyingKey, roster: cast.roster, policy: cast.policy,
                    random: SimulationRandom(seed: random.next())))
        }
        clients = machines
        observer = Observer(
            parameters: cast.parameters(round: 1), clientOf: cast.clientOf, colluders: cast.colluders)
    }

    /// Runs the world to its end.
    public func run() -> Report {
        queue.add(.startRound(0), at: 1)
        while let (time, event) = queue.removeFirst() {
            now = max(now, time)
            report.events += 1
            handle(event)
            if report.events > 200_000 {
                history.report(.waitsEnd, round, "the world does not come to rest")
                break
            }
        }
        checkEnd()
        report.violations = history.violations + observer.violations
        report.digest = trace.digest
        report.lines = trace.lines ?? []
        return report
    }

    func happened(_ fault: Fault) { report.faults[fault, default: 0] += 1 }

    private func handle(_ event: Event) {
        switch event {
        case .toServer(let sender, let bytes, let link): serverReceives(bytes, from: sender, link)
        case .toClient(let index, let bytes, let link): clientReceives(bytes, index, link)
        case .deadline(let number):
            guard number == opening, !isRoundOver, let server else { return }
            trace.note(now, "deadline", number)
            missedDeadline = true
            if server.isUp { planServerCrash() }
            carryOut(server.deadlinePassed())
        case .reminder(let number):
            guard number == opening, !isRoundOver, let server else { return }
            trace.note(now, "reminder", number)
            carryOut(server.remind())
        case .serverRestart(let number): restartServer(number)
        case .retry(let client, let manifest, let stage): retry(client, manifest, stage)
        case .clientRestart(let index):
            trace.note(now, "client restarts", index)
            happened(.clientRestart)
            clients[index].restart()
        case .roundOver(let number): endRound(number)
        case .startRound(let number): startRound(number)
        }
    }

    // MARK: Rounds

    private var isQuiet: Bool { place == options.rounds - 1 }

    private func startRound(_ number: Int) {
        place = number
        round += 1 + (isQuiet ? 0 : UInt64(random.below(2)))
        roundStarted = now
        downtime = 0
        isRoundOver = false
        missedDeadline = false
        liars = []
        comparisonsSeen = 0
        observer.startRound()
        rates = isQuiet ? .none : FaultRates(random: &random)
        // At rest: whatever earlier rounds left in the clients is over.
        for client in clients {
            client.forget()
            if isQuiet { client.restart() }
        }
        trace.note(now, "round", Int(round))
        let isLying = !isQuiet && random.below(2) == 0
        server = isLying ? lyingServer() : honestServer()
        carryOut(server!.start())
    }

    private var expiry: UInt64 { random.below(2) == 0 ? .max : now + 6 * Self.deadline }

    private func honestServer() -> HonestServer {
        let manifest = RoundManifest(
            parameters: cast.parameters(round: round),
            serverNonce: Digest(bytes: random.bytes(Digest.length))!, rosterDigest: cast.roster.digest,
            expiry: isQuiet ? .max : expiry)
        let (key, roster) = (cast.serverKey, cast.roster)
        return HonestServer(invited: cast.identities.map(\.id).sorted()) {
            ServerSession(manifest: manifest, signingKey: key, roster: roster)
        }
    }

    private func lyingServer() -> LyingServer {
        let wanted = 1 + random.below(2)
        var lies = Set((0..<wanted).map { _ in random.pick(Fault.lies) })
        // Weaker terms alone gain nothing: what they allow is tried with them.
        if lies.contains(.weakenManifest) {
            lies.insert(random.pick([.equivocateSurvivors, .belowFloor, .patchworkLists]))
        }
        var keys: [ClientID: SigningKey] = [:]
        for index in cast.colluders { keys[cast.identities[index].id] = cast.identities[index].signingKey }
        let scene = LyingServer.Scene(
            parameters: cast.parameters(round: round), serverKey: cast.serverKey, roster: cast.roster,
            invited: cast.identities.map(\.id).sorted(), colluders: keys, expiry: expiry)
        return LyingServer(scene: scene, lies: lies, random: SimulationRandom(seed: random.next()))
    }

    func carryOut(_ effects: [ServerEffect]) {
        // Messages to one client leave in order.
        for effect in effects {
            switch effect {
            case .send(let id, let bytes):
                guard let index = cast.clientOf[id] else { continue }
                post(bytes, to: .client(index))
            case .opened(let stage):
                opening += 1
                trace.note(now, "stage", stage.rawValue)
                queue.add(.deadline(opening: opening), at: now + Self.deadline)
                if !isQuiet { queue.add(.reminder(opening: opening), at: now + Self.deadline / 3) }
            case .ended(let outcome): roundEnded(outcome)
            }
        }
        noteCrash()
    }

    private func roundEnded(_ outcome: RoundOutcome) {
        guard !isRoundOver else { return }
        isRoundOver = true
        var outcome = outcome
        if case .lied = outcome { outcome = .lied(openableSums: observer.openedSums) }
        report.outcomes.append(outcome)
        trace.note(now, "ended", Int(round), detail: outcome.name)
        if let lying = server as? LyingServer {
            for lie in lying.told { happened(lie) }
        }
        if let honest = server as? HonestServer, let sum = honest.released { check(sum) }
        let limit = roundStarted + 12 * Self.deadline + downtime
        if now > limit { history.report(.waitsEnd, round, "ended \(now - limit) ticks after its bound") }
        checkProgress(outcome)
        queue.add(.roundOver(place), at: now + 2 * Self.deadline)
    }

    private func check(_ sum: AggregateSum) {
        var expected = [UInt32](repeating: 0, count: cast.dimension)
        for survivor in sum.survivors {
            guard let index = cast.clientOf[survivor] else { continue }
            for (place, value) in contribution(index).enumerated() {
                expected[place] &+= UInt32(bitPattern: value)
            }
        }
        let mask = UInt32.max >> UInt32(32 - cast.modulusBits)
        history.released(
            round: round, elements: sum.elements, expected: expected.map { $0 & mask }, digest: sum.digest)
        checkNoise(sum)
        if sum.survivors.count < cast.minSurvivors {
            history.report(.survivorFloor, round, "released over \(sum.survivors.count) contributions")
        }
        for fault in sum.faults where fault.check == .wrongShare {
            history.blamed(round: round, culprits: fault.culprits, liars: liars)
        }
    }

    /// The opened noise is every survivor's, of exactly the levels that the number of the lost opens.
    private func checkNoise(_ sum: AggregateSum) {
        var expected: [[UInt8]] = []
        if let noise = cast.removableNoise,
            let closed = noise.kept(lost: clients.count - sum.survivors.count)
        {
            for survivor in sum.survivors {
                let seeds = clients[cast.clientOf[survivor]!].noiseSeeds
                expected += seeds.dropFirst(closed).map { $0.withUnsafeBytes { Array($0) } }
            }
        }
        if sum.revealedNoise.map({ $0.seed.withUnsafeBytes { Array($0) } }) != expected {
            history.report(.noiseLevels, round, "the opened noise seeds are not those of the open levels")
        }
    }

    private func checkProgress(_ outcome: RoundOutcome) {
        guard isQuiet else { return }
        if outcome != .released(survivors: clients.count) {
            history.report(.progress, round, "a round without faults: \(outcome)")
        }
        if missedDeadline { history.report(.progress, round, "a round without faults met a deadline") }
    }

    private func endRound(_ number: Int) {
        guard number == place else { return }
        if isQuiet {
            for client in clients where client.isInSession {
                history.report(.progress, round, "client \(client.index) has no result")
            }
        }
        for client in clients { client.forget() }
        guard place + 1 < options.rounds else { return }
        // The last round has no faults, so it begins after the last straggler has arrived.
        let pause = place + 2 == options.rounds ? 4 * Int(Self.deadline) : 1 + random.below(200)
        queue.add(.startRound(place + 1), at: now + UInt64(pause))
    }

    private func checkEnd() {
        if report.outcomes.count < options.rounds, history.violations.isEmpty {
            history.report(.waitsEnd, round, "only \(report.outcomes.count) rounds ended")
        }
    }

    /// Client `index`'s vector in the present round: uniform over the ring, so that a mistake shows.
    func contribution(_ index: Int) -> [Int32] {
        var values = SimulationRandom(seed: report.seed ^ round &* 0x1_0001, stream: UInt64(index))
        return (0..<cast.dimension).map { _ in Int32(truncatingIfNeeded: values.next()) }
    }

    // MARK: The server

    private func serverReceives(_ bytes: [UInt8], from sender: Int, _ link: Int) {
        guard let server, server.isUp else { return }
        noteOrder(link)
        trace.note(now, "server receives from", sender, bytes)
        planServerCrash()
        carryOut(server.receive(bytes, from: cast.identities[sender].id))
    }

    private func planServerCrash() {
        guard let honest = server as? HonestServer, random.happens(rates.serverCrash) else { return }
        honest.nextCrash = random.pick([.beforeStore, .afterStore, .beforeSend, .whileSending])
        crashPoint = honest.nextCrash
    }

    private var crashPoint = HonestServer.CrashPoint.none

    private func noteCrash() {
        guard let honest = server as? HonestServer else { return }
        for difference in honest.differences.dropFirst(comparisonsSeen) {
            history.resent(
                round: round, stage: difference.stage, before: difference.before, after: difference.after)
        }
        comparisonsSeen = honest.differences.count
        guard !honest.isUp, crashPoint != .none else {
            return
        }
        let fault: Fault =
            switch crashPoint {
            case .beforeStore: .serverCrashBeforeStore
            case .afterStore: .serverCrashAfterStore
            case .beforeSend: .serverCrashBeforeSend
            default: .serverCrashWhileSending
            }
        crashPoint = .none
        happened(fault)
        let pause = UInt64(5 + random.below(2 * Int(Self.deadline)))
        downtime += pause + Self.deadline
        trace.note(now, "server crashes", detail: fault.rawValue)
        queue.add(.serverRestart(round: place), at: now + pause)
    }

    private func restartServer(_ number: Int) {
        guard number == place, let honest = server as? HonestServer, !honest.isUp else { return }
        trace.note(now, "server restarts")
        if random.below(8) == 0 {
            happened(.serverGivesUp)
            carryOut(honest.giveUp())
        } else {
            carryOut(honest.restart())
        }
    }

    // MARK: The clients

    private func clientReceives(_ bytes: [UInt8], _ index: Int, _ link: Int) {
        let client = clients[index]
        guard client.isUp else { return }
        noteOrder(link)
        trace.note(now, "client receives", index, bytes)
        if random.happens(rates.clientCrash) { return crash(client) }
        if random.happens(rates.journalFailure) {
            happened(.journalFailure)
            client.journal.failsNext = true
        }
        defer { client.journal.failsNext = false }
        switch client.receive(bytes, now: now, values: contribution(index)) {
        case .nothing: break
        case .again(let messages): post(messages, from: index)
        case .left(let fault):
            trace.note(now, "client leaves", index, detail: fault.check.rawValue)
        case .finished(let result):
            trace.note(now, "client finishes", index, result.resultDigest.bytes)
            guard !cast.colluders.contains(index) else { return }
            history.finished(
                client: index, round: round, result: result, isHonest: server is HonestServer)
        case .step(let step): answer(step, by: client)
        }
    }

    private func answer(_ step: ClientStepTaken, by client: SimulatedClient) {
        watch(step, client)
        trace.note(now, "client answers", client.index, step.messages[0])
        // The journal is written; the process dies before, or after, the message is out.
        if random.happens(rates.clientCrash) { return crash(client) }
        let messages = cast.colluders.contains(client.index) ? lied(step, client) : step.messages
        post(messages, from: client.index)
        if !isQuiet, let manifest = client.manifest {
            queue.add(
                .retry(client: client.index, manifest: manifest, stage: step.stage),
                at: now + Self.deadline / 2)
        }
        if random.happens(rates.clientCrash) { crash(client) }
    }

    private func crash(_ client: SimulatedClient) {
        trace.note(now, "client crashes", client.index)
        happened(.clientCrash)
        client.crash()
        queue.add(
            .clientRestart(client.index), at: now + UInt64(1 + random.below(2 * Int(Self.deadline))))
    }

    private func retry(_ index: Int, _ manifest: [UInt8], _ stage: Stage) {
        guard !isRoundOver, clients[index].manifest == manifest, let last = clients[index].lastAnswer,
            last.stage == stage
        else { return }
        trace.note(now, "client retries", index)
        post(last.messages, from: index)
    }

    /// Shows a step to the observer and the history before anything else happens.
    private func watch(_ step: ClientStepTaken, _ client: SimulatedClient) {
        let message = step.messages[0]
        let index = client.index
        var keys: [[UInt8]] = []
        switch step.stage {
        case .advertiseKeys:
            keys = observer.announced(
                message, client: index, request: step.request, round: round, random: step.random)
        case .shareKeys: observer.dealt(message, client: index, request: step.request, round: round)
        case .submitMaskedInput:
            observer.masked(
                step.messages, client: index, request: step.request, plain: contribution(index),
                round: round)
        case .confirmSurvivors:
            observer.confirmed(message, client: index, request: step.request, round: round)
        case .unmask:
            if !cast.colluders.contains(index) {
                observer.released(message, client: index, round: round, plain: contribution)
            }
        }
        guard !cast.colluders.contains(index) else { return }
        guard let opened = client.manifest.flatMap({ try? Message(decoding: $0, limit: $0.count) }),
            let manifest = try? RoundManifest(body: opened.body)
        else { return history.report(.observable, round, "a client answers an unreadable manifest") }
        let digest = RoundManifest.digest(ofBody: opened.body)
        let entry = JournalEntry(
            task: manifest.parameters.task, round: manifest.parameters.round, manifest: digest,
            stage: step.stage, message: .of(message))
        history.answered(
            client: index, round: manifest.parameters.round, stage: step.stage, manifest: digest,
            message: message, isJournaled: client.journal.entries.contains(entry), keys: keys)
    }

    /// What a colluder sends to an honest server in the place of its honest answer.
    private func lied(_ step: ClientStepTaken, _ client: SimulatedClient) -> [[UInt8]] {
        guard server is HonestServer, random.happens(rates.lyingClient) else { return step.messages }
        guard let (fault, messages) = LyingClient.alter(step, identity: client.identity) else {
            return step.messages
        }
        happened(fault)
        liars.insert(client.identity.id)
        return messages
    }
}
