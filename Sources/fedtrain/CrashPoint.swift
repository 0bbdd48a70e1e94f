import Foundation

/// Lets a test kill this process at a named point of a round, as `kill -9` would: no handler runs, nothing
/// is flushed. FEDTRAIN_CRASH_AT names the point; docs/federation.md lists all of them.
enum CrashPoint {
    private static let wanted = ProcessInfo.processInfo.environment["FEDTRAIN_CRASH_AT"]

    @Sendable static func pass(_ point: String) {
        if point == wanted { kill(getpid(), SIGKILL) }
    }
}
