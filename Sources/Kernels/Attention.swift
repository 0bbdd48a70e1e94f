import Glibc

/// Causal attention with grouped queries over packed sequences: rows of one segment see only the
/// earlier rows of the same segment.
///
/// Scores exist for one tile of query rows at a time, so memory grows with the length of a segment and
/// not with its square; the backward pass computes them again from the kept log-sum-exp [Dao et al. 2022].

/// One sequence inside a pack of rows.
package struct Segment: Sendable, Equatable {
    package let start: Int
    package let count: Int

    package init(start: Int, count: Int) {
        self.start = start
        self.count = count
    }

    package var rows: Range<Int> { start..<start + count }
}

/// Heads and widths of an attention layer. A row of `qkv` holds all query heads, then all key heads,
/// then all value heads.
package struct AttentionShape: Sendable {
    package let heads: Int
    package let keyValueHeads: Int
    package let headSize: Int

    package init(heads: Int, keyValueHeads: Int, headSize: Int) {
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.headSize = headSize
    }

    fileprivate var group: Int { heads / keyValueHeads }
    fileprivate var queryWidth: Int { heads * headSize }
    fileprivate var fusedWidth: Int { (heads + 2 * keyValueHeads) * headSize }
    fileprivate func keyOffset(_ head: Int) -> Int { (heads + head) * headSize }
    fileprivate func valueOffset(_ head: Int) -> Int { (heads + keyValueHeads + head) * headSize }
    fileprivate var scale: Float { 1 / Float(headSize).squareRoot() }
}

/// Query rows whose scores exist at once.
private let tileRows = 64

/// out (rows × heads·headSize) and the log-sum-exp of every row and head, from `qkv`.
package func attention(
    _ shape: AttentionShape, segments: [Segment], qkv: UnsafePointer<Float>,
    out: UnsafeMutablePointer<Float>, logSumExp: UnsafeMutablePointer<Float>, pool: ThreadPool
) {
    let (width, size, fused) = (shape.queryWidth, shape.headSize, shape.fusedWidth)
    pool.forEach(segments.count * shape.keyValueHeads) { unit in
        let segment = segments[unit / shape.keyValueHeads]
        let keyValueHead = unit % shape.keyValueHeads
        let origin = qkv + segment.start * fused
        let keys = origin + shape.keyOffset(keyValueHead)
        let values = origin + shape.valueOffset(keyValueHead)
        withScratch(min(tileRows, segment.count) * segment.count) { scores in
            forEachTile(shape, segment, keyValueHead) { head, first, rows, end in
                gemm(
                    rows, end, size, origin + first * fused + head * size, fused, keys, fused,
                    transposeB: true, scores, end, alpha: shape.scale)
                for row in 0..<rows {
                    let seen = first + row + 1
                    let (maximum, sum) = softmax(scores + row * end, seen, end)
                    logSumExp[(segment.start + first + row) * shape.heads + head] = maximum + logf(sum)
                }
                gemm(
                    rows, size, end, scores, end, values, fused,
                    out + (segment.start + first) * width + head * size, width)
            }
        }
    }
}

