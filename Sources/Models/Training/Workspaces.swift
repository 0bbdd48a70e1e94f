import Kernels
import Synchronization

/// Arenas kept for reuse between passes, one for each pass that runs at the same time.
///
/// `@unchecked`: an arena is reachable from here or from the one borrower, never from both.
package final class Workspaces: @unchecked Sendable {
    private let lock = Mutex<Void>(())
    private var free: [Arena] = []

    package init() {}

    /// Lends an empty arena for the duration of `body`.
    package func withArena<Result>(_ body: (Arena) -> Result) -> Result {
        let arena = lock.withLock { _ in free.popLast() } ?? Arena()
        let result = body(arena)
        arena.reset()
        lock.withLock { _ in free.append(arena) }
        return result
    }
}
