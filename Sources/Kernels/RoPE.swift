import Glibc

/// Rotary position embedding [Su et al. 2021] in the half-split form of Hugging Face checkpoints:
/// within a head, coordinate i and coordinate i + size/2 turn together by position · frequency i.

/// Cosines and sines of every position, computed in double precision once.
package final class RotaryTable: Sendable {
    /// Pairs per head: half the head's width.
    package let pairs: Int
    package let positions: Int
    private let table: FloatBuffer

    package init(frequencies: [Double], positions: Int) {
        pairs = frequencies.count
        self.positions = positions
        let builder = FloatBuffer.Builder(count: 2 * positions * frequencies.count)
        let target = builder.slice(0..<2 * positions * frequencies.count)
        for position in 0..<positions {
            let row = 2 * position * frequencies.count
            for (pair, frequency) in frequencies.enumerated() {
                let angle = Double(position) * frequency
                target[row + pair] = Float(cos(angle))
                target[row + frequencies.count + pair] = Float(sin(angle))
            }
        }
        table = builder.finish()
    }

    fileprivate func row(_ position: Int) -> UnsafePointer<Float> {
        table.base + 2 * position * pairs
    }
}

/// Turns `heads` neighbouring heads of each of `rows` rows in place; row t stands at `positions[t]`.
///
/// Heads are `headSize` wide; the first 2·pairs coordinates of each turn, the others stay.
/// `inverse` turns back, which is also the gradient: a rotation's transpose is its inverse.
package func rotate(
    rows: Int, heads: Int, headSize: Int, x: UnsafeMutablePointer<Float>, ldx: Int,
    positions: UnsafePointer<Int32>, table: RotaryTable, inverse: Bool = false
) {
    let pairs = table.pairs
    let sign: Float = inverse ? -1 : 1
    for row in 0..<rows {
        let position = Int(positions[row])
        precondition(position < table.positions, "position inside the rotary table")
        let cosine = table.row(position)
        let sine = cosine + pairs
        for head in 0..<heads {
            let first = x + row * ldx + head * headSize
            let second = first + pairs
            loops.pointee.rotate(first, second, cosine, sine, sign, pairs)
        }
    }
}
