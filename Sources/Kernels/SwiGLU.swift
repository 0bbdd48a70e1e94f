/// The gated MLP's product [Shazeer 2020]: y = silu(gate)·up with silu(g) = g·σ(g).
///
/// A row of `gateUp` holds `width` gates and then `width` ups.

package func swiGLU(
    rows: Int, width: Int, gateUp: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>
) {
    for row in 0..<rows {
        let gate = gateUp + row * 2 * width
        loops.pointee.swiglu(gate, gate + width, y + row * width, width)
    }
}

/// Replaces gate and up by their gradients, given dy.
///
/// d silu(g)/dg = σ·(1 + g·(1 − σ)).
package func swiGLUGradient(
    rows: Int, width: Int, gateUp: UnsafeMutablePointer<Float>, dy: UnsafePointer<Float>
) {
    for row in 0..<rows {
        let gate = gateUp + row * 2 * width
        loops.pointee.swiglu_gradient(gate, gate + width, dy + row * width, width)
    }
}
