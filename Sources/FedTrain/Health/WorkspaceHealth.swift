import DP
import Foundation
import Models
import Sodium

/// Whether a workspace's files are as they should be: keys private, ledgers true, nothing half done.
public enum WorkspaceHealth {
    public static func checks(_ workspace: Workspace) -> [HealthCheck] {
        [keys(workspace), lock(workspace)] + ledgers(workspace) + [leftovers(workspace)]
    }

    /// Private keys are readable by their owner alone, and the server's can be read.
    private static func keys(_ workspace: Workspace) -> HealthCheck {
        let name = "keys"
        let files = (try? FileManager.default.contentsOfDirectory(atPath: workspace.keysDirectory)) ?? []
        let open = files.filter { $0.hasSuffix(".key") }.sorted().first { file in
            var status = stat()
            return stat("\(workspace.keysDirectory)/\(file)", &status) == 0 && status.st_mode & 0o077 != 0
        }
        if let open {
            return .fail(
                name, "others can read \(workspace.keysDirectory)/\(open)",
                next: "chmod 600 \(workspace.keysDirectory)/\(open), and make a new key if others may have")
        }
        do {
            _ = try ServerKeyFile.load(in: workspace)
            return .ok(name, "private keys are readable by their owner alone")
        } catch let error as CheckpointError where error.kind == .missingFile {
            guard workspace.runs().isEmpty else {
                return .fail(
                    name, "the server's key is gone, and only it can continue the ledgers",
                    next: "restore \(workspace.keysDirectory)/server.key from a copy")
            }
            return .ok(name, "none yet; the first run makes one")
        } catch {
            return .fail(name, "the server's key: \(error)", next: "restore it from a copy")
        }
    }

    /// Whether another process works here.
    private static func lock(_ workspace: Workspace) -> HealthCheck {
        guard FileManager.default.fileExists(atPath: workspace.runsDirectory) else {
            return .ok("lock", "no run yet")
        }
        let path = workspace.lockFile
        guard FileManager.default.fileExists(atPath: path) else {
            return .ok("lock", "no process is at work")
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            return .fail("lock", "\(path) cannot be opened", next: "check the owner of \(path)")
        }
        defer { close(descriptor) }
        // A lock belongs to a living process: the system takes it back when that ends, so none is stale.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            return .warn(
                "lock",
                (WorkspaceLock.holder(path).map { "process \($0)" } ?? "another process")
                    + " is at work in this workspace",
                next: "wait for it; fedtrain log \(workspace.root) shows what it does")
        }
        return .ok("lock", "no process is at work")
    }

    /// Every run's ledger verifies, is whole, and belongs to the workspace's key.
    private static func ledgers(_ workspace: Workspace) -> [HealthCheck] {
        let key = try? ServerKeyFile.load(in: workspace).verifyingKey
        let runs = workspace.runs()
        var checks: [HealthCheck] = []
        var verified = 0
        for run in runs {
            do {
                guard let ledger = try PriorSpending.ledger(of: run, expecting: key) else {
                    checks.append(
                        .warn(
                            "run \(run.name)", "never started: it has no ledger",
                            next: "remove \(run.path), or leave it; it cost nothing"))
                    continue
                }
                verified += 1
                guard ledger.isClosed else {
                    let open = ledger.openRounds.first.map { " inside round \($0)" } ?? ""
                    checks.append(
                        .warn(
                            "run \(run.name)", "ended\(open) without its close; what it reserved stays spent",
                            next: "fedtrain report \(run.path)"))
                    continue
                }
            } catch {
                checks.append(
                    .fail(
                        "run \(run.name)", "its ledger does not verify: \(error)",
                        next: "restore \(run.ledger) from a copy, then: fedtrain audit \(run.path)"))
            }
        }
        let summary =
            runs.isEmpty ? "no run yet" : "\(verified) of \(runs.count) verify by chain and signature"
        return [.ok("ledgers", summary)] + checks
    }

    /// Files that an interrupted write left behind.
    private static func leftovers(_ workspace: Workspace) -> HealthCheck {
        var found: [String] = []
        let files = FileManager.default.enumerator(atPath: workspace.root)
        while let path = files?.nextObject() as? String {
            if path.hasSuffix(".partial") || path.hasSuffix(".ack.new") { found.append(path) }
        }
        guard let first = found.sorted().first else { return .ok("leftovers", "no half-written files") }
        return .warn(
            "leftovers", "\(found.count) half-written files, such as \(first); no result depends on them",
            next: "rm \(workspace.root)/\(first)")
    }
}
