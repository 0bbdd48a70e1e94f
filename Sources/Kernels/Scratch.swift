import Synchronization

/// Uninitialised floats for the duration of `body`, on a cache line.
///
/// Large runs are kept for the next piece of work: fresh pages cost more than what is computed in them.
@inline(__always)
package func withScratch(_ count: Int, _ body: (UnsafeMutablePointer<Float>) -> Void) {
    if count <= smallCount {
        withUnsafeTemporaryAllocation(byteCount: max(count, 1) * 4, alignment: 64) { bytes in
            body(bytes.baseAddress.unsafelyUnwrapped.bindMemory(to: Float.self, capacity: max(count, 1)))
        }
    } else {
        let run = scratch.take(count)
        body(run.base)
        scratch.give(run)
    }
}

/// Runs up to this length cost little from the allocator.
package let smallCount = 4096

private let scratch = ScratchRuns()

/// Runs that nobody uses at the moment; few, because a thread needs one or two at a time.
///
/// `@unchecked`: a run is reachable from here or from the one borrower, never from both.
package final class ScratchRuns: @unchecked Sendable {
    package struct Run {
        package let base: UnsafeMutablePointer<Float>
        package let count: Int
    }

    private let lock = Mutex<Void>(())
    private var free: [Run] = []
    private static let runsMax = 8

    package init() {}

    deinit {
        for run in free { run.base.deallocate() }
    }

    /// The smallest free run that is long enough and not much too long, or a new one.
    package func take(_ count: Int) -> Run {
        let found = lock.withLock { _ -> Run? in
            let fitting = free.indices.filter { free[$0].count >= count && free[$0].count <= 4 * count }
            return fitting.min { free[$0].count < free[$1].count }.map { free.remove(at: $0) }
        }
        if let found { return found }
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: count * 4, alignment: 64)
        return Run(base: bytes.bindMemory(to: Float.self, capacity: count), count: count)
    }

    /// Takes a run back; drops the shortest when there are many.
    package func give(_ run: Run) {
        let dropped = lock.withLock { _ -> Run? in
            free.append(run)
            guard free.count > Self.runsMax else { return nil }
            return free.indices.min { free[$0].count < free[$1].count }.map { free.remove(at: $0) }
        }
        dropped?.base.deallocate()
    }
}
