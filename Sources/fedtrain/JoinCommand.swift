import ArgumentParser
import FedTrain
import Foundation
import GMP
import Service

/// `fedtrain join`: take part in a federation with this machine's own records.
struct JoinCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "join",
        abstract: "Take part in a federation: train here, send only noisy masked sums.",
        discussion: """
            Needs an identity that the authority has approved, and to know its server: by the enrolment \
            file, or by the server's address and the file's fingerprint. Records, \
            adapter updates and losses stay on this machine. The client keeps its own privacy ledger and \
            refuses to pass its own limit. After a crash the same command continues.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: ArgumentHelp(
            "The server's address, https://host:port, or its enrolment file.", valueName: "server"))
    var enrolment: String

    @Option(
        name: .customLong("enrolment"),
        help: "The enrolment file, with an address; the workspace's own copy when not given.")
    var enrolmentFile: String?

    @Option(help: "The enrolment file's fingerprint, as `serve` shows it; fetches the file if need be.")
    var fingerprint: String?

    @Option(help: "This client's identity key.")
    var key: String

    @Option(parsing: .upToNextOption, help: "This client's records: JSONL files.")
    var data: [String] = []

    @Option(help: "Take part as one of the built-in sites, such as site-3: for trying things out.")
    var builtInSite: String?

    @Option(help: "This client's directory, with its ledger; `fedtrain-NAME` when not given.")
    var workspace: String?

    @Option(help: "This client's copy of the base model.")
    var base: String?

    @Option(
        parsing: .remaining,
        help: """
            Last of all options: a program of yours that trains in this client's place, and its arguments \
            (docs/external-trainer.md).
            """)
    var trainer: [String] = []

    @Option(help: "Seconds that the trainer may take for a round.")
    var trainerTimeout: Int = 3600

    @Option(help: "Refuse runs that would bring this client's own ε, all runs together, above this.")
    var epsilonLimit: String = "10"

    @Option(help: "Seconds to wait for a server that does not answer.")
    var patience: Double = 600

    @Flag(help: "Accept a server without encryption.")
    var insecureHTTP = false

    @OptionGroup var run: RunOptions
    @OptionGroup var log: LogOptions

    var logFormat: LogFormat { log.chosen }

    struct Payload: Encodable {
        let federation: String
        let run: String
        let rounds: Int
        let released: Int
        let contributed: Int
        /// Rounds that this client's ledger counts, over all its processes.
        let participations: Int
        let verified: Int
        let stopped: Bool
        let epsilon: Double
        let ledger: String
        let encrypted: Bool
    }

    func execute(_ console: Console) throws -> Payload {
        let name = builtInSite ?? ((key as NSString).lastPathComponent as NSString).deletingPathExtension
        let directory = Workspace(root: workspace ?? "fedtrain-\(name)")
        let file = try EnrolmentSource.enrolment(
            enrolment, file: enrolmentFile, fingerprint: fingerprint, workspace: directory,
            insecureHTTP: insecureHTTP)
        guard file.isEncrypted || insecureHTTP else { throw Self.refusedInClear(file.url) }
        if !file.isEncrypted { console.warn(ServeCommand.clearWarning) }
        let source: PreparedSite.DataSource
        switch (data.isEmpty, builtInSite) {
        case (false, nil): source = .files(data)
        case (true, let site?): source = .builtIn(site: site)
        default: throw CommandFailure(.usage, "give either --data FILE… or --built-in-site NAME")
        }
        guard let limit = Rational(epsilonLimit), limit.sign > 0 else {
            throw CommandFailure(.usage, "--epsilon-limit must be a number above 0")
        }
        guard trainer.first?.isEmpty != true else {
            throw CommandFailure(.usage, "--trainer names no program")
        }
        let times = ExternalTrainer.Command.timeoutSecondsRange
        guard times.contains(trainerTimeout) else {
            throw CommandFailure(
                .usage, "--trainer-timeout must be in \(times.lowerBound) … \(times.upperBound) seconds")
        }
        let identity = try SigningKeyFile.read(key)
        let lock = try WorkspaceLock(directory)
        defer { withExtendedLifetime(lock) {} }
        let shared = SharedConsole(console)
        let host = SiteRunHost(
            workspace: directory,
            choices: SiteRunHost.Choices(
                name: name, data: source, base: base,
                trainer: trainer.isEmpty
                    ? nil : ExternalTrainer.Command(arguments: trainer, timeoutSeconds: trainerTimeout),
                epsilonLimit: limit, seed: run.seed),
            server: file.server, epochSeconds: { Int(Date().timeIntervalSince1970) },
            monotonic: { monotonicSeconds() },
            announce: { site, before in
                shared { Self.announce(site, before: before, limit: limit, console: $0) }
            })
        let ledgers = SpentReader(host)
        let moved = Moved<any SiteHost>(host)
        let settings = ServiceConnection.Settings(patience: patience)
        let outcome = try runAsync {
            try await FederationClient(
                file, key: identity, host: moved.take(), settings: settings, environment: .system,
                passing: { CrashPoint.pass($0) }, observe: { event in shared { Self.say(event, $0) } }
            ).run()
        }
        let spent = try ledgers.read()
        if !file.isEncrypted { console.warn(ServeCommand.clearWarning) }
        return Payload(
            federation: file.federation, run: spent.directory, rounds: outcome.rounds,
            released: outcome.released, contributed: outcome.contributed,
            participations: spent.participations, verified: outcome.verified,
            stopped: outcome.stopped, epsilon: spent.epsilon, ledger: spent.ledger,
            encrypted: file.isEncrypted)
    }

    static func refusedInClear(_ url: String) -> CommandFailure {
        CommandFailure(
            .identity, "this server is reached without encryption, which is refused", at: url,
            privacy: "nothing was sent",
            hint: "ask the operator to serve over HTTPS; on a network that is yours alone: --insecure-http")
    }

    /// Reads what was spent, once the client's tasks are over.
    private final class SpentReader {
        private let host: SiteRunHost

        init(_ host: SiteRunHost) { self.host = host }

        func read() throws -> (epsilon: Double, participations: Int, directory: String, ledger: String) {
            let directory = host.directory
            let spent = try host.spent ?? (0, 0)
            return (spent.epsilon, spent.participations, directory?.path ?? "", directory?.ledger ?? "")
        }
    }

    private static func announce(
        _ site: PreparedSite, before: Double, limit: Rational, console: Console
    ) {
        let plan = site.plan
        console.say("records: \(site.summary)")
        console.say(
            "terms: \(plan.rounds) rounds, ε ≤ \(decimal(plan.epsilonMax.asDouble, 4)) at δ = "
                + "\(plan.delta.asDouble) for one \(plan.unit.rawValue); at least \(plan.minSurvivors) of "
                + "\(plan.clients) clients in every sum, \(plan.colluders) assumed to collude; "
                + plan.profile.name)
        console.say(
            "own limit ε = \(decimal(limit.asDouble, 4)), spent before \(decimal(before, 4))")
        if plan.isTinyCohort {
            console.say(
                "tiny cohort: each member can subtract itself; differential privacy is the only protection")
        }
    }

    private static func say(_ event: ClientEvent, _ console: Console) {
        switch event {
        case .connected(let federation, let run):
            console.say(
                "connected to \(federation), run \(run)", event: "connected",
                fields: ["federation": .text(federation), "run": .text(run)])
        case .waiting(let what, let seconds):
            console.step(
                "the server waits for \(what), at most \(seconds) s", event: "waiting",
                fields: ["what": .text(what), "seconds": .integer(seconds)])
        case .training(let round, let seconds):
            console.say(
                "round \(round)  training, at most \(seconds) s", event: "training",
                fields: ["round": .integer(round), "seconds": .integer(seconds)])
        case .stageAnswered(let stage, let round):
            console.detail(
                "round \(round)  stage \(stage.name) answered", event: "stage-answered",
                fields: ["round": .integer(round), "stage": .text(stage.name)])
        case .leftRound(let round, let reason):
            console.say(
                "round \(round)  left: \(reason)", event: "round-left",
                fields: ["round": .integer(round), "reason": .text(reason)], level: .warning)
        case .roundEnded(let round, let released, let verified, let reason):
            console.say(
                "round \(round)  "
                    + (released
                        ? "released\(verified ? ", result verified" : "")" : "opened nothing: \(reason)"),
                event: "round-ended",
                fields: [
                    "round": .integer(round), "released": .flag(released), "verified": .flag(verified),
                    "reason": .text(reason),
                ])
        case .reconnecting(let why):
            console.say(
                "connecting again: \(why)", event: "reconnecting", fields: ["reason": .text(why)])
        }
    }

    func describe(_ payload: Payload) -> String {
        """
        took part in \(payload.participations) of \(payload.rounds) rounds, \(payload.released) released, \
        \(payload.verified) verified here
        ε = \(decimal(payload.epsilon, 4)) charged by this client's own ledger
        ledger   \(payload.ledger)
        """
    }

    func failure(in payload: Payload) -> CommandFailure? {
        guard payload.participations == 0 else { return nil }
        return CommandFailure(
            .quorum, "the run is over and this client took part in no round", at: payload.run,
            privacy: "nothing of this client left it in a sum",
            hint: "start the client before the server's rounds begin")
    }
}
