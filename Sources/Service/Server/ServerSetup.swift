import FedTrain
import Foundation
import Models
import SecureAgg
import Sodium

/// A server's workspace put together: configuration, roster, key, store, and the run that is to be
/// started or continued.
package struct ServerSetup {
    package let run: ServerRun
    package let store: ServiceStore
    package let key: SigningKey
    package let roster: RosterFile
    package let source: ConfigurationNode
    private let signedRoster: [UInt8]
    private let acceptedNonces: [Digest: UInt64]

    /// What a workspace is ready for.
    package enum Opening {
        case ready(ServerSetup)
        /// The latest run is over; another one needs an explicit wish, since it spends anew.
        case finished(RunDirectory)
    }

    /// Opens a workspace for serving.
    ///
    /// - Parameters:
    ///   - startsNewRun: start another run when the latest one is over.
    ///   - clock: seconds since 1970 and durations.
    package static func open(
        _ configuration: FederationConfiguration, source: ConfigurationNode, workspace: Workspace,
        rosterFile: String, randomness: RunRandomness, startsNewRun: Bool, clock: RunClock
    ) throws -> Opening {
        guard let bytes = FileManager.default.contents(atPath: rosterFile) else {
            throw CheckpointError(
                .missingFile, file: rosterFile, "there is no roster, or it cannot be read",
                hint: "The authority makes it: fedtrain roster approve REQUEST")
        }
        let (roster, signed) = try RosterFile.read(bytes: Array(bytes), file: rosterFile)
        let protocolRoster = try roster.roster()
        let key = try ServerKeyFile.loadOrCreate(in: workspace)
        try AtomicFile.makeDirectory("\(workspace.root)/state")
        let store = try ServiceStore(path: "\(workspace.root)/state/server.db")

        var unfinished: RunDirectory?
        switch try ServerRun.latest(in: workspace, key: key) {
        case .none: break
        case .unfinished(let run): unfinished = run
        case .finished(let run): if !startsNewRun { return .finished(run) }
        }
        let prepared = try PreparedFederation(
            configuration,
            prior: try PriorSpending(of: workspace, privacy: configuration.privacy, except: unfinished),
            randomness: randomness, holdsClientFiles: false)
        guard protocolRoster.entries.count >= prepared.plan.minCohort else {
            throw FederationError.tooFewClients(
                found: protocolRoster.entries.count, needed: prepared.plan.minCohort)
        }
        let run: ServerRun
        if let unfinished {
            run = try ServerRun(
                resuming: unfinished, prepared: prepared, key: key, roster: protocolRoster, clock: clock,
                mayHaveLeft: { store.mayHaveLeft(run: unfinished.name, round: $0) })
        } else {
            try prepared.requireBudget()
            run = try ServerRun(
                starting: prepared, source: source, workspace: workspace, key: key,
                roster: protocolRoster, clock: clock)
        }
        return .ready(
            ServerSetup(
                run: run, store: store, key: key, roster: roster, source: source, signedRoster: signed,
                acceptedNonces: try store.nonces(stillValidAt: UInt64(max(0, clock.epochSeconds())))))
    }

    /// The run as a coordinator drives it.
    package func host() -> RunHost {
        RunHost(
            run: run, store: store, source: source, signedRoster: signedRoster,
            acceptedNonces: acceptedNonces)
    }
}

extension Coordinator.Timing {
    /// As the configuration has it, or the section's defaults.
    package init(_ network: FederationConfiguration.Network?) {
        self.init(
            gather: Double(network?.gatherSeconds ?? 86_400), train: Double(network?.trainSeconds ?? 3600),
            stage: Double(network?.stageSeconds ?? 120), grace: Double(network?.graceSeconds ?? 15))
    }
}
