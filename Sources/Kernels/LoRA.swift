/// Low-rank adapters on a linear layer [Hu et al. 2021]: y += s·(x·Aᵀ)·Bᵀ with A `rank` × `inputs` and
/// B `outputs` × `rank`.
///
/// Leading dimensions are explicit, because linears that share an input keep their outputs side by side.

/// u = x·Aᵀ.
package func loraProject(
    rows: Int, inputs: Int, rank: Int, x: UnsafePointer<Float>, a: UnsafePointer<Float>,
    u: UnsafeMutablePointer<Float>
) {
    gemm(rows, rank, inputs, x, inputs, a, inputs, transposeB: true, u, rank)
}

/// y += s·u·Bᵀ.
package func loraExpand(
    rows: Int, outputs: Int, rank: Int, scale: Float, u: UnsafePointer<Float>, ldu: Int,
    b: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, ldy: Int
) {
    gemm(rows, outputs, rank, u, ldu, b, rank, transposeB: true, y, ldy, alpha: scale, beta: 1)
}

/// du = s·dy·B.
package func loraExpandGradient(
    rows: Int, outputs: Int, rank: Int, scale: Float, dy: UnsafePointer<Float>, lddy: Int,
    b: UnsafePointer<Float>, du: UnsafeMutablePointer<Float>, lddu: Int
) {
    gemm(rows, rank, outputs, dy, lddy, b, rank, du, lddu, alpha: scale)
}

/// dx += du·A.
package func loraProjectGradient(
    rows: Int, inputs: Int, rank: Int, du: UnsafePointer<Float>, a: UnsafePointer<Float>,
    dx: UnsafeMutablePointer<Float>
) {
    gemm(rows, inputs, rank, du, rank, a, inputs, dx, inputs, beta: 1)
}

/// dA = duᵀ·x, summed over `rows` rows; overwrites.
package func loraGradientA(
    rows: Int, inputs: Int, rank: Int, x: UnsafePointer<Float>, du: UnsafePointer<Float>, lddu: Int,
    dA: UnsafeMutablePointer<Float>
) {
    gemm(rank, inputs, rows, du, lddu, transposeA: true, x, inputs, dA, inputs)
}

/// dB = s·dyᵀ·u, summed over `rows` rows; overwrites.
package func loraGradientB(
    rows: Int, outputs: Int, rank: Int, scale: Float, dy: UnsafePointer<Float>, lddy: Int,
    u: UnsafePointer<Float>, ldu: Int, dB: UnsafeMutablePointer<Float>
) {
    gemm(outputs, rank, rows, dy, lddy, transposeA: true, u, ldu, dB, rank, alpha: scale)
}

/// W += s·B·A.
package func loraMerge(
    inputs: Int, outputs: Int, rank: Int, scale: Float, a: UnsafePointer<Float>,
    b: UnsafePointer<Float>, target: UnsafeMutablePointer<Float>
) {
    gemm(outputs, inputs, rank, b, rank, a, inputs, target, inputs, alpha: scale, beta: 1)
}