/// dqkv from dout; every row of `dqkv` that belongs to a segment is written.
package func attentionGradient(
    _ shape: AttentionShape, segments: [Segment], qkv: UnsafePointer<Float>,
    out: UnsafePointer<Float>, logSumExp: UnsafePointer<Float>, dout: UnsafePointer<Float>,
    dqkv: UnsafeMutablePointer<Float>, pool: ThreadPool
) {
    let (width, size, fused) = (shape.queryWidth, shape.headSize, shape.fusedWidth)
    pool.forEach(segments.count * shape.keyValueHeads) { unit in
        let segment = segments[unit / shape.keyValueHeads]
        let keyValueHead = unit % shape.keyValueHeads
        let origin = qkv + segment.start * fused
        let dOrigin = dqkv + segment.start * fused
        let (keyOffset, valueOffset) = (
            shape.keyOffset(keyValueHead), shape.valueOffset(keyValueHead)
        )
        for row in 0..<segment.count {
            (dOrigin + row * fused + keyOffset).update(repeating: 0, count: size)
            (dOrigin + row * fused + valueOffset).update(repeating: 0, count: size)
        }
        let tile = min(tileRows, segment.count) * segment.count
        withScratch(2 * tile) { scores in
            let dScores = scores + tile
            forEachTile(shape, segment, keyValueHead) { head, first, rows, end in
                let queries = origin + first * fused + head * size
                let outRow = (segment.start + first) * width + head * size
                gemm(
                    rows, end, size, queries, fused, origin + keyOffset, fused, transposeB: true,
                    scores, end, alpha: shape.scale)
                gemm(
                    rows, end, size, dout + outRow, width, origin + valueOffset, fused,
                    transposeB: true, dScores, end)
                for row in 0..<rows {
                    softmaxGradient(
                        scores: scores + row * end, dScores: dScores + row * end,
                        seen: first + row + 1, count: end,
                        logSumExp: logSumExp[(segment.start + first + row) * shape.heads + head],
                        projection: dot(dout + outRow + row * width, out + outRow + row * width, size),
                        scale: shape.scale)
                }
                gemm(
                    end, size, rows, scores, end, transposeA: true, dout + outRow, width,
                    dOrigin + valueOffset, fused, beta: 1)
                gemm(
                    end, size, rows, dScores, end, transposeA: true, queries, fused,
                    dOrigin + keyOffset, fused, beta: 1)
                gemm(
                    rows, size, end, dScores, end, origin + keyOffset, fused,
                    dOrigin + first * fused + head * size, fused)
            }
        }
    }
}

/// Visits the query tiles of the heads that share one key/value head, always in the same order.
/// `end` is the number of keys that the tile's last row sees.
@inline(__always)
private func forEachTile(
    _ shape: AttentionShape, _ segment: Segment, _ keyValueHead: Int,
    _ body: (_ head: Int, _ first: Int, _ rows: Int, _ end: Int) -> Void
) {
    for head in keyValueHead * shape.group..<(keyValueHead + 1) * shape.group {
        for first in stride(from: 0, to: segment.count, by: tileRows) {
            let rows = min(tileRows, segment.count - first)
            body(head, first, rows, first + rows)
        }
    }
}

/// Turns the first `seen` of `count` scores into probabilities and the others into 0; returns the
/// maximum and the sum of the exponentials.
private func softmax(
    _ row: UnsafeMutablePointer<Float>, _ seen: Int, _ count: Int
) -> (maximum: Float, sum: Float) {
    let maximum = largest(row, seen)
    let sum = exponentials(row, seen, minus: maximum)
    scale(row, seen, by: 1 / sum)
    (row + seen).update(repeating: 0, count: count - seen)
    return (maximum, sum)
}

/// scores → P = exp(score − logSumExp) and dScores → P·(dP − projection)·scale, 0 past `seen`.
private func softmaxGradient(
    scores: UnsafeMutablePointer<Float>, dScores: UnsafeMutablePointer<Float>, seen: Int, count: Int,
    logSumExp: Float, projection: Float, scale: Float
) {
    loops.pointee.softmax_gradient(scores, dScores, logSumExp, projection, scale, seen)
    (scores + seen).update(repeating: 0, count: count - seen)
    (dScores + seen).update(repeating: 0, count: count - seen)
}

/// Attention of one new row per sequence against its cached keys and values (generation).
///
/// `keys` and `values` hold `count` rows of `keyValueHeads · headSize`; `query` and `out` one row of
/// `heads · headSize`; `scores` has room for `count` floats.
package func attentionStep(
    _ shape: AttentionShape, query: UnsafePointer<Float>, keys: UnsafePointer<Float>,
    values: UnsafePointer<Float>, count: Int, scores: UnsafeMutablePointer<Float>,
    out: UnsafeMutablePointer<Float>
) {
    let size = shape.headSize
    let stride = shape.keyValueHeads * size
    for head in 0..<shape.heads {
        let offset = head / shape.group * size
        for position in 0..<count {
            scores[position] =
                dot(query + head * size, keys + position * stride + offset, size) * shape.scale
        }
        _ = softmax(scores, count, count)
        let target = out + head * size
        target.update(repeating: 0, count: size)
        for position in 0..<count {
            axpy(scores[position], values + position * stride + offset, target, size)
        }
    }
}
