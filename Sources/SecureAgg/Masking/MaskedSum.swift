/// The server's one accumulator: the sum of masked vectors, from which masks are taken off in place.
final class MaskedSum {
    private enum Storage {
        case narrow(RingVector<UInt16>)
        case wide(RingVector<UInt32>)
    }

    private var storage: Storage

    convenience init(parameters: AggregationParameters) {
        self.init(length: parameters.vectorLength, bits: parameters.modulusBits)
    }

    init(length: Int, bits: Int) {
        storage =
            bits <= 16
            ? .narrow(RingVector(zeros: length, bits: bits))
            : .wide(RingVector(zeros: length, bits: bits))
    }

    func add(packed bytes: [UInt8], to range: Range<Int>) {
        update {
            $0.add(packed: bytes, to: range)
        } wide: {
            $0.add(packed: bytes, to: range)
        }
    }

    /// - Parameter offset: where in the whole vector this sum begins, a multiple of 64.
    func add(_ terms: [MaskTerm], startingAt offset: Int = 0, threads: Int) {
        update {
            MaskSum.add(terms, to: &$0, startingAt: offset, threads: threads)
        } wide: {
            MaskSum.add(terms, to: &$0, startingAt: offset, threads: threads)
        }
    }

    /// The elements in 0 ..< 2^b.
    var elements: [UInt32] {
        switch storage {
        case .narrow(let vector): vector.elements
        case .wide(let vector): vector.elements
        }
    }

    // The vector leaves the enum before it changes, so that it is changed in place and not copied.
    private func update(
        narrow: (inout RingVector<UInt16>) -> Void, wide: (inout RingVector<UInt32>) -> Void
    ) {
        switch storage {
        case .narrow(var vector):
            storage = .narrow(RingVector(zeros: 0, bits: vector.bits))
            narrow(&vector)
            storage = .narrow(vector)
        case .wide(var vector):
            storage = .wide(RingVector(zeros: 0, bits: vector.bits))
            wide(&vector)
            storage = .wide(vector)
        }
    }
}
