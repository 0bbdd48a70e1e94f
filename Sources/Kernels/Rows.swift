/// Small loops over one row that several kernels share.

/// The largest of `count` ≥ 1 numbers; NaN if any is NaN.
package func largest(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
    loops.pointee.largest(x, count)
}

/// x → exp(x − offset) in place; returns the sum, in an order fixed by the length.
///
/// Each within two units in the last place for x − offset ≥ −87; smaller arguments give 0, those above
/// 88.7 infinity, NaN stays NaN.
package func exponentials(
    _ x: UnsafeMutablePointer<Float>, _ count: Int, minus offset: Float
) -> Float {
    loops.pointee.exponentials(x, offset, count)
}

/// x → factor·x in place.
package func scale(_ x: UnsafeMutablePointer<Float>, _ count: Int, by factor: Float) {
    loops.pointee.scale(x, factor, count)
}

/// y += a·x.
package func axpy(
    _ a: Float, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ count: Int
) {
    loops.pointee.axpy(a, x, y, count)
}

/// Σ aᵢ·bᵢ, in an order fixed by the length.
package func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
    loops.pointee.dot(a, b, count)
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
