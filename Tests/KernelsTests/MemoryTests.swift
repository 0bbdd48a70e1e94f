import Kernels
import Testing

@Suite("Scratch memory")
struct MemoryTests {
    @Test("what an arena hands out does not overlap, also past one block")
    func arenaHandsOutDisjointRuns() {
        let arena = Arena()
        for _ in 0..<2 {
            let runs = [5, 1, 3_000_000, 17, 2_000_000, 64].map { (arena.floats($0), $0) }
            for (index, run) in runs.enumerated() { run.0.update(repeating: Float(index), count: run.1) }
            for (index, run) in runs.enumerated() {
                #expect(run.0[0] == Float(index) && run.0[run.1 - 1] == Float(index))
                #expect(UInt(bitPattern: run.0) % 64 == 0)
            }
            let capacity = arena.capacityBytes
            arena.reset()
            #expect(arena.capacityBytes == capacity)
        }
    }

    @Test("a released run is handed out again")
    func releaseReturns() {
        let arena = Arena()
        _ = arena.floats(100)
        let mark = arena.mark
        let first = arena.floats(10)
        arena.release(to: mark)
        #expect(arena.floats(10) == first)
    }

    @Test("scratch runs are used again, and never by two at once")
    func scratchRunsComeBack() {
        let runs = ScratchRuns()
        let first = runs.take(10_000)
        let second = runs.take(10_000)
        #expect(first.base != second.base)
        runs.give(first)
        #expect(runs.take(9000).base == first.base)
        runs.give(second)
        // Too short, and far too long.
        #expect(runs.take(10_001).base != second.base)
        #expect(runs.take(100).base != second.base)
    }
}
