import Glibc
import Synchronization

/// A few threads that share loops over independent pieces of work.
///
/// Which thread takes which piece is left to chance, what a piece computes is not: callers cut their work
/// at fixed places, so results do not depend on the number of threads. A loop started from inside
/// another one, or while somebody else's is running, runs on the calling thread.
package final class ThreadPool: Sendable {
    /// One for the process, as wide as the machine.
    package static let shared = ThreadPool(threads: availableProcessors())

    package let threads: Int
    private let state: PoolState

    package init(threads: Int) {
        precondition(threads >= 1, "a pool has at least one thread")
        self.threads = threads
        state = PoolState()
        for _ in 1..<max(threads, 1) { state.startWorker() }
    }

    deinit { state.stop() }

    /// Calls `body` once for every index in 0 ..< `count`, on several threads, and returns when all
    /// calls have. `body` must not touch what another index writes.
    package func forEach(_ count: Int, _ body: (Int) -> Void) {
        guard count > 1, threads > 1, state.tryBegin() else {
            for index in 0..<count { body(index) }
            return
        }
        withoutActuallyEscaping(body) { body in
            state.run(count, body)
        }
        state.end()
    }

    /// Cuts the rows of a row-wise stage into one piece per thread, more for many rows, and one piece inside
    /// another loop. A stage's rows do not depend on one another, so the cut changes no bit.
    package func forEachRows(_ rows: Int, _ body: (Range<Int>) -> Void) {
        guard rows >= rowsWorthCutting, threads > 1, state.tryBegin() else {
            for start in stride(from: 0, to: rows, by: rowsPerPiece) {
                body(start..<min(rows, start + rowsPerPiece))
            }
            return
        }
        let pieces = max(threads, (rows + rowsPerPiece - 1) / rowsPerPiece)
        withoutActuallyEscaping(body) { body in
            state.run(pieces) { body(rows * $0 / pieces..<rows * ($0 + 1) / pieces) }
        }
        state.end()
    }

    /// Cuts 0 ..< `count` at multiples of `grain` and calls `body` with every piece.
    package func forEachRange(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
        let pieces = (count + grain - 1) / grain
        forEach(pieces) { piece in
            body(piece * grain..<min(count, (piece + 1) * grain))
        }
    }
}

/// Fewer rows are done sooner by one thread.
private let rowsWorthCutting = 48
/// Every piece repacks the weights, and its rows should stay in the second cache.
private let rowsPerPiece = 512

/// What the workers and the caller share. `@unchecked`: `count` and `body` are written by the thread that
/// holds `busy` while no worker has joined, and read by those that joined under `mutex`.
private final class PoolState: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wakeUp = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let busy = Atomic<Bool>(false)
    private let next = Atomic<Int>(0)
    private let generation = Atomic<Int>(0)
    private let active = Atomic<Int>(0)
    private var count = 0
    private var body: ((Int) -> Void)?
    /// Whether workers may still join the current loop.
    private var open = false
    private var stopping = false

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wakeUp, nil)
    }

    deinit {
        pthread_cond_destroy(wakeUp)
        pthread_mutex_destroy(mutex)
        wakeUp.deallocate()
        mutex.deallocate()
    }

    func tryBegin() -> Bool {
        busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    }

    func end() { busy.store(false, ordering: .releasing) }

    func run(_ count: Int, _ body: @escaping (Int) -> Void) {
        pthread_mutex_lock(mutex)
        self.count = count
        self.body = body
        open = true
        next.store(0, ordering: .relaxed)
        generation.wrappingAdd(1, ordering: .releasing)
        pthread_cond_broadcast(wakeUp)
        pthread_mutex_unlock(mutex)

        takePieces(count, body)

        // From here no worker can join; those that did are in the middle of a piece, so the wait is short.
        pthread_mutex_lock(mutex)
        open = false
        pthread_mutex_unlock(mutex)
        var spins = 0
        while active.load(ordering: .acquiring) != 0 {
            spins += 1
            if spins > 2000 { sched_yield() }
        }
        self.body = nil
    }

    private func takePieces(_ count: Int, _ body: (Int) -> Void) {
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            if index >= count { return }
            body(index)
        }
    }

    func startWorker() {
        var thread = pthread_t()
        let box = Unmanaged.passRetained(self)
        let status = pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<PoolState>.fromOpaque(argument!).takeRetainedValue().work()
                return nil
            }, box.toOpaque())
        if status == 0 {
            pthread_detach(thread)
        } else {
            // The loop still completes on the threads there are.
            box.release()
        }
    }

    func stop() {
        pthread_mutex_lock(mutex)
        stopping = true
        generation.wrappingAdd(1, ordering: .releasing)
        pthread_cond_broadcast(wakeUp)
        pthread_mutex_unlock(mutex)
    }

    private func work() {
        var seen = 0
        while true {
            // Loops follow one another closely: look for the next a little before going to sleep.
            var spins = 0
            while generation.load(ordering: .acquiring) == seen, spins < 4000 { spins += 1 }

            pthread_mutex_lock(mutex)
            while generation.load(ordering: .relaxed) == seen { pthread_cond_wait(wakeUp, mutex) }
            seen = generation.load(ordering: .relaxed)
            if stopping {
                pthread_mutex_unlock(mutex)
                return
            }
            let joins = open
            if joins { active.wrappingAdd(1, ordering: .relaxed) }
            pthread_mutex_unlock(mutex)

            if joins {
                takeCurrentPieces()
                active.wrappingSubtract(1, ordering: .releasing)
            }
        }
    }

    /// A function of its own, so that its hold on the closure has ended when `active` says so.
    @inline(never)
    private func takeCurrentPieces() {
        if let body { takePieces(count, body) }
    }
}

private func availableProcessors() -> Int {
    max(1, min(64, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
}
