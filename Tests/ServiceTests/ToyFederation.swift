import FedTrain
import Foundation
import GMP
import SecureAgg
import Service
import Sodium
import Synchronization

/// Rounds without models: every client adds a known vector, so that the sum can be checked exactly. The
/// coordinator, the HTTPS server, the sessions and the uploads are the real ones.
final class ToyFederation: Sendable {
    let clients: Int
    let dimension: Int
    let rounds: Int
    let minCohort: Int
    let minSurvivors: Int
    let modulusBits: Int
    /// Tells runs of the same people apart: keys are the same in all, contexts and nonces are not.
    let run: UInt8
    /// What the store remembers of requests for sessions, over all of a run's processes.
    let nonces = Mutex<[Digest: UInt64]>([:])
    let serverKey: SigningKey
    let authority: SigningKey
    let certificate: ServerCertificate
    let events = Mutex<[String]>([])
    let released = Mutex<[(survivors: [ClientID], sum: [Int32])]>([])
    let timing: Coordinator.Timing

    init(
        clients: Int = 5, dimension: Int = 1000, rounds: Int = 1, minCohort: Int? = nil,
        minSurvivors: Int = 3, modulusBits: Int = 20, run: UInt8 = 1,
        timing: Coordinator.Timing = .init(gather: 30, train: 30, stage: 30, grace: 30)
    ) throws {
        self.clients = clients
        self.dimension = dimension
        self.rounds = rounds
        self.minCohort = minCohort ?? clients
        self.minSurvivors = minSurvivors
        self.modulusBits = modulusBits
        self.run = run
        self.timing = timing
        var random = StreamRandom(seed: 5, label: "toy")
        serverKey = SigningKey(generatedBy: &random)
        authority = SigningKey(generatedBy: &random)
        certificate = try ServerCertificate.selfSigned(
            name: "toy", hosts: ["127.0.0.1"], now: Int(Date().timeIntervalSince1970))
    }

    func key(_ number: Int) -> SigningKey {
        var random = StreamRandom(seed: UInt64(number), label: "toy client")
        return SigningKey(generatedBy: &random)
    }

    func roster() throws -> RosterFile {
        var roster = RosterFile(authority: authority.verifyingKey)
        let requests = try (1...clients).map { number in
            try EnrolmentRequest(
                bytes: try EnrolmentRequest.bytes(name: "client-\(number)", key: key(number)), file: "")
        }
        _ = try roster.approve(requests, now: NetworkFixture.epoch, days: 30)
        return roster
    }

    /// What client `number` adds in a round.
    func vector(_ number: Int, round: Int) -> [Int32] {
        var random = StreamRandom(seed: UInt64(number << 8 | round), label: "toy vector")
        return (0..<dimension).map { _ in Int32(random.uniform(below: 201)) - 100 }
    }

    func parameters(round: Int) throws -> AggregationParameters {
        try AggregationParameters(
            task: "toy", round: UInt64(round), context: .of([run, UInt8(round)]), vectorLength: dimension,
            modulusBits: modulusBits, cohort: minCohort...clients, minSurvivors: minSurvivors,
            colluderFraction: 0, dropoutFraction: Rational(1, 4), allowTinyCohort: true)
    }

    func enrolment(
        port: Int, server: SigningKey? = nil, certificate other: String? = nil, isEncrypted: Bool = true
    ) -> EnrolmentFile {
        EnrolmentFile(
            federation: "toy", url: "\(isEncrypted ? "https" : "http")://127.0.0.1:\(port)",
            certificate: isEncrypted ? other ?? certificate.certificate : "",
            server: (server ?? serverKey).verifyingKey, authority: authority.verifyingKey)
    }

    func client(
        _ number: Int, port: Int, key other: SigningKey? = nil, enrolment file: EnrolmentFile? = nil,
        settings: ServiceConnection.Settings = .init(patience: 20),
        environment: Coordinator.Environment = NetworkFixture.environment,
        leaving: (round: Int, stage: Stage)? = nil,
        observe: @escaping @Sendable (ClientEvent) -> Void = { _ in }
    ) throws -> FederationClient {
        try FederationClient(
            file ?? enrolment(port: port), key: other ?? key(number),
            host: ToySite(self, number: number, leaving: leaving), settings: settings,
            environment: environment, observe: observe)
    }

    /// Serves all rounds while `body` runs; ends with both.
    ///
    /// - Parameter first: the first round that this process opens; earlier ones are over.
    func serve(
        limits: ServiceLimits = ServiceLimits(), isEncrypted: Bool = true, from first: Int = 1,
        _ body: @escaping @Sendable (_ port: Int, Coordinator) async throws -> Void
    ) async throws -> Coordinator.Outcome {
        let coordinator = Coordinator(
            host: ToyHost(self, after: first - 1), key: serverKey, roster: try roster(), timing: timing,
            limits: limits,
            environment: NetworkFixture.environment, privacy: (1, 1e-5, "record"), isEncrypted: isEncrypted,
            observe: { event in self.events.withLock { $0.append("\(event)") } })
        let server = ServiceServer(
            coordinator: coordinator, certificate: isEncrypted ? certificate : nil, limits: limits,
            environment: NetworkFixture.environment)
        return try await withThrowingTaskGroup(of: Coordinator.Outcome?.self) { group in
            let (ports, continuation) = AsyncStream<Int>.makeStream()
            group.addTask {
                try await server.serve(host: "127.0.0.1", port: 0) { continuation.yield($0) }
                return nil
            }
            group.addTask {
                for await port in ports {
                    try await body(port, coordinator)
                    break
                }
                await coordinator.stop()
                return nil
            }
            group.addTask {
                let outcome = try await coordinator.run()
                await coordinator.drain(seconds: 10)
                return outcome
            }
            defer { group.cancelAll() }
            var outcome: Coordinator.Outcome?
            var finished = 0
            while finished < 2, let next = try await group.next() {
                finished += 1
                outcome = next ?? outcome
            }
            return outcome!
        }
    }

