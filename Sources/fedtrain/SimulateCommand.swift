import ArgumentParser
import FedTrain

/// `fedtrain simulate`: the whole federation in this process.
struct SimulateCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run the whole federation in this process, with the code that a network runs.",
        discussion: """
            Each run gets a directory runs/NNNN with its ledger, adapter and privacy report. All runs of a \
            workspace share one privacy budget. Ctrl-C ends the run after the round it is in. With privacy.unit \
            none the federation runs in clear, for yardsticks on data that nobody needs to be protected from; \
            its adapters go to clear/NNNN, without ledger or report.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var source: ConfigurationOptions
    @OptionGroup var run: RunOptions

    enum Payload: Encodable {
        case run(RunPayload)
        case clear(ClearPayload)

        func encode(to encoder: any Encoder) throws {
            switch self {
            case .run(let payload): try payload.encode(to: encoder)
            case .clear(let payload): try payload.encode(to: encoder)
            }
        }
    }

    func execute(_ console: Console) throws -> Payload {
        let (configuration, node) = try YAMLFile.configuration(source.file, overrides: source.overrides)
        let workspace = Workspace(configurationFile: source.file)
        let lock = try WorkspaceLock(workspace)
        defer { withExtendedLifetime(lock) {} }
        if configuration.privacy.isInClear {
            return .clear(
                try ClearPayload(
                    configuration, source: node, workspace: workspace, randomness: run.randomness,
                    console: console))
        }
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
        return .run(RunPayload(outcome, plan: prepared.plan))
    }

    func describe(_ payload: Payload) -> String {
        switch payload {
        case .run(let payload): payload.text
        case .clear(let payload): payload.text
        }
    }

    func failure(in payload: Payload) -> CommandFailure? {
        if case .run(let payload) = payload { payload.failure } else { nil }
    }
}
