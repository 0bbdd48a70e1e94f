/// Gaussian error linear unit [Hendrycks, Gimpel 2016]: y = x·Φ(x), with Φ by the error function or by the
/// tanh approximation that GPT-2 was trained with (`gelu_new`).

package enum GELU: Sendable, Equatable {
    case erf, tanh
}

/// y = gelu(x) for `count` numbers; y may be x.
package func gelu(
    _ kind: GELU, count: Int, x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>
) {
    switch kind {
    case .erf: loops.pointee.gelu_erf(x, y, count)
    case .tanh: loops.pointee.gelu_tanh(x, y, count)
    }
}

/// dx = dy·gelu′(x) for `count` numbers; dx may be x or dy.
package func geluGradient(
    _ kind: GELU, count: Int, x: UnsafePointer<Float>, dy: UnsafePointer<Float>,
    dx: UnsafeMutablePointer<Float>
) {
    switch kind {
    case .erf: loops.pointee.gelu_erf_gradient(x, dy, dx, count)
    case .tanh: loops.pointee.gelu_tanh_gradient(x, dy, dx, count)
    }
}
