import ArgumentParser
import FedTrain

/// `fedtrain simulate`: the whole federation in this process.
struct SimulateCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run the whole federation in this process, with the code that a network runs.",
        discussion: """
            Each run gets a directory runs/NNNN with its ledger, adapter and privacy report. All runs of a \
            workspace share one privacy budget. Ctrl-C ends the run after the round it is in.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var source: ConfigurationOptions
    @OptionGroup var run: RunOptions

    func execute(_ console: Console) throws -> RunPayload {
        let (configuration, node) = try YAMLFile.configuration(source.file, overrides: source.overrides)
        let workspace = Workspace(configurationFile: source.file)
        let lock = try WorkspaceLock(workspace)
        defer { withExtendedLifetime(lock) {} }
        let prepared = try PreparedFederation(
            configuration, workspace: workspace, randomness: run.randomness)
        try prepared.requireBudget()
        for site in prepared.data.sites { console.detail("\(site.name): \(site.summary)") }
        let watcher = RunWatcher(console: console, plan: prepared.plan)
        watcher.announce(prepared)
        SignalWatch.start()
        let federation = FederationRun(
            prepared: prepared, source: node, workspace: workspace,
            serverKey: try ServerKeyFile.loadOrCreate(in: workspace), clock: .system)
        let outcome = try federation.execute(
            shouldStop: { SignalWatch.interrupted }, observe: watcher.observe)
        return RunPayload(outcome, plan: prepared.plan)
    }

    func describe(_ payload: RunPayload) -> String { payload.text }

    func failure(in payload: RunPayload) -> CommandFailure? { payload.failure }
}
