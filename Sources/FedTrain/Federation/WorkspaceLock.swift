import Foundation
import Models

/// Held from reading what was spent until a run is over, so that two processes never spend one budget.
public final class WorkspaceLock {
    private let descriptor: Int32

    /// - Throws: `WorkspaceInUse` when another process holds the workspace.
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
            throw WorkspaceInUse(workspace: workspace.root, process: Self.holder(path))
        }
        // For people only: the lock holds with or without it, on a full disk too.
        let number = Array("\(getpid())\n".utf8)
        _ = ftruncate(descriptor, 0)
        _ = pwrite(descriptor, number, number.count, 0)
    }

    deinit { close(descriptor) }

    /// The number that the holder of a lock wrote into it.
    static func holder(_ path: String) -> Int? {
        FileManager.default.contents(atPath: path).flatMap {
            Int(String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
        }
    }
}

/// Another process works in the workspace.
public struct WorkspaceInUse: Error, Equatable {
    public let workspace: String
    /// Its number, if it left one.
    public let process: Int?
}
