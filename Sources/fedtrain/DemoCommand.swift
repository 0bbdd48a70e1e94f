import ArgumentParser
import FedTrain
import Foundation
import Models

/// `fedtrain demo`: a whole private federation in one command, offline, with nothing to prepare.
struct DemoCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Run a whole private federation: built-in model and data, sites lost on purpose.",
        discussion: """
            Sites that each see only some categories of notes learn to fill in a form together. Two sites are \
            lost in one round, which is still released; too many in another, which opens nothing. The table \
            compares, on the same held-out notes, the base model, every site on its own, the federation with \
            its sum in clear and the federation with privacy.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "Everything random follows from it; other seeds give other notes, losses and noise.")
    var seed: UInt64 = 1

    @Option(help: "Where the workspace goes; `fedtrain-demo`, or the next free name, when not given.")
    var directory: String?

    struct Payload: Encodable {
        struct Row: Encodable {
            let name: String
            let score: Double
        }

        let workspace: String
        let seed: UInt64
        let seconds: Double
        let planned: PlanCommand.Payload
        let run: String
        let rounds: Int
        let epsilon: Double
        let delta: Double
        let unit: String
        let scores: RunPayload.Scores
        let survivorsPerRound: [Int]
        let outcomePerRound: [String]
        let bytesUpPerClient: Int
        let bytesDownPerClient: Int
        let peakMemory: Int
        let adapter: String
        let report: String
        let metric: String
        let heldOut: Int
        let table: [Row]
        let failure: CommandFailure?

        enum CodingKeys: String, CodingKey {
            case workspace, seed, seconds, planned, run, rounds, epsilon, delta, unit, scores
            case survivorsPerRound, outcomePerRound, bytesUpPerClient, bytesDownPerClient, peakMemory
            case adapter, report, metric, heldOut, table
        }
    }

    func execute(_ console: Console) throws -> Payload {
        let started = monotonicSeconds()
        let root = try directory ?? freeDirectory()
        let workspace = try makeWorkspace(root)
        let file = "\(root)/federation.yaml"
        let (configuration, node) = try YAMLFile.configuration(file, overrides: [])
        let prepared = try PreparedFederation(
            configuration, workspace: workspace, randomness: .seeded(seed))
        console.say("workspace \(root)")
        let watcher = RunWatcher(console: console, plan: prepared.plan)
        watcher.announce(prepared)

        console.say("yardsticks, without privacy (the notes are generated, so nobody is exposed):")
        let comparisons = try DemoComparison(prepared).scores { console.step("  \($0)") }
        console.say("federation:")
        SignalWatch.start()
        let outcome = try FederationRun(
            prepared: prepared, source: node, workspace: workspace,
            serverKey: try ServerKeyFile.loadOrCreate(in: workspace), clock: .system
        ).execute(
            comparisons: comparisons, shouldStop: { SignalWatch.interrupted }, observe: watcher.observe)
        let payload = RunPayload(outcome, plan: prepared.plan)
        let rows =
            [("base model", outcome.before?.value)] + comparisons.map { ($0.name, $0.value) }
            + [("federation with privacy", outcome.after?.value)]
        return Payload(
            workspace: root, seed: seed, seconds: monotonicSeconds() - started,
            planned: try PlanCommand.payload(prepared), run: payload.run, rounds: payload.rounds,
            epsilon: payload.epsilon, delta: payload.delta, unit: payload.unit, scores: payload.scores,
            survivorsPerRound: payload.survivorsPerRound, outcomePerRound: payload.outcomePerRound,
            bytesUpPerClient: payload.bytesUpPerClient, bytesDownPerClient: payload.bytesDownPerClient,
            peakMemory: payload.peakMemory, adapter: payload.adapter, report: payload.report,
            metric: outcome.after?.metric ?? "", heldOut: outcome.after?.count ?? 0,
            table: rows.compactMap { name, score in score.map { Payload.Row(name: name, score: $0) } },
            failure: payload.failure)
    }

    func describe(_ payload: Payload) -> String {
        let rows = payload.table.map { [$0.name, percent($0.score)] }
        let lost = zip(payload.survivorsPerRound, payload.outcomePerRound).enumerated().compactMap {
            index, round -> String? in
            guard round.0 < payload.planned.clients else { return nil }
            return "round \(index + 1): \(round.0) of \(payload.planned.clients) survived, \(round.1)"
        }
        return """

            \(table(["fully right forms, \(payload.heldOut) held-out notes", "score"], rows))

            ε = \(decimal(payload.epsilon, 4)) at δ = \(payload.delta) for one \(payload.unit) \
            (planned \(decimal(payload.planned.epsilon.planned, 4)))
            \(lost.joined(separator: "\n"))
            \(decimal(payload.seconds, 0)) s, peak memory \(bytes(payload.peakMemory)) (predicted \
            \(bytes(payload.planned.peakMemory))), each site sent \(bytes(payload.bytesUpPerClient)) a round \
            (predicted \(bytes(payload.planned.bytesUpPerClient)))
            adapter  \(payload.adapter)
            report   \(payload.report)
            next: fedtrain audit \(payload.run)
            """
    }

    func failure(in payload: Payload) -> CommandFailure? { payload.failure }

    private func makeWorkspace(_ root: String) throws -> Workspace {
        let contents = try? FileManager.default.contentsOfDirectory(atPath: root)
        guard contents?.isEmpty ?? true else {
            throw CommandFailure(
                .cannotCreate, "the directory exists and is not empty; nothing was changed", at: root,
                hint: "choose another: fedtrain demo --directory NAME")
        }
        let workspace = Workspace(root: root)
        try AtomicFile.makeDirectory(workspace.runsDirectory)
        try AtomicFile.write(FederationTemplates.demo(), to: "\(root)/federation.yaml")
        return workspace
    }

    private func freeDirectory() throws -> String {
        for number in 1...10_000 {
            let name = number == 1 ? "fedtrain-demo" : "fedtrain-demo-\(number)"
            if !FileManager.default.fileExists(atPath: name) { return name }
        }
        throw CommandFailure(.cannotCreate, "10000 demo workspaces are here already", hint: "remove some")
    }
}
