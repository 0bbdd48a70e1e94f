import ArgumentParser
import FedTrain
import Foundation

/// `fedtrain log`: what happened in a run, round by round.
struct LogCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Show what happened in a run, round by round.",
        discussion: "Counts, times and bytes from the run's events.jsonl; the ledger is what is signed.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The workspace.")
    var workspace: String = "."

    @Option(help: "The run's number; the latest when not given.")
    var run: Int?

    struct Payload: Encodable {
        struct Line: Encodable {
            let round: Int
            let outcome: String
            let reason: String?
            let survivors: Int
            let invited: Int
            let epsilon: Double
            let seconds: Double
            let bytesUp: Int
            let bytesDown: Int
        }

        let run: String
        let rounds: [Line]
        let unreadableLines: Int
    }

    func execute(_ console: Console) throws -> Payload {
        let workspace = Workspace(root: self.workspace)
        let runs = workspace.runs()
        let chosen = run.map { number in runs.first { Int($0.name) == number } } ?? runs.last
        guard let chosen else {
            throw CommandFailure(
                .missingInput, run.map { "there is no run \($0)" } ?? "there is no run yet",
                at: workspace.runsDirectory, hint: "fedtrain status \(workspace.root)")
        }
        let (lines, unreadable) = try EventLine.read(chosen)
        return Payload(
            run: chosen.path,
            rounds: lines.map {
                Payload.Line(
                    round: $0.round, outcome: $0.outcome, reason: $0.reason, survivors: $0.survivors,
                    invited: $0.invited, epsilon: $0.epsilon, seconds: $0.seconds, bytesUp: $0.bytesUp,
                    bytesDown: $0.bytesDown)
            }, unreadableLines: unreadable)
    }

    func describe(_ payload: Payload) -> String {
        guard !payload.rounds.isEmpty else { return "no round has ended in \(payload.run)" }
        let rows = payload.rounds.map {
            [
                "\($0.round)", $0.outcome, "\($0.survivors) of \($0.invited)", decimal($0.epsilon, 4),
                decimal($0.seconds, 2), bytes($0.bytesUp), bytes($0.bytesDown),
            ]
        }
        let reasons = payload.rounds.compactMap { line in
            line.reason.map { "round \(line.round): \($0)" }
        }
        let lost =
            payload.unreadableLines > 0
            ? ["\(payload.unreadableLines) lines are of another version or damaged"] : []
        return
            ([
                payload.run,
                table(
                    ["round", "outcome", "survivors", "ε so far", "seconds", "bytes up", "bytes down"], rows),
            ] + reasons + lost).joined(separator: "\n")
    }
}
