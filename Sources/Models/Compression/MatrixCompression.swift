import Kernels

/// Replaces a matrix by its best approximation of lower rank (Frobenius norm) [Eckart, Young 1936]; the
/// result has the same shape, so that it loads anywhere.
///
/// - Parameters:
///   - matrix: rows × columns, row by row.
///   - share: of min(rows, columns) singular values that stay, above 0 and at most 1; at least one stays.
public func lowRank(_ matrix: [Float], rows: Int, columns: Int, share: Double) -> [Float] {
    precondition(share > 0 && share <= 1 && matrix.count == rows * columns)
    let full = min(rows, columns)
    let rank = max(1, Int((Double(full) * share).rounded(.up)))
    guard rank < full else { return matrix }
    let (left, values, right) = singularValues(matrix, rows: rows, columns: columns)
    var result = [Float](repeating: 0, count: rows * columns)
    // Summed in double precision: the cut singular values are the only error worth speaking of.
    for row in 0..<rows {
        var sums = [Double](repeating: 0, count: columns)
        for index in 0..<rank {
            let factor = Double(left[row * full + index]) * Double(values[index])
            for column in 0..<columns { sums[column] += factor * Double(right[index * columns + column]) }
        }
        for column in 0..<columns { result[row * columns + column] = Float(sums[column]) }
    }
    return result
}

/// Rounds a tensor to 2^`bits` evenly spaced values between its least and greatest: the grid's centre is
/// the midrange and its step (max − min)/(2^b − 1), as offsite-tuning quantises.
public func quantised(_ values: [Float], bits: Int) -> [Float] {
    precondition((1...16).contains(bits), "1 to 16 bits")
    guard let least = values.min(), let greatest = values.max(), greatest > least else { return values }
    let step = (Double(greatest) - Double(least)) / Double((1 << bits) - 1)
    let base = Double(least)
    return values.map { value in
        Float(base + ((Double(value) - base) / step).rounded(.toNearestOrEven) * step)
    }
}
