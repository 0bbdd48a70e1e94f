/// Small loops over one row that several kernels share, and scratch memory for a piece of work.

/// The largest of `count` ≥ 1 numbers; NaN if any is NaN.
package func largest(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
    var result = x[0]
    var i = 0
    if count >= 8 {
        var lanes = load8(x)
        i = 8
        while i + 8 <= count {
            let next = load8(x + i)
            // Written so that a NaN in `next` replaces what was there and one in `lanes` stays.
            lanes = next.replacing(with: lanes, where: (next .<= lanes) .| (lanes .!= lanes))
            i += 8
        }
        result = lanes[0]
        for lane in 1..<8 where !(lanes[lane] <= result) && result == result { result = lanes[lane] }
    }
    while i < count {
        if !(x[i] <= result) && result == result { result = x[i] }
        i += 1
    }
    return result
}

/// x → exp(x − offset) in place; returns the sum, in an order fixed by the length.
package func exponentials(
    _ x: UnsafeMutablePointer<Float>, _ count: Int, minus offset: Float
) -> Float {
    var lanes = Float8.zero
    var i = 0
    while i + 8 <= count {
        let value = exp8(load8(x + i) - offset)
        store8(x + i, value)
        lanes += value
        i += 8
    }
    var tail: Float = 0
    while i < count {
        x[i] = exp1(x[i] - offset)
        tail += x[i]
        i += 1
    }
    return sum8(lanes) + tail
}

/// x → factor·x in place.
package func scale(_ x: UnsafeMutablePointer<Float>, _ count: Int, by factor: Float) {
    var i = 0
    while i + 8 <= count {
        store8(x + i, load8(x + i) * factor)
        i += 8
    }
    while i < count {
        x[i] *= factor
        i += 1
    }
}

/// y += x for every row: adds a bias.
package func addBias(
    rows: Int, width: Int, bias: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>
) {
    for row in 0..<rows { axpy(1, bias, y + row * width, width) }
}

/// dBias += Σ rows dy.
package func addBiasGradient(
    rows: Int, width: Int, dy: UnsafePointer<Float>, dBias: UnsafeMutablePointer<Float>
) {
    for row in 0..<rows { axpy(1, dy + row * width, dBias, width) }
}

/// Uninitialised floats for the duration of `body`.
@inline(__always)
package func withScratch(_ count: Int, _ body: (UnsafeMutablePointer<Float>) -> Void) {
    withUnsafeTemporaryAllocation(byteCount: max(count, 1) * 4, alignment: 64) { bytes in
        body(bytes.baseAddress.unsafelyUnwrapped.bindMemory(to: Float.self, capacity: max(count, 1)))
    }
}
