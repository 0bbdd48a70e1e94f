import Glibc

/// Cross-entropy of a linear head, row chunk by row chunk: the logits of all rows never exist at once.

/// Rows whose logits exist at once: a function of the vocabulary alone.
private func chunkRows(vocabulary: Int) -> Int {
    max(16, min(256, (1 << 24) / vocabulary & ~15))
}

/// −log softmax(x·Wᵀ)[target] of every row, and its gradient times `weights[row]` when wanted.
///
/// - Parameters:
///   - x: `rows` × `width`, the normalised rows that predict a target.
///   - head: W, `vocabulary` × `width`.
///   - losses: one per row, without the weight.
///   - weights: each row's factor in the total loss; read only when a gradient is wanted.
///   - dx: `rows` × `width`, overwritten; nil for the losses alone.
///   - dHead: `vocabulary` × `width`, added to; nil for a frozen head.
package func crossEntropy(
    rows: Int, width: Int, vocabulary: Int, x: UnsafePointer<Float>, head: StoredMatrix,
    targets: UnsafePointer<Int32>, losses: UnsafeMutablePointer<Float>,
    weights: UnsafePointer<Float>? = nil, dx: UnsafeMutablePointer<Float>? = nil,
    dHead: UnsafeMutablePointer<Float>? = nil, pool: ThreadPool
) {
    let grain = chunkRows(vocabulary: vocabulary)
    func chunk(_ piece: Range<Int>) {
        let (start, count) = (piece.lowerBound, piece.count)
        withScratch(count * vocabulary) { logits in
            head.multiply(rows: count, x + start * width, width, logits, vocabulary)
            for row in 0..<count {
                losses[start + row] = lossAndSlope(
                    logits + row * vocabulary, vocabulary, target: Int(targets[start + row]),
                    weight: weights?[start + row])
            }
            if let dx {
                head.multiplyGradient(
                    rows: count, logits, vocabulary, dx + start * width, width)
            }
            if let dHead {
                gemm(
                    vocabulary, width, count, logits, vocabulary, transposeA: true,
                    x + start * width, width, dHead, width, beta: 1)
            }
        }
    }
    if dHead == nil {
        pool.forEachRange(rows, grain: grain, chunk)
    } else {
        // Every chunk adds to dHead: one after the other.
        for start in stride(from: 0, to: rows, by: grain) { chunk(start..<min(rows, start + grain)) }
    }
}

/// The loss of one row of logits; with a weight, the logits become weight·(softmax − one-hot).
private func lossAndSlope(
    _ logits: UnsafeMutablePointer<Float>, _ count: Int, target: Int, weight: Float?
) -> Float {
    let maximum = largest(logits, count)
    let targetLogit = logits[target]
    let sum = exponentials(logits, count, minus: maximum)
    if let weight {
        scale(logits, count, by: weight / sum)
        logits[target] -= weight
    }
    return logf(sum) + (maximum - targetLogit)
}
