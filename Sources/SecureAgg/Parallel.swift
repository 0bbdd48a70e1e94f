import Dispatch
import Synchronization

/// Runs `body` for every index below `count` on up to `threads` threads and waits for all.
///
/// Whoever is free takes the next index, so a thread that the system holds up does not hold up the rest.
package func parallel(_ count: Int, threads: Int, _ body: @Sendable (Int) -> Void) {
    guard threads > 1, count > 1 else {
        for index in 0..<count { body(index) }
        return
    }
    let next = Atomic(0)
    DispatchQueue.concurrentPerform(iterations: min(threads, count)) { _ in
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            guard index < count else { return }
            body(index)
        }
    }
}

/// The results of `body` for every index below `count` in order, whoever made them.
package func parallelMap<Element: Sendable>(
    _ count: Int, threads: Int, _ body: @Sendable (Int) -> Element
) -> [Element] {
    [Element](unsafeUninitializedCapacity: count) { buffer, initialised in
        nonisolated(unsafe) let output = buffer.baseAddress
        parallel(count, threads: threads) { index in
            (output! + index).initialize(to: body(index))
        }
        initialised = count
    }
}

/// The same beside one more piece of work, which whoever is free does first.
package func parallelMap<Side: Sendable, Element: Sendable>(
    beside side: @Sendable () -> Side, _ count: Int, threads: Int, _ body: @Sendable (Int) -> Element
) -> (side: Side, elements: [Element]) {
    let made = Mutex<Side?>(nil)
    let elements = [Element](unsafeUninitializedCapacity: count) { buffer, initialised in
        nonisolated(unsafe) let output = buffer.baseAddress
        parallel(count + 1, threads: threads) { index in
            if index == 0 {
                let value = side()
                made.withLock { $0 = value }
            } else {
                (output! + index - 1).initialize(to: body(index - 1))
            }
        }
        initialised = count
    }
    return (made.withLock { $0! }, elements)
}
