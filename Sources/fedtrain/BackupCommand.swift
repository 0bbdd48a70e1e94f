import ArgumentParser
import FedTrain
import Foundation
import Service

/// What both directions print.
struct BackupPayload: Encodable {
    let from: String
    let to: String
    let files: Int
    let bytes: Int
    /// The latest round of the unfinished run; null when the latest run is over, or there is none.
    let latestRound: Int?

    init(from: String, to: String, _ summary: WorkspaceBackup.Summary) {
        self.from = from
        self.to = to
        files = summary.files
        bytes = summary.bytes
        latestRound = summary.latestRound
    }
}

/// `fedtrain backup`: copy a workspace, also while it is in use.
struct BackupCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copy a server's or a client's workspace, also while it is in use.",
        discussion: """
            The copy holds private keys: keep it as the workspace itself is kept. It cannot know what is spent \
            after it; `restore` asks for that.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The workspace.")
    var workspace: String

    @Argument(help: "The copy: a directory that does not exist yet.")
    var target: String

    func execute(_ console: Console) throws -> BackupPayload {
        guard FileManager.default.fileExists(atPath: workspace) else {
            throw CommandFailure(.missingInput, "there is no such directory", at: workspace)
        }
        let summary = try WorkspaceBackup.make(
            of: Workspace(root: workspace), at: target, now: Int(Date().timeIntervalSince1970))
        return BackupPayload(from: workspace, to: target, summary)
    }

    func describe(_ payload: BackupPayload) -> String {
        "copied \(payload.files) files, \(bytes(payload.bytes)), to \(payload.to)\n"
            + "next: keep it where the workspace's disk does not reach"
    }
}

/// `fedtrain restore`: put a copy back, and charge what was spent since.
struct RestoreCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Put a copy of a workspace back, with what was spent since charged to its ledger.",
        discussion: """
            Say how far the run came after the copy was made: the server's log, a client's ledger or the \
            dashboard know. Rounds up to then are charged in full. A run that was begun after the copy is not \
            in it: lower privacy.epsilon by what that run may have spent.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The copy.")
    var source: String

    @Argument(help: "The workspace: a directory that does not exist.")
    var workspace: String

    @Option(help: "The latest round that was begun, also after the copy.")
    var latestRound: Int?

    @Flag(help: "Nothing was run after the copy was made.")
    var nothingSince = false

    @Option(help: "A client's identity key; a server's lies in the copy.")
    var key: String?

    func execute(_ console: Console) throws -> BackupPayload {
        let since: WorkspaceBackup.Since
        switch (latestRound, nothingSince) {
        case (let round?, false) where round >= 0: since = .round(round)
        case (nil, true): since = .nothing
        default:
            throw CommandFailure(
                .usage,
                "say what was run after the copy was made: a restored ledger must not count too little",
                privacy: "nothing was restored",
                hint: "--latest-round N for the latest round that was begun, or --nothing-since")
        }
        let summary = try WorkspaceBackup.restore(
            source, to: Workspace(root: workspace), since: since, keyFile: key,
            now: Int(Date().timeIntervalSince1970))
        return BackupPayload(from: source, to: workspace, summary)
    }

    func describe(_ payload: BackupPayload) -> String {
        let round =
            payload.latestRound.map { "the run continues after round \($0)" } ?? "no run is unfinished"
        return "restored \(payload.files) files to \(payload.to); \(round)\n"
            + "next: fedtrain doctor \(payload.to)"
    }
}
