import COpenBLAS
import CVector

/// Matrix products. Matrices are row-major; a leading dimension is the distance of two rows.
///
/// Our own product (CVector) runs where it has vector instructions: it reads weights as they are stored,
/// and an element's bits do not depend on how many rows or columns a call has. Elsewhere OpenBLAS does it,
/// with its own threads off: `ThreadPool` cuts rows at fixed places instead.

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
    if VectorLevel.best != .plain {
        var matrix = vector_matrix(
            data: UnsafeRawPointer(b), scales: nil, stride: ldb, group: 0,
            storage: Int32(vector_f32.rawValue))
        loops.pointee.product(
            rows, columns, inner, a, transposeA ? 1 : lda, transposeA ? lda : 1, &matrix,
            transposeB ? 1 : 0, c, ldc, alpha, beta)
        return
    }
    openBLASProduct(
        rows, columns, inner, a, lda, transposeA: transposeA, b, ldb, transposeB: transposeB, c, ldc,
        alpha: alpha, beta: beta)
}

/// The same by OpenBLAS: what our own product is measured against.
package func openBLASProduct(
    _ rows: Int, _ columns: Int, _ inner: Int,
    _ a: UnsafePointer<Float>, _ lda: Int, transposeA: Bool,
    _ b: UnsafePointer<Float>, _ ldb: Int, transposeB: Bool,
    _ c: UnsafeMutablePointer<Float>, _ ldc: Int, alpha: Float = 1, beta: Float = 0
) {
    cblas_sgemm(
        CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
        blasint(rows), blasint(columns), blasint(inner), alpha, a, blasint(lda), b, blasint(ldb), beta,
        c, blasint(ldc))
}

/// How many rows one piece of a row-wise stage has: a function of the shape alone.
///
/// Every piece packs the weights again. Narrow models have several packs to keep the threads busy, so
/// theirs stay whole up to 256 rows; a wide model may have one sequence only, which is halved.
package func rowGrain(_ rows: Int, width: Int) -> Int {
    if rows <= (width < 384 ? 256 : 96) { return max(rows, 1) }
    return min(512, ((rows + 1) / 2 + 15) & ~15)
}

/// Called once per process, before the first product.
package func useOpenBLASSingleThreaded() { _ = singleThreaded }

private let singleThreaded: Void = openblas_set_num_threads(1)
