import DP
import Foundation
import Models

/// Held from reading what was spent until a run is over, so that two processes never spend one budget.
public final class WorkspaceLock {
    private let descriptor: Int32

    /// - Throws: `LedgerError.inUse` when another process holds the workspace.
    public init(_ workspace: Workspace) throws {
        try AtomicFile.makeDirectory(workspace.runsDirectory)
        let path = workspace.lockFile
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CheckpointError(.cannotWrite, file: path, "the workspace's lock cannot be opened")
        }
        // Released by the system when the process ends, however it ends.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw LedgerError.inUse
        }
    }

    deinit { close(descriptor) }
}
