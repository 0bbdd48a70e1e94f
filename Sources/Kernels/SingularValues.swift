import COpenBLAS

/// Thin singular value decomposition W = U·diag(s)·Vᵀ by LAPACK's divide and conquer.
///
/// - Parameter matrix: rows × columns, row by row.
/// - Returns: U (rows × m), s (m, descending), Vᵀ (m × columns), with m = min(rows, columns).
public func singularValues(
    _ matrix: [Float], rows: Int, columns: Int
) -> (left: [Float], values: [Float], right: [Float]) {
    precondition(rows >= 1 && columns >= 1 && matrix.count == rows * columns)
    let m = min(rows, columns)
    // LAPACK counts by columns: it sees Wᵀ (columns × rows) = V·diag(s)·Uᵀ. Its left vectors lie one
    // after another, which is Vᵀ row by row; its right ones are U row by row.
    var a = matrix
    var values = [Float](repeating: 0, count: m)
    var right = [Float](repeating: 0, count: m * columns)
    var left = [Float](repeating: 0, count: rows * m)
    var integers = [Int32](repeating: 0, count: 8 * m)
    var job: CChar = 0x53  // S: thin
    var (height, width, thin, info) = (Int32(columns), Int32(rows), Int32(m), Int32(0))
    func decompose(_ work: inout [Float], _ length: Int) {
        var length = Int32(length)
        sgesdd_(
            &job, &height, &width, &a, &height, &values, &right, &height, &left, &thin, &work, &length,
            &integers, &info)
    }
    var size: [Float] = [0]
    decompose(&size, -1)
    var work = [Float](repeating: 0, count: Int(size[0]) + 1)
    decompose(&work, work.count)
    precondition(info == 0, "the decomposition converges for finite matrices")
    return (left, values, right)
}
