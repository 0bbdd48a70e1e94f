import FedTrain
import Foundation
import GMP
import Models
import SecureAgg
import Service
import Sodium
import Synchronization

/// A small federation on loopback: one server and its clients as tasks, over real TLS, everything drawn
/// from one seed and one clock that stands still.
final class NetworkFixture: Sendable {
    static let epoch = 1_800_000_000
    let directory: String
    let sites: Int
    let rounds: Int
    let seed: UInt64 = 11
    let source: ConfigurationNode
    let configuration: FederationConfiguration
    let serverKey: SigningKey
    let certificate: ServerCertificate

    /// DP-FedSGD for records, the simplest.
    static let gradients = (
        training: #"""
        "algorithm": "dp-fedsgd",
          "server": {"optimizer": "adam", "learningRate": "0.02", "momentum": "0.9"}
        """#,
        privacy: #""unit": "record", "samplingRate": "1/2""#
    )

    /// - Parameters:
    ///   - lose: JSON of `simulation.lose`.
    ///   - work: members of `training` and of `privacy`, but for the budget.
    init(
        sites: Int = 5, rounds: Int = 2, minCohort: Int = 4, minSurvivors: Int = 4, lose: String = "[]",
        stageSeconds: Int = 20, graceSeconds: Int = 20,
        work: (training: String, privacy: String) = NetworkFixture.gradients
    ) throws {
        self.sites = sites
        self.rounds = rounds
        directory =
            FileManager.default.temporaryDirectory
            .appendingPathComponent("fedtrain-service-tests-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let text = """
            {"schema": "fedtrain/1", "name": "net-test",
             "model": {"adapter": {"rank": "2", "alpha": "4", "targets": ["q_proj", "v_proj"]}},
             "data": {"clients": ["built-in"], "sites": "\(sites)", "recordsPerSite": "12", "heldOutCount": "3"},
             "rounds": {"count": "\(rounds)", "minSurvivors": "\(minSurvivors)", "minCohort": "\(minCohort)"},
             "training": {\(work.training)},
             "privacy": {\(work.privacy), "epsilon": "50", "delta": "0.00001"},
             "secagg": {"allowTinyCohort": "true"},
             "simulation": {"lose": \(lose)},
             "network": {"gatherSeconds": "60", "trainSeconds": "60", "stageSeconds": "\(stageSeconds)",
              "graceSeconds": "\(graceSeconds)"}}
            """
        source = ConfigurationNode(json: try JSON.parse(Array(text.utf8)))!
        configuration = try FederationConfiguration(reading: source)
        var random = StreamRandom(seed: seed, label: "server")
        serverKey = SigningKey(generatedBy: &random)
        certificate = try ServerCertificate.selfSigned(
            name: "net-test", hosts: ["localhost", "127.0.0.1"], now: Int(Date().timeIntervalSince1970))
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    var randomness: RunRandomness { .seeded(seed) }

    func workspace(_ name: String) throws -> Workspace {
        let workspace = Workspace(root: "\(directory)/\(name)")
        if !FileManager.default.fileExists(atPath: "\(workspace.keysDirectory)/server.key") {
            try SigningKeyFile.create("\(workspace.keysDirectory)/server.key", serverKey)
        }
        return workspace
    }

    static var clock: RunClock { RunClock(epochSeconds: { epoch }, monotonic: { seconds() }) }

    static func seconds() -> Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 }

    static var environment: Coordinator.Environment {
        Coordinator.Environment(
            epochSeconds: { epoch }, monotonic: { seconds() },
            randomBytes: { count in
                var random = SystemRandom()
                return random.bytes(count)
            })
    }

    // MARK: Identities

    var authority: SigningKey {
        var random = randomness.stream("authority")
        return SigningKey(generatedBy: &random)
    }

    /// The identity that a simulation gives the site.
    func key(_ site: Int) -> SigningKey {
        var random = randomness.stream("identity/site-\(site)")
        return SigningKey(generatedBy: &random)
    }

    func rosterFile() throws -> RosterFile {
        var roster = RosterFile(authority: authority.verifyingKey)
        let requests = try (1...sites).map { site in
            try EnrolmentRequest(
                bytes: try EnrolmentRequest.bytes(name: "site-\(site)", key: key(site)), file: "request")
        }
        _ = try roster.approve(requests, now: Self.epoch, days: 30)
        return roster
    }

    func writeRoster(_ roster: RosterFile, to path: String) throws {
        try AtomicFile.write(try roster.bytes(signedBy: authority), to: path)
    }

    func enrolment(port: Int) -> EnrolmentFile {
        EnrolmentFile(
            federation: "net-test", url: "https://127.0.0.1:\(port)", certificate: certificate.certificate,
            server: serverKey.verifyingKey, authority: authority.verifyingKey)
    }

    // MARK: Runs

    func simulate(_ name: String = "simulated") throws -> FederationRun.Outcome {
        let workspace = try workspace(name)
        let prepared = try PreparedFederation(
            configuration, workspace: workspace, randomness: randomness)
        return try FederationRun(
            prepared: prepared, source: source, workspace: workspace, serverKey: serverKey,
            clock: Self.clock
        ).execute()
    }

    func client(
        _ site: Int, port: Int, pieceBytes: Int = 256 << 10,
        observe: @escaping @Sendable (ClientEvent) -> Void = { _ in }
    ) throws -> FederationClient {
        let host = SiteRunHost(
            workspace: Workspace(root: "\(directory)/site-\(site)"),
            choices: SiteRunHost.Choices(
                name: "site-\(site)", data: .builtIn(site: "site-\(site)"), base: nil, epsilonLimit: 100,
                seed: seed),
            server: serverKey.verifyingKey, epochSeconds: { Self.epoch }, monotonic: { 0 },
            announce: { _, _ in })
        return try FederationClient(
            enrolment(port: port), key: key(site), host: host,
            settings: ServiceConnection.Settings(patience: 30, pieceBytes: pieceBytes),
            environment: Self.environment, observe: observe)
    }

    /// Serves one run; `clients` is given the port.
    func serve(
        _ name: String = "served", certificate override: ServerCertificate? = nil,
        limits: ServiceLimits = ServiceLimits(), port: Int = 0,
        passing: @escaping @Sendable (String) throws -> Void = { _ in },
        observe: @escaping @Sendable (ServiceEvent) -> Void = { _ in },
        clients: @escaping @Sendable (_ port: Int, Coordinator) async throws -> Void
    ) async throws -> (outcome: FederationService.Outcome, run: RunDirectory) {
        let workspace = try workspace(name)
        let rosterPath = "\(workspace.root)/roster.json"
        if !FileManager.default.fileExists(atPath: rosterPath) {
            try writeRoster(try rosterFile(), to: rosterPath)
        }
        guard
            case .ready(let setup) = try ServerSetup.open(
                configuration, source: source, workspace: workspace, rosterFile: rosterPath,
                randomness: randomness, startsNewRun: false, clock: Self.clock)
        else { throw FixtureError.runIsOver }
        let run = setup.run.run
        setup.run.passing = passing
        let (ports, continuation) = AsyncStream<(Int, Coordinator)>.makeStream()
        let listening = FederationService.Listening(
            host: "127.0.0.1", port: port, certificate: override ?? certificate)
        let timing = Coordinator.Timing(configuration.network)
        nonisolated(unsafe) let moved = setup
        async let served = FederationService.run(
            moved, listening: listening, timing: timing, limits: limits, environment: Self.environment,
            onListening: { continuation.yield(($0, $1)) }, observe: observe)
        let guests = Task {
            for await (port, coordinator) in ports {
                try await clients(port, coordinator)
                return
            }
        }
        do {
            let outcome = try await served
            continuation.finish()
            try await guests.value
            return (outcome, run)
        } catch {
            guests.cancel()
            throw error
        }
    }

    enum FixtureError: Error { case runIsOver }
}
