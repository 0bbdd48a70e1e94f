/// The gated MLP's product [Shazeer 2020]: y = silu(gate)·up with silu(g) = g·σ(g).
///
/// A row of `gateUp` holds `width` gates and then `width` ups.

package func swiGLU(
    rows: Int, width: Int, gateUp: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>
) {
    for row in 0..<rows {
        let gate = gateUp + row * 2 * width
        let up = gate + width
        let y = y + row * width
        var i = 0
        while i + 8 <= width {
            let g = load8(gate + i)
            store8(y + i, g / (1 + exp8(-g)) * load8(up + i))
            i += 8
        }
        while i < width {
            y[i] = gate[i] / (1 + exp1(-gate[i])) * up[i]
            i += 1
        }
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
        let up = gate + width
        let dy = dy + row * width
        var i = 0
        while i + 8 <= width {
            let (g, d) = (load8(gate + i), load8(dy + i))
            let sigmoid = 1 / (1 + exp8(-g))
            store8(gate + i, d * load8(up + i) * sigmoid * (1 + g * (1 - sigmoid)))
            store8(up + i, d * g * sigmoid)
            i += 8
        }
        while i < width {
            let (g, d) = (gate[i], dy[i])
            let sigmoid = 1 / (1 + exp1(-g))
            gate[i] = d * up[i] * sigmoid * (1 + g * (1 - sigmoid))
            up[i] = d * g * sigmoid
            i += 1
        }
    }
}
