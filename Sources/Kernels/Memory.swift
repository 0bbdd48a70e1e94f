/// An immutable, aligned run of floats that many threads may read.
///
/// `@unchecked` because of the pointer: nothing writes to it after `Builder.finish`.
package final class FloatBuffer: @unchecked Sendable {
    package let base: UnsafePointer<Float>
    package let count: Int
    private let storage: UnsafeMutablePointer<Float>

    fileprivate init(storage: UnsafeMutablePointer<Float>, count: Int) {
        self.storage = storage
        self.base = UnsafePointer(storage)
        self.count = count
    }

    deinit { storage.deallocate() }

    package func slice(_ range: Range<Int>) -> UnsafeBufferPointer<Float> {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "slice inside the buffer")
        return UnsafeBufferPointer(start: base + range.lowerBound, count: range.count)
    }

    /// The only way to fill a buffer; starts as zeros.
    package struct Builder: ~Copyable {
        private var storage: UnsafeMutablePointer<Float>?
        private let count: Int

        package init(count: Int) {
            self.count = count
            let floats = allocateWords(count).bindMemory(to: Float.self, capacity: max(count, 1))
            floats.initialize(repeating: 0, count: count)
            storage = floats
        }

        deinit { storage?.deallocate() }

        package func slice(_ range: Range<Int>) -> UnsafeMutableBufferPointer<Float> {
            precondition(range.lowerBound >= 0 && range.upperBound <= count, "slice inside the buffer")
            return UnsafeMutableBufferPointer(
                start: storage.unsafelyUnwrapped + range.lowerBound, count: range.count)
        }

        package consuming func finish() -> FloatBuffer {
            let floats = storage.unsafelyUnwrapped
            storage = nil
            return FloatBuffer(storage: floats, count: count)
        }
    }
}

/// Scratch memory for one pass through a model: floats are handed out in order and all returned at once.
///
/// Not for sharing: whoever holds an arena works alone. It keeps its memory between passes, because
/// fresh pages cost more than the arithmetic of a small layer.
package final class Arena {
    private var blocks: [(base: UnsafeMutableRawPointer, words: Int)] = []
    private var block = 0
    private var used = 0

    package init() {}

    deinit {
        for block in blocks { block.base.deallocate() }
    }

    /// Uninitialised floats on a cache line, valid until `reset`.
    package func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
        words(count).bindMemory(to: Float.self, capacity: max(count, 1))
    }

    /// A copy of some 32-bit numbers, valid until `reset`.
    package func copy(_ numbers: [Int32]) -> UnsafeMutablePointer<Int32> {
        let target = words(numbers.count).bindMemory(to: Int32.self, capacity: max(numbers.count, 1))
        for (index, number) in numbers.enumerated() { target[index] = number }
        return target
    }

    /// Copies of chosen rows, one below the other, valid until `reset`.
    package func gather(
        _ rows: [Int], of matrix: UnsafePointer<Float>, width: Int
    ) -> UnsafeMutablePointer<Float> {
        let target = floats(rows.count * width)
        for (index, row) in rows.enumerated() {
            (target + index * width).update(from: matrix + row * width, count: width)
        }
        return target
    }

    /// Rows × `width` zeros with some rows set: `gather` the other way round, valid until `reset`.
    package func scatter(
        _ source: UnsafePointer<Float>, to chosen: [Int], rows: Int, width: Int
    ) -> UnsafeMutablePointer<Float> {
        let target = zeros(rows * width)
        for (index, row) in chosen.enumerated() {
            (target + row * width).update(from: source + index * width, count: width)
        }
        return target
    }

    private func words(_ count: Int) -> UnsafeMutableRawPointer {
        let count = (max(count, 1) + 15) & ~15
        while block < blocks.count, used + count > blocks[block].words {
            block += 1
            used = 0
        }
        if block == blocks.count {
            let size = max(count, 1 << 20)
            blocks.append((allocateWords(size), size))
        }
        defer { used += count }
        return blocks[block].base + 4 * used
    }

    /// Floats set to zero.
    package func zeros(_ count: Int) -> UnsafeMutablePointer<Float> {
        let floats = floats(count)
        floats.update(repeating: 0, count: count)
        return floats
    }

    /// Takes everything back. Pointers handed out before are no longer valid.
    package func reset() {
        block = 0
        used = 0
    }

    /// A point to come back to: what was handed out since is returned.
    package var mark: (block: Int, used: Int) { (block, used) }
    package func release(to mark: (block: Int, used: Int)) { (block, used) = mark }

    /// Bytes held.
    package var capacityBytes: Int { blocks.reduce(0) { $0 + $1.words * 4 } }
}

private func allocateWords(_ count: Int) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer.allocate(byteCount: max(count, 16) * 4, alignment: 64)
}
