/// The Gaussian error linear unit [Hendrycks, Gimpel 2016]: y = x·Φ(x), exactly, or with Φ replaced by
/// the tanh approximation that GPT-2 was trained with (`gelu_new`).

/// y = gelu(x) for `count` numbers; y may be x.
package func gelu(
    count: Int, x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, tanh: Bool
) {
    tanh ? loops.pointee.gelu_tanh(x, y, count) : loops.pointee.gelu_erf(x, y, count)
}

/// Replaces x by its gradient, given dy.
package func geluGradient(
    count: Int, x: UnsafeMutablePointer<Float>, dy: UnsafePointer<Float>, tanh: Bool
) {
    tanh
        ? loops.pointee.gelu_tanh_gradient(x, dy, x, count)
        : loops.pointee.gelu_erf_gradient(x, dy, x, count)
}
