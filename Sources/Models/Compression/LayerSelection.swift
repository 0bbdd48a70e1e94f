import Glibc

/// Which blocks of a model's middle an emulator keeps.
///
/// Two rules for "uniform" are in use and pick different blocks: offsite-tuning rounds
/// [Xiao, Lin, Han 2023, `round`], FederatedScope-LLM and FedBiOT cut off [`int`].
public enum LayerRule: String, Sendable, Codable, CaseIterable {
    /// round(i·(M−1)/(k−1)), halves to the even neighbour as Python rounds.
    case uniformRounded = "uniform-round"
    /// ⌊i·(M−1)/(k−1)⌋.
    case uniformFloored = "uniform-floor"

    /// The kept places among 0 ..< `middleCount`, ascending; the first and the last are always kept.
    /// - Precondition: 1 ≤ keep ≤ middleCount. One kept block is the first.
    public func kept(_ keep: Int, of middleCount: Int) -> [Int] {
        precondition(keep >= 1 && keep <= middleCount, "an emulator keeps some of the middle's blocks")
        guard keep > 1 else { return [0] }
        return (0..<keep).map { index in
            let place = Double(index * (middleCount - 1)) / Double(keep - 1)
            switch self {
            case .uniformRounded: return Int(place.rounded(.toNearestOrEven))
            case .uniformFloored: return Int(place)
            }
        }
    }

    /// k = round(M·(1 − ratio)), halves to even as Python rounds: FederatedScope-LLM's `drop_ratio`.
    public static func keptCount(dropping ratio: Double, of middleCount: Int) -> Int {
        max(1, Int((Double(middleCount) * (1 - ratio)).rounded(.toNearestOrEven)))
    }
}

/// Neighbouring blocks that compute alike, found from what they do to public text.
///
/// Adjacent groups are joined, most alike first, until `count` are left [CRaSh, Zhang et al. 2023].
public struct BlockClusters: Sendable, Equatable {
    /// Consecutive ranges of places in the middle, covering it.
    public let ranges: [Range<Int>]

    /// The block that stands for each range: its middle one.
    public var centres: [Int] { ranges.map { $0.lowerBound + ($0.count - 1) / 2 } }

    /// For each place of the middle, the place whose block takes it when blocks are shared: the depth is
    /// preserved by repetition.
    public var shared: [Int] { zip(ranges, centres).flatMap { range, centre in range.map { _ in centre } } }

    /// - Parameters:
    ///   - features: one matrix per block, examples × width, row by row: the pooled output of the block.
    ///   - width: columns of each matrix.
    /// - Precondition: 1 ≤ count ≤ number of blocks.
    public init(features: [[Float]], width: Int, count: Int) {
        precondition(count >= 1 && count <= features.count, "some clusters, at most one per block")
        var ranges = features.indices.map { $0..<$0 + 1 }
        let similarity = features.map { left in
            features.map { centredKernelAlignment(left, $0, width: width) }
        }
        func alikeness(_ left: Range<Int>, _ right: Range<Int>) -> Double {
            var sum = 0.0
            for one in left { for other in right { sum += similarity[one][other] } }
            return sum / Double(left.count * right.count)
        }
        while ranges.count > count {
            let best = (0..<ranges.count - 1).max {
                alikeness(ranges[$0], ranges[$0 + 1]) < alikeness(ranges[$1], ranges[$1 + 1])
            }!
            ranges[best] = ranges[best].lowerBound..<ranges[best + 1].upperBound
            ranges.remove(at: best + 1)
        }
        self.ranges = ranges
    }
}

/// Linear centred kernel alignment of two feature matrices with the same rows, 0 … 1
/// [Kornblith et al. 2019]: ‖XᵀY‖² / (‖XᵀX‖·‖YᵀY‖) of the centred matrices.
public func centredKernelAlignment(_ left: [Float], _ right: [Float], width: Int) -> Double {
    let rows = left.count / width
    precondition(rows >= 1 && left.count == right.count, "matrices with the same rows")
    let (x, y) = (centred(left, width), centred(right, width))
    // The rows' Gram matrices: few rows, whatever the width.
    func gram(_ matrix: [Double]) -> [Double] {
        var gram = [Double](repeating: 0, count: rows * rows)
        for i in 0..<rows {
            for j in 0...i {
                var sum = 0.0
                for column in 0..<width { sum += matrix[i * width + column] * matrix[j * width + column] }
                gram[i * rows + j] = sum
                gram[j * rows + i] = sum
            }
        }
        return gram
    }
    let (a, b) = (gram(x), gram(y))
    func inner(_ one: [Double], _ other: [Double]) -> Double {
        zip(one, other).reduce(0) { $0 + $1.0 * $1.1 }
    }
    let scale = (inner(a, a) * inner(b, b)).squareRoot()
    return scale > 0 ? inner(a, b) / scale : 0
}

private func centred(_ matrix: [Float], _ width: Int) -> [Double] {
    let rows = matrix.count / width
    var centred = matrix.map(Double.init)
    for column in 0..<width {
        var mean = 0.0
        for row in 0..<rows { mean += centred[row * width + column] }
        mean /= Double(rows)
        for row in 0..<rows { centred[row * width + column] -= mean }
    }
    return centred
}
