import ArgumentParser
import FedTrain
import Foundation

/// `fedtrain status`: the runs of a workspace, what they spent, and what to do next.
struct StatusCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the runs of a workspace, what they spent, and what is unfinished.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The workspace.")
    var workspace: String = "."

    struct Payload: Encodable {
        struct Run: Encodable {
            let run: String
            let state: String
            let lastRound: Int
            let roundsPlanned: Int
            let roundsReleased: Int
            let epsilon: Double?
            let epsilonBudget: Double?
            let delta: Double?
            let unit: String?
            let problem: String?
        }

        let workspace: String
        let runs: [Run]
        /// ε of all runs together, by basic composition; null when a ledger does not verify.
        let epsilonTotal: Double?
        let next: String
    }

    func execute(_ console: Console) throws -> Payload {
        let workspace = Workspace(root: self.workspace)
        guard FileManager.default.fileExists(atPath: workspace.root) else {
            throw CommandFailure(
                .missingInput, "there is no such directory", at: workspace.root,
                hint: "fedtrain init DIR makes one")
        }
        let runs = RunStatus.all(of: workspace)
        let isWhole = !runs.contains { $0.state == .unreadable }
        return Payload(
            workspace: workspace.root,
            runs: runs.map {
                Payload.Run(
                    run: $0.run.path, state: $0.state.rawValue, lastRound: $0.lastRound,
                    roundsPlanned: $0.roundsPlanned, roundsReleased: $0.roundsReleased, epsilon: $0.epsilon,
                    epsilonBudget: $0.epsilonBudget, delta: $0.delta, unit: $0.unit?.rawValue,
                    problem: $0.problem)
            },
            epsilonTotal: isWhole ? runs.compactMap(\.epsilon).reduce(0, +) : nil,
            next: next(runs, workspace))
    }

    private func next(_ runs: [RunStatus], _ workspace: Workspace) -> String {
        if let damaged = runs.first(where: { $0.state == .unreadable }) {
            return "fedtrain audit \(damaged.run.path)"
        }
        guard let last = runs.last(where: { $0.state != .neverStarted }) else {
            return FileManager.default.fileExists(atPath: "\(workspace.root)/federation.yaml")
                ? "fedtrain plan \(workspace.root)/federation.yaml" : "fedtrain init DIR"
        }
        return last.state == .finished
            ? "fedtrain audit \(last.run.path)" : "fedtrain report \(last.run.path)"
    }

    func describe(_ payload: Payload) -> String {
        guard !payload.runs.isEmpty else {
            return "no run yet in \(payload.workspace)\nnext: \(payload.next)"
        }
        let rows = payload.runs.map { run in
            [
                (run.run as NSString).lastPathComponent, run.state,
                run.roundsPlanned > 0 ? "\(run.lastRound) of \(run.roundsPlanned)" : "–",
                "\(run.roundsReleased)",
                run.epsilon.map { decimal($0, 4) } ?? "–", run.epsilonBudget.map { decimal($0, 4) } ?? "–",
                run.unit ?? "–",
            ]
        }
        let total =
            payload.epsilonTotal.map { "ε = \(decimal($0, 4)) spent by all runs together" }
            ?? "what was spent is not known: a ledger does not verify"
        let problems = payload.runs.compactMap { run in run.problem.map { "\(run.run): \($0)" } }
        return
            ([
                table(["run", "state", "last round", "released", "ε spent", "ε budget", "per"], rows), "",
                total,
            ] + problems + ["next: \(payload.next)"]).joined(separator: "\n")
    }
}