    /// Lets all clients take part to the end.
    func runClients(
        _ numbers: some Sequence<Int>, port: Int, settings: ServiceConnection.Settings = .init(patience: 20)
    ) async throws -> [FederationClient.Outcome] {
        try await withThrowingTaskGroup(of: FederationClient.Outcome.self) { group in
            for number in numbers {
                group.addTask { try await self.client(number, port: port, settings: settings).run() }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// Whether every released sum is the plaintext sum of its survivors.
    func sumsAreExact() -> Bool {
        released.withLock { released in
            released.enumerated().allSatisfy { index, round in
                var expected = [Int32](repeating: 0, count: dimension)
                for survivor in round.survivors {
                    let vector = vector(Int(survivor.number), round: index + 1)
                    for coordinate in expected.indices { expected[coordinate] += vector[coordinate] }
                }
                return expected == round.sum
            }
        }
    }
}

/// Opens one round after the other and keeps the sums.
private final class ToyHost: FederationHost {
    private let toy: ToyFederation
    private let signedRoster: [UInt8]
    private let roster: Roster
    private var started: Int
    private var releasedCount: Int
    private var committed: Set<Int> = []

    init(_ toy: ToyFederation, after rounds: Int) {
        self.toy = toy
        started = rounds
        releasedCount = rounds
        roster = try! toy.roster().roster()
        signedRoster = roster.signed(by: toy.authority)
    }

    var invited: Int { toy.clients }
    var minCohort: Int { toy.minCohort }
    var minSurvivors: Int { toy.minSurvivors }
    var roundsPlanned: Int { toy.rounds }
    var counts: (started: Int, released: Int) { (started, releasedCount) }
    var epsilonSpent: Double { 0 }
    var adapter: (values: [UInt8], digest: Digest) { ([1, 2, 3, 4], .of([1, 2, 3, 4])) }

    var terms: HostTerms {
        HostTerms(
            federation: "toy", run: "000\(toy.run)", identifier: .of([toy.run]), configuration: [],
            spentBefore: "0",
            runsBefore: 0, roster: signedRoster, planDigest: .of([]), baseDigest: .of([]), seed: nil)
    }

    var acceptedNonces: [Digest: UInt64] { toy.nonces.withLock { $0 } }

    func accepts(nonce: Digest, until: UInt64) { toy.nonces.withLock { $0[nonce] = until } }

    func beginRound(lifetimeSeconds: UInt64) throws -> (round: Int, session: ServerSession)? {
        guard started < toy.rounds else { return nil }
        started += 1
        let manifest = RoundManifest(
            parameters: try toy.parameters(round: started), serverNonce: .of([toy.run, UInt8(started)]),
            rosterDigest: roster.digest, expiry: UInt64(NetworkFixture.epoch) + lifetimeSeconds)
        return (
            started,
            ServerSession(manifest: manifest, signingKey: toy.serverKey, roster: roster, threads: 2)
        )
    }

    func stageOpens(_ stage: Stage, round: Int, members: [ClientID]) {
        precondition(stage != .unmask || committed.contains(round), "shares are asked for after the commit")
    }

    func commit(round: Int, survivors: Int, trace: RoundTrace) { committed.insert(round) }

    func release(_ sum: AggregateSum, trace: RoundTrace) -> RoundSummary {
        releasedCount += 1
        toy.released.withLock { $0.append((sum.survivors, sum.centred)) }
        return RoundSummary(
            round: started, trace: trace, survivors: sum.survivors.count, fault: nil, isCharged: true)
    }

    func abort(_ fault: AggregationFault, trace: RoundTrace, isCharged: Bool) -> RoundSummary {
        RoundSummary(
            round: started, trace: trace, survivors: trace.survivors, fault: fault, isCharged: isCharged)
    }

    func finish(stopped: Bool) {}
}

/// A client that adds its vector, or goes away at a stage.
private final class ToySite: SiteHost {
    private let toy: ToyFederation
    private let number: Int
    private let leaving: (round: Int, stage: Stage)?
    private var identity: ClientIdentity!
    private var roster: Roster!
    private var committed: Set<Int> = []
    private let journal = InMemoryJournal()

    init(_ toy: ToyFederation, number: Int, leaving: (round: Int, stage: Stage)?) {
        self.toy = toy
        self.number = number
        self.leaving = leaving
    }

    func enter(_ terms: HostTerms, identity: ClientIdentity, roster: Roster) {
        self.identity = identity
        self.roster = roster
    }

    func mayEnter(_ round: Int) -> Bool { true }

    func contribution(round: Int, adapter: [UInt8], digest: Digest) -> [Int32] {
        toy.vector(number, round: round)
    }

    func session(
        round: Int, incoming: Digest
    ) throws -> (session: ClientSession, random: StreamRandom) {
        let parameters = try toy.parameters(round: round)
        let policy = ClientPolicy(
            context: parameters.context, vectorLength: toy.dimension, modulusBits: toy.modulusBits,
            minCohort: toy.minCohort, minSurvivors: toy.minSurvivors, allowTinyCohort: true)
        var system = SystemRandom()
        return (
            ClientSession(
                identity: identity, server: toy.serverKey.verifyingKey, roster: roster, policy: policy,
                journal: journal),
            StreamRandom(keyedBy: &system)
        )
    }

    func commit(_ round: Int) throws {
        if let leaving, leaving.round == round, leaving.stage == .submitMaskedInput {
            throw CancellationError()
        }
        committed.insert(round)
    }

    func settle(_ round: Int) {}
    func close() {}
}
