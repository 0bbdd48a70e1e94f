import ArgumentParser
import CMalloc
import Foundation

/// The root of the command line.
struct Fedtrain: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fedtrain",
        abstract: "Fine-tune a language model together without showing anyone your data.",
        discussion: """
            Clients fine-tune a small adapter, add differentially private noise and mask their update; \
            the server recovers only the sum. Start with `fedtrain demo`.
            """,
        version: Version.text,
        subcommands: [
            DemoCommand.self, InitCommand.self, PlanCommand.self, SimulateCommand.self,
            ReportCommand.self, AuditCommand.self, AccountCommand.self, DrillCommand.self,
            EvaluateCommand.self, GenerateCommand.self, AdapterCommand.self, TokenizeCommand.self,
            PretrainCommand.self, ServeCommand.self, JoinCommand.self, KeysCommand.self, RosterCommand.self,
            BackupCommand.self, RestoreCommand.self, EmulatorCommand.self, StudyCommand.self,
            DataCommand.self, StatusCommand.self, LogCommand.self, DoctorCommand.self,
            ExplainCommand.self, BenchCommand.self,
        ])
}

/// A command that either returns its result or throws; printing and exit codes are done in one place.
protocol ResultCommand: ParsableCommand {
    associatedtype Payload: Encodable

    var global: GlobalOptions { get }

    /// How it talks on stderr.
    var logFormat: LogFormat { get }

    /// Does the work. Talks through `console`, returns what `--json` prints.
    func execute(_ console: Console) throws -> Payload

    /// The same result for people.
    func describe(_ payload: Payload) -> String

    /// A result that is worth printing and is a failure all the same.
    func failure(in payload: Payload) -> CommandFailure?
}

extension ResultCommand {
    var logFormat: LogFormat { .text }

    func failure(in payload: Payload) -> CommandFailure? { nil }

    func run() throws {
        let console = Console(global, log: logFormat)
        let payload: Payload
        do {
            payload = try execute(console)
        } catch {
            throw ReportedFailure(
                failure: CommandFailure(describing: error), command: commandName, log: logFormat)
        }
        let failure = failure(in: payload)
        if console.json {
            let envelope = Envelope(
                ok: failure == nil, command: commandName, data: payload, error: failure.map(ErrorPayload.init)
            )
            console.output(try encodeJSON(envelope))
        } else {
            console.output(describe(payload))
        }
        if let failure {
            throw ReportedFailure(
                failure: failure, command: commandName, log: logFormat, isPrinted: true)
        }
    }

    private var commandName: String { Self.configuration.commandName ?? "fedtrain" }
}

/// A failure on its way to `main`, with the command it happened in.
struct ReportedFailure: Error {
    let failure: CommandFailure
    let command: String
    var log = LogFormat.text
    /// The JSON envelope is out already.
    var isPrinted = false
}

@main
enum Main {
    static func main() {
        // A reader that goes away must not kill the run in the middle of a write to its workspace.
        signal(SIGPIPE, SIG_IGN)
        // A file over the size limit is an error to report, not a reason to be killed.
        signal(SIGXFSZ, SIG_IGN)
        // Large buffers go back to the system at once. With glibc's sliding threshold they would stay in
        // the heap, which then grew from round to round by a megabyte.
        mallopt(M_MMAP_THRESHOLD, 128 << 10)
        mallopt(M_ARENA_MAX, 2)
        do {
            var command = try Fedtrain.parseAsRoot()
            try command.run()
        } catch let reported as ReportedFailure {
            finish(
                reported.failure, command: reported.command, log: reported.log,
                envelope: !reported.isPrinted)
        } catch {
            let status = Fedtrain.exitCode(for: error)
            guard status != .success, wantsJSON else { Fedtrain.exit(withError: error) }
            finish(
                CommandFailure(
                    .usage, Fedtrain.message(for: error),
                    hint: "fedtrain \(CommandLine.arguments.dropFirst().first ?? "") --help"),
                command: CommandLine.arguments.dropFirst().first ?? "fedtrain")
        }
    }

    private static var wantsJSON: Bool { CommandLine.arguments.contains("--json") }

    private static func finish(
        _ failure: CommandFailure, command: String, log: LogFormat = .text, envelope: Bool = true
    ) -> Never {
        if wantsJSON, envelope {
            let envelope = Envelope<EmptyPayload>(
                ok: false, command: command, error: ErrorPayload(failure))
            print((try? encodeJSON(envelope)) ?? "{\"ok\":false}")
        }
        let text =
            switch log {
            case .text: "fedtrain: \(failure.text)"
            case .json: (try? encodeJSON(failure.logLine)) ?? failure.text
            }
        FileHandle.standardError.write(Data("\(text)\n".utf8))
        Foundation.exit(failure.status.rawValue)
    }
}
