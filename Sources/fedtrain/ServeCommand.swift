import ArgumentParser
import FedTrain
import Foundation
import Models
import Service
import Sodium
import Synchronization

/// `fedtrain serve`: the server of a federation over a network.
struct ServeCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve a federation: clients join over HTTPS, the server sees only sums.",
        discussion: """
            Needs the authority's roster. Writes enrolment.json, which each client is given over a channel \
            it trusts. After a crash the same command continues the run; when the run is over it says so \
            and does nothing, unless --new-run is given. Ctrl-C ends the run after the round it is in.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var source: ConfigurationOptions
    @OptionGroup var run: RunOptions
    @OptionGroup var log: LogOptions

    var logFormat: LogFormat { log.chosen }

    @Option(help: "The signed roster; `roster.json` beside the federation's file when not given.")
    var roster: String?

    @Option(help: "Where to listen, host:port; `network.listen` of the file when not given.")
    var listen: String?

    @Option(help: "How clients reach the server, such as https://example.org:8443.")
    var url: String?

    @Option(help: "The operator's own certificate (PEM, the server's first); needs --private-key.")
    var certificate: String?

    @Option(help: "The private key of --certificate (PEM).")
    var privateKey: String?

    @Option(help: "Show a read-only dashboard, metrics and probes on this port of 127.0.0.1.")
    var dashboard: Int?

    @Flag(help: "Serve in clear. Everyone on the way can then read tokens and models, and take part.")
    var insecureHTTP = false

    @Flag(help: "Start another run after the workspace's latest one is over; it spends budget again.")
    var newRun = false

    struct Payload: Encodable {
        let run: String
        let rounds: Int
        let released: Int
        let epsilon: Double
        let delta: Double
        let unit: String
        let scores: RunPayload.Scores
        let adapter: String
        let report: String
        let outcome: String
        let encrypted: Bool
    }

    func execute(_ console: Console) throws -> Payload {
        let (configuration, node) = try YAMLFile.configuration(source.file, overrides: source.overrides)
        let workspace = Workspace(configurationFile: source.file)
        let lock = try WorkspaceLock(workspace)
        defer { withExtendedLifetime(lock) {} }
        let rosterFile = roster ?? "\(workspace.root)/roster.json"
        let address = try Self.address(listen ?? configuration.network?.listen ?? "127.0.0.1:8443")
        let clock = RunClock.system
        let randomness = run.randomness
        let opening = try ServerSetup.open(
            configuration, source: node, workspace: workspace, rosterFile: rosterFile,
            randomness: randomness, startsNewRun: newRun, clock: clock)
        guard case .ready(let setup) = opening else {
            guard case .finished(let run) = opening else { preconditionFailure("two openings") }
            throw CommandFailure(
                .state, "the latest run is over; nothing was started", at: run.path,
                privacy: "nothing was spent by this command",
                hint: "another run on the same people spends again: fedtrain serve --new-run")
        }
        setup.run.passing = CrashPoint.pass
        for line in setup.run.recovered { console.say("recovered: \(line)", event: "recovered") }
        let watcher = RunWatcher(console: console, plan: setup.run.plan)
        watcher.announce(setup.run.prepared)

        let hosts = Self.hosts(configuration.network?.hosts ?? [], listening: address.host)
        let certificate = try serverCertificate(workspace, name: configuration.name, hosts: hosts)
        if insecureHTTP { console.warn(Self.clearWarning) }
        let shared = SharedConsole(console)
        let printer = ServiceWatcher(console: shared, plan: setup.run.plan)
        let (url, name) = (url, configuration.name)
        let (server, authority) = (setup.key.verifyingKey, setup.roster.authority)
        let enrolment = { @Sendable (port: Int) in
            EnrolmentFile(
                federation: name,
                url: url ?? "\(certificate == nil ? "http" : "https")://\(hosts[0]):\(port)",
                certificate: certificate?.certificate ?? "", server: server, authority: authority)
        }
        let (runDirectory, plan) = (setup.run.run, setup.run.plan)
        if let dashboard { console.say("dashboard http://127.0.0.1:\(dashboard)/") }
        SignalWatch.start()
        let outcome = try serve(
            setup, address: address, certificate: certificate,
            timing: Coordinator.Timing(configuration.network),
            onListening: { port, coordinator in
                let file = enrolment(port)
                let path = "\(workspace.root)/enrolment.json"
                if let bytes = try? file.bytes {
                    try? AtomicFile.write(bytes, to: path)
                    await coordinator.publish(enrolment: bytes)
                }
                shared {
                    $0.say(
                        "listening on \(address.host):\(port); clients reach \(file.url)", event: "listening",
                        fields: ["url": .text(file.url), "encrypted": .flag(file.isEncrypted)])
                    $0.say(
                        "give each client \(path), or read it the words: \(file.fingerprint.words)",
                        event: "enrolment",
                        fields: [
                            "file": .text(path), "fingerprint": .text(file.fingerprint.hex),
                            "words": .text(file.fingerprint.words),
                        ])
                }
            }, printer: printer)
        if insecureHTTP { console.warn(Self.clearWarning) }
        return Payload(
            run: runDirectory.path, rounds: outcome.started, released: outcome.released,
            epsilon: outcome.epsilon, delta: plan.delta.asDouble, unit: plan.unit.rawValue,
            scores: RunPayload.Scores(
                metric: outcome.after?.metric, before: outcome.before?.value, after: outcome.after?.value),
            adapter: runDirectory.adapter, report: runDirectory.reportHTML,
            outcome: Self.name(outcome.ending), encrypted: certificate != nil)
    }

    /// Serves on another thread; the set-up moves there and nothing of it stays behind.
    private func serve(
        _ setup: ServerSetup, address: (host: String, port: Int), certificate: ServerCertificate?,
        timing: Coordinator.Timing, onListening: @escaping @Sendable (Int, Coordinator) async -> Void,
        printer: ServiceWatcher
    ) throws -> FederationService.Outcome {
        let moved = Moved(setup)
        let dashboard = dashboard
        return try runAsync {
            let follower = Mutex<Task<Void, Never>?>(nil)
            defer { follower.withLock { $0?.cancel() } }
            return try await FederationService.run(
                moved.take(),
                listening: FederationService.Listening(
                    host: address.host, port: address.port, certificate: certificate,
                    dashboard: dashboard),
                timing: timing, limits: ServiceLimits(), environment: .system,
                onListening: { port, coordinator in
                    await onListening(port, coordinator)
                    follower.withLock { $0 = Task { await printer.follow(coordinator) } }
                },
                shouldStop: { SignalWatch.interrupted }, observe: printer.observe)
        }
    }

    private func serverCertificate(
        _ workspace: Workspace, name: String, hosts: [String]
    ) throws -> ServerCertificate? {
        switch (certificate, privateKey) {
        case _ where insecureHTTP: return nil
        case (let certificate?, let key?):
            return try ServerCertificate(certificateFile: certificate, keyFile: key)
        case (nil, nil):
            return try ServerCertificate.loadOrCreate(
                in: workspace.keysDirectory, name: name, hosts: hosts,
                now: Int(Date().timeIntervalSince1970))
        default:
            throw CommandFailure(.usage, "--certificate and --private-key go together")
        }
    }

    static let clearWarning =
        "NOT ENCRYPTED: everyone on the way can read tokens and models and take part in a client's name"

    /// The names to put into the certificate; the first one goes into the enrolment file.
    static func hosts(_ configured: [String], listening host: String) -> [String] {
        if !configured.isEmpty { return configured }
        return ["0.0.0.0", "::", "127.0.0.1", "::1"].contains(host)
            ? ["localhost", "127.0.0.1", "::1"] : [host]
    }

    static func address(_ text: String) throws -> (host: String, port: Int) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]),
            colon != text.startIndex
        else {
            throw CommandFailure(
                .usage, "`\(text)` is not an address of the form host:port",
                hint: "for example: --listen 0.0.0.0:8443")
        }
        return (text[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]")), Int(port))
    }

    private static func name(_ ending: Coordinator.Outcome) -> String {
        switch ending {
        case .finished: "finished"
        case .stopped: "stopped"
        case .gatherTimedOut(let have, let need): "waited for clients: \(have) of \(need)"
        }
    }

    func describe(_ payload: Payload) -> String {
        var lines = [
            "\(payload.released) of \(payload.rounds) rounds released; ε = \(decimal(payload.epsilon, 4)) "
                + "spent at δ = \(payload.delta) for one \(payload.unit)"
        ]
        if let metric = payload.scores.metric, let before = payload.scores.before,
            let after = payload.scores.after
        {
            lines.append("held-out \(metric): \(decimal(before, 4)) before, \(decimal(after, 4)) after")
        }
        return
            (lines + [
                "adapter  \(payload.adapter)", "report   \(payload.report)",
                "next: fedtrain audit \(payload.run)",
            ]).joined(separator: "\n")
    }

    func failure(in payload: Payload) -> CommandFailure? {
        switch payload.outcome {
        case "finished":
            guard payload.released == 0 else { return nil }
            return CommandFailure(
                .quorum, "no round had enough survivors; nothing was opened", at: payload.run,
                privacy: "ε = \(decimal(payload.epsilon, 4)) is spent",
                hint: "find out why clients are lost: fedtrain log \(payload.run)")
        case "stopped":
            return CommandFailure(
                .interrupted,
                "stopped after \(payload.rounds) rounds; ledger, adapter and report are complete",
                at: payload.run, privacy: "ε = \(decimal(payload.epsilon, 4)) is spent")
        default:
            return CommandFailure(
                .deadline, payload.outcome, at: payload.run,
                privacy: "ε = \(decimal(payload.epsilon, 4)) is spent; the run is not over",
                hint: "the same command continues it")
        }
    }
}

/// Hands a value to another task once, when the compiler cannot see that nothing of it stays behind.
final class Moved<Value>: @unchecked Sendable {
    // Taken by one task, before which the giver has let go of it.
    private var value: Value?

    init(_ value: Value) { self.value = value }

    func take() -> sending Value {
        guard let taken = value else { preconditionFailure("a value is moved once") }
        value = nil
        nonisolated(unsafe) let moved = taken
        return moved
    }
}

extension Coordinator.Environment {
    /// The system's clocks and generator.
    static var system: Coordinator.Environment {
        Coordinator.Environment(
            epochSeconds: { Int(Date().timeIntervalSince1970) }, monotonic: { monotonicSeconds() },
            randomBytes: { count in
                var random = SystemRandom()
                return random.bytes(count)
            })
    }
}
