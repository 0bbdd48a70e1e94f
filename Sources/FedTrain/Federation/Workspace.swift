import DP
import Foundation
import Models

/// The directory of a federation: `federation.yaml`, `keys/`, and one directory per run.
///
/// All runs of a workspace train on the same people, so they share one privacy budget; another
/// population gets a workspace of its own. Files are written whole: temporary name, sync, rename.
public struct Workspace: Sendable {
    public let root: String

    public init(root: String) {
        self.root = root.isEmpty ? "." : root
    }

    /// The workspace that a `federation.yaml` lies in.
    public init(configurationFile path: String) {
        self.init(root: (path as NSString).deletingLastPathComponent)
    }

    public var keysDirectory: String { "\(root)/keys" }
    public var runsDirectory: String { "\(root)/runs" }

    var lockFile: String { "\(runsDirectory)/.lock" }

    /// The runs so far, oldest first.
    public func runs() -> [RunDirectory] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: runsDirectory)) ?? []
        return names.filter { $0.count >= 4 && Int($0) != nil }.sorted { Int($0)! < Int($1)! }
            .map { RunDirectory(path: "\(runsDirectory)/\($0)") }
    }

    /// The numbers of the runs in clear, which are none of `runs`: nothing was charged for them.
    func clearRuns() -> [Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(root)/clear")) ?? []
        return names.compactMap { Int($0) }.sorted()
    }

    /// Creates the directory of the next run in clear.
    func makeClearDirectory() throws -> String {
        let directory = "\(root)/clear/\(Self.numbered((clearRuns().last ?? 0) + 1))"
        try AtomicFile.makeDirectory(directory)
        return directory
    }

    private static func numbered(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    /// Creates the directory of the next run.
    public func makeRun() throws -> RunDirectory {
        let name = Self.numbered((runs().last.flatMap { Int($0.name) } ?? 0) + 1)
        let run = RunDirectory(path: "\(runsDirectory)/\(name)")
        try AtomicFile.makeDirectory(runsDirectory)
        // Not "create if absent": a number belongs to one run.
        guard mkdir(run.path, 0o755) == 0 else {
            throw CheckpointError(.cannotWrite, file: run.path, "the run's directory cannot be made")
        }
        return run
    }
}

/// What one run leaves behind.
public struct RunDirectory: Sendable, Equatable {
    public let path: String

    public init(path: String) {
        self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    public var name: String { (path as NSString).lastPathComponent }

    public var ledger: String { "\(path)/ledger.jsonl" }
    public var events: String { "\(path)/events.jsonl" }
    /// The configuration as it was used, with every override applied.
    public var configuration: String { "\(path)/configuration.json" }
    /// The trained adapter in `peft` layout.
    public var adapter: String { "\(path)/adapter" }
    /// The global adapter after a released round, in `peft` layout.
    public func globalAdapter(round: Int) -> String {
        let digits = String(round)
        return "\(path)/global/" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }
    /// What a server continues from after a crash: its state after the latest opened round.
    public var serverState: String { "\(path)/server-state" }
    public var clients: String { "\(path)/clients" }
    public var reports: String { "\(path)/reports" }
    public var reportJSON: String { "\(reports)/privacy-report.json" }
    public var reportHTML: String { "\(reports)/privacy-report.html" }
    public var reportSignature: String { "\(reports)/privacy-report.sig" }
    public var reportPlot: String { "\(reports)/epsilon.svg" }
    /// The workspace that the run belongs to.
    public var workspace: Workspace {
        Workspace(root: ((path as NSString).deletingLastPathComponent as NSString).deletingLastPathComponent)
    }

    /// Where a client that has this directory for itself keeps what is its own.
    package func siteFiles() throws -> SiteFiles {
        SiteFiles(
            ledger: try FileLedgerStorage(path: ledger),
            personal: PersonalFile(path: "\(path)/personal/numbers"))
    }

    /// What a client of a federation in one process keeps as its own.
    ///
    /// - Parameter ledger: in memory while the run goes on: the clients end with their server, whose own ledger
    ///   is durable before every step and charges the same.
    func siteFiles(of client: String, ledger: MemoryLedgerStorage) -> SiteFiles {
        SiteFiles(
            ledger: ledger,
            personal: PersonalFile(path: "\(path)/personal/\(client)/numbers"))
    }

    /// A client's own ledger.
    public func clientLedger(_ client: String) -> String { "\(clients)/\(client).ledger.jsonl" }
}

/// What one client keeps of a run.
package struct SiteFiles {
    package let ledger: any LedgerStorage
    package let personal: PersonalFile
}
