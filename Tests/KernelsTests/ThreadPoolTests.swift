import Kernels
import Synchronization
import Testing

@Suite("The thread pool")
struct ThreadPoolTests {
    @Test("every index runs exactly once, whatever the threads", arguments: [1, 2, 5])
    func everyIndexOnce(threads: Int) {
        let pool = ThreadPool(threads: threads)
        for count in [0, 1, 2, 3, 100, 1000] {
            let seen = Mutex([Int](repeating: 0, count: count))
            pool.forEach(count) { index in seen.withLock { $0[index] += 1 } }
            #expect(seen.withLock { $0.allSatisfy { $0 == 1 } })
        }
    }

    @Test("ranges are cut at multiples of the grain")
    func rangesAreFixed() {
        let ranges = Mutex(Set<Range<Int>>())
        ThreadPool(threads: 2).forEachRange(10, grain: 4) { range in
            ranges.withLock { _ = $0.insert(range) }
        }
        #expect(ranges.withLock { $0 } == [0..<4, 4..<8, 8..<10])
    }

    @Test("rows are covered once by neighbouring pieces, also inside another loop", arguments: [1, 2, 3])
    func rowsAreCovered(threads: Int) {
        let pool = ThreadPool(threads: threads)
        for rows in [0, 1, 47, 48, 97, 512, 1200, 5000] {
            let pieces = Mutex<[Range<Int>]>([])
            pool.forEachRows(rows) { piece in pieces.withLock { $0.append(piece) } }
            let sorted = pieces.withLock { $0.sorted { $0.lowerBound < $1.lowerBound } }
            #expect(sorted.flatMap { Array($0) } == Array(0..<rows))
            #expect(rows < 48 || sorted.count >= threads)
        }
        let inner = Mutex(0)
        pool.forEach(4) { _ in
            pool.forEachRows(100) { piece in inner.withLock { $0 += piece.count } }
        }
        #expect(inner.withLock { $0 } == 400)
    }

    @Test("loops inside loops and loops of several callers complete")
    func nestedAndConcurrent() async {
        let pool = ThreadPool(threads: 2)
        let total = Counter()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<200 {
                        pool.forEach(3) { _ in
                            pool.forEach(4) { _ in total.increase() }
                        }
                    }
                }
            }
        }
        #expect(total.value == 4 * 200 * 12)
    }

    @Test("what a loop wrote is visible when it returns")
    func writesAreVisible() {
        let pool = ThreadPool(threads: 2)
        var numbers = [Int](repeating: 0, count: 64)
        for round in 1...2000 {
            numbers.withUnsafeMutableBufferPointer { numbers in
                pool.forEach(64) { numbers[$0] = round }
            }
            #expect(numbers.allSatisfy { $0 == round })
        }
    }
}

private final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    func increase() { count.wrappingAdd(1, ordering: .relaxed) }
    var value: Int { count.load(ordering: .relaxed) }
}
