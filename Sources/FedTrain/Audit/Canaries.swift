import DP
import Models
import Sodium

/// What a canary's vector looks like.
public enum CanaryKind: String, CaseIterable, Hashable, Sendable {
    /// A random direction of the update, ±1 in every coordinate: feels what a whole update feels.
    case direction
    /// One coordinate of the rotated vector, reserved for this canary: the sharpest view of the noise,
    /// and the one that sees coordinates which got none.
    case coordinate
}

/// The units that an audit makes up, each with its own fair, secret coin that decides whether it takes part.
///
/// A canary's vector is ten times as long as the clip norm, so that a missing clip shows. Its score is
/// what an adversary with the opened sum would look at: 1 in expectation when the canary's clipped vector
/// is in the sum, 0 when it is not.
struct Canaries {
    let kind: CanaryKind
    let isIncluded: [Bool]
    private let encoding: EncodingPlan
    private let directionSeed: UInt64

    var count: Int { isIncluded.count }

    static let overshoot: Float = 10

    /// - Parameter count: for `.coordinate` at most the plan's dimension.
    init(_ kind: CanaryKind, count: Int, encoding: EncodingPlan, random: StreamRandom) {
        precondition(kind == .direction || count <= encoding.dimension)
        self.kind = kind
        self.encoding = encoding
        isIncluded = (0..<count).map { _ in random.nextUInt64() & 1 == 1 }
        directionSeed = random.nextUInt64()
    }

    /// The vector that canary `index` hands to the encoder, in the update's units.
    func vector(_ index: Int, rotation: Rotation) -> [Float] {
        let length = Self.overshoot * Float(encoding.clipNorm.asDouble)
        switch kind {
        case .direction:
            let size = length / Float(encoding.dimension).squareRoot()
            var vector = [Float](repeating: size, count: encoding.dimension)
            forEachMinus(index) { vector[$0] = -size }
            return vector
        case .coordinate:
            var vector = [Float](repeating: 0, count: encoding.dimension)
            vector[position(index)] = length
            vector.withUnsafeMutableBufferPointer { rotation.applyInverse(to: $0) }
            return vector
        }
    }

    /// Scores of the canaries `indices` in an opened sum.
    ///
    /// - Parameters:
    ///   - sum: `plan.length` centred integers, without the noise that colluders disclosed.
    ///   - decoded: the same sum as the server decodes it.
    func scores(_ indices: Range<Int>, sum: [Int32], decoded: [Float]) -> [Double] {
        switch kind {
        case .direction:
            let total = decoded.reduce(0.0) { $0 + Double($1) }
            let unit = Double(encoding.dimension).squareRoot() * encoding.clipNorm.asDouble
            return indices.map { index in
                // Σ ±x = Σ x − 2·Σ over the minus signs.
                var minus = 0.0
                decoded.withUnsafeBufferPointer { decoded in
                    forEachMinus(index) { minus += Double(decoded[$0]) }
                }
                return (total - 2 * minus) / unit
            }
        case .coordinate:
            return indices.map { Double(sum[position($0)]) / Double(encoding.clipSteps) }
        }
    }

    /// Where canary `index` lies in the rotated vector: spread evenly, so that every part is covered.
    private func position(_ index: Int) -> Int { index * encoding.dimension / count }

    /// Calls `body` with each coordinate whose sign is minus.
    @inline(__always)
    private func forEachMinus(_ index: Int, _ body: (Int) -> Void) {
        var seeds = SplitMix64(seed: directionSeed ^ UInt64(index))
        var generator = SplitMix64(seed: seeds.next())
        var start = 0
        while start < encoding.dimension {
            var word = generator.next()
            let count = min(64, encoding.dimension - start)
            if count < 64 { word &= (1 << UInt64(count)) - 1 }
            while word != 0 {
                body(start + word.trailingZeroBitCount)
                word &= word - 1
            }
            start += 64
        }
    }
}
