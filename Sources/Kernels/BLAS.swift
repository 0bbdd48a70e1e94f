import COpenBLAS
import CVector

/// Matrix products. Matrices are row-major; a leading dimension is the distance of two rows.
///
/// An element's bits depend on its row of A, its column of B and the inner dimension only: not on how many
/// rows or columns a call has, and so not on how `ThreadPool` cuts them.

/// C = α·op(A)·op(B) + β·C with C `rows` × `columns` and the inner dimension `inner`.
///
/// op transposes when `transposeA` (A is stored `inner` × `rows`) or `transposeB` (B is stored
/// `columns` × `inner`). β = 0 ignores what C held.
@inline(__always)
package func gemm(
    _ rows: Int, _ columns: Int, _ inner: Int,
    _ a: UnsafePointer<Float>, _ lda: Int, transposeA: Bool = false,
    _ b: UnsafePointer<Float>, _ ldb: Int, transposeB: Bool = false,
    _ c: UnsafeMutablePointer<Float>, _ ldc: Int, alpha: Float = 1, beta: Float = 0
) {
    if rows == 0 || columns == 0 { return }
    var matrix = vector_matrix(
        data: UnsafeRawPointer(b), scales: nil, stride: ldb, group: 0,
        storage: Int32(vector_f32.rawValue))
    loops.pointee.product(
        rows, columns, inner, a, transposeA ? 1 : lda, transposeA ? lda : 1, &matrix,
        transposeB ? 1 : 0, c, ldc, alpha, beta)
}

/// The same by OpenBLAS, on the calling thread: what our own product is measured against.
package func openBLASProduct(
    _ rows: Int, _ columns: Int, _ inner: Int,
    _ a: UnsafePointer<Float>, _ lda: Int, transposeA: Bool,
    _ b: UnsafePointer<Float>, _ ldb: Int, transposeB: Bool,
    _ c: UnsafeMutablePointer<Float>, _ ldc: Int, alpha: Float = 1, beta: Float = 0
) {
    _ = singleThreaded
    cblas_sgemm(
        CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
        blasint(rows), blasint(columns), blasint(inner), alpha, a, blasint(lda), b, blasint(ldb), beta,
        c, blasint(ldc))
}

private let singleThreaded: Void = openblas_set_num_threads(1)
