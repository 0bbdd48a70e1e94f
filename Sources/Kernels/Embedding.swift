/// Rows of an embedding matrix by token id.

/// y[t] = table[tokens[t]].
package func embed(
    rows: Int, width: Int, tokens: UnsafePointer<Int32>, table: StoredMatrix,
    y: UnsafeMutablePointer<Float>
) {
    for row in 0..<rows {
        table.row(Int(tokens[row]), into: y + row * width)
    }
}

/// dTable[tokens[t]] += dy[t].
package func embedGradient(
    rows: Int, width: Int, tokens: UnsafePointer<Int32>, dy: UnsafePointer<Float>,
    dTable: UnsafeMutablePointer<Float>
) {
    for row in 0..<rows { axpy(1, dy + row * width, dTable + Int(tokens[row]) * width, width) }
}
