import Sodium

/// A public random rotation of d-dimensional space: random signs and Walsh–Hadamard blocks.
///
/// Blocks of P = 2^k coordinates lie side by side from the start; when P does not divide d, one more
/// block covers the last P coordinates and overlaps its predecessor. Each block multiplies by its own
/// P random signs and by H/√P. So the map is orthogonal for every d, nothing is padded, and:
///
/// Claim: for a vector x that does not depend on the seed, every coordinate of the rotated vector is
/// sub-Gaussian with variance proxy ‖x‖²/P over the seed. (The last block to touch a coordinate
/// makes it Σ ±y_i/√P with fresh signs and ‖y‖ ≤ ‖x‖; Hoeffding.)
///
/// The claim serves the choice of the modulus. Privacy does not need it: a bad or chosen seed can
/// spoil a round's accuracy, never its privacy.
public struct Rotation: Sendable {
    /// d
    public let dimension: Int
    /// P
    public let blockLength: Int
    private let starts: [Int]
    /// ±1/√P, one row of P for each block.
    private let signs: [Float]

    /// Larger blocks flatten better; this one still fits the second-level cache.
    public static let blockLengthMax = 1 << 16
    public static let seedLength = 32

    /// The block length P used for `dimension`: the largest power of two ≤ min(d, 2^16).
    public static func blockLength(for dimension: Int) -> Int {
        precondition(dimension > 0)
        return min(blockLengthMax, 1 << (Int.bitWidth - 1 - dimension.leadingZeroBitCount))
    }

    /// - Parameter seed: 32 public bytes, fresh for every round.
    public init(dimension: Int, seed: [UInt8]) {
        precondition(seed.count == Self.seedLength, "a rotation seed has 32 bytes")
        let length = Self.blockLength(for: dimension)
        self.dimension = dimension
        blockLength = length
        var starts = Array(stride(from: 0, through: dimension - length, by: length))
        if dimension % length != 0 { starts.append(dimension - length) }
        self.starts = starts
        let key = Digest.labelled("dp/v1/rotation", [seed])
        let random = StreamRandom(key: SecretBytes(copying: key.bytes))
        let magnitude = 1 / Float(length).squareRoot()
        signs = [Float](unsafeUninitializedCapacity: starts.count * length) { buffer, count in
            count = starts.count * length
            var word: UInt64 = 0
            for index in 0..<count {
                if index % 64 == 0 { word = random.nextUInt64() }
                buffer[index] = word >> UInt64(index % 64) & 1 == 0 ? magnitude : -magnitude
            }
        }
    }

    /// Rotates `x`, of `dimension` coordinates, in place.
    public func apply(to x: UnsafeMutableBufferPointer<Float>) {
        apply(to: x, level: WalshHadamard.levels.last!)
    }

    /// With one of the processor's sets of instructions; all give the same bits.
    package func apply(to x: UnsafeMutableBufferPointer<Float>, level: Int) {
        precondition(x.count == dimension)
        signs.withUnsafeBufferPointer { signs in
            for (block, start) in starts.enumerated() {
                WalshHadamard.transform(
                    x.baseAddress! + start, before: signs.baseAddress! + block * blockLength,
                    count: blockLength, level: level)
            }
        }
    }

    /// Undoes `apply`, up to single-precision rounding.
    public func applyInverse(to x: UnsafeMutableBufferPointer<Float>) {
        applyInverse(to: x, level: WalshHadamard.levels.last!)
    }

    package func applyInverse(to x: UnsafeMutableBufferPointer<Float>, level: Int) {
        precondition(x.count == dimension)
        signs.withUnsafeBufferPointer { signs in
            for (block, start) in starts.enumerated().reversed() {
                WalshHadamard.transform(
                    x.baseAddress! + start, after: signs.baseAddress! + block * blockLength,
                    count: blockLength, level: level)
            }
        }
    }
}
