/// Rounding to integers at random, and the exact test of the result's norm.
package enum StochasticRounding {
    /// Rounded values must lie in ±2^22, where single precision still tells integers apart.
    package static let valueBits = 22

    /// output[j] = ⌊x[j] + u_j⌋ with u_j uniform on 2^16 midpoints of [0, 1): x[j] on average, up to 2^−17.
    ///
    /// For |x| < 2^22; other inputs give some integer, which the norm gate then judges. The coins need
    /// neither precision nor secrecy: the sensitivity bound holds for each of their outcomes.
    package static func round(
        _ x: UnsafePointer<Float>, coins: UnsafePointer<UInt16>,
        into output: UnsafeMutablePointer<Int32>, count: Int
    ) {
        for index in 0..<count {
            // 1.r in binary, shifted to the interval (−½, ½) around zero.
            let uniform =
                Float(bitPattern: 0x3F80_0000 | UInt32(coins[index]) << 7) - (1.5 - 0x1p-17)
            output[index] = nearestInteger(x[index] + uniform)
        }
    }

    /// output[j] = x[j] rounded towards zero: |output[j]| ≤ |x[j]|.
    package static func roundTowardsZero(
        _ x: UnsafePointer<Float>, into output: UnsafeMutablePointer<Int32>, count: Int
    ) {
        for index in 0..<count {
            output[index] = Int32(exactly: x[index].rounded(.towardZero)) ?? Int32.max
        }
    }

    /// Adding 1.5·2^23 leaves the nearest integer in the low bits of the significand.
    @inline(__always)
    private static func nearestInteger(_ value: Float) -> Int32 {
        Int32(bitPattern: (value + 0x1.8p23).bitPattern &- 0x4B40_0000)
    }

    /// Whether Σv² ≤ `bound`, in exact integer arithmetic.
    ///
    /// - Precondition: `bound` < 2^44, so a coordinate of 2^22 or more already exceeds it.
    package static func normFits(
        _ values: UnsafePointer<Int32>, count: Int, boundSquared bound: UInt64
    ) -> Bool {
        precondition(bound < 1 << (2 * valueBits))
        var total: UInt128 = 0
        var start = 0
        while start < count {
            // 2^18 squares below 2^44 stay below 2^62.
            let end = min(count, start + 1 << 18)
            var sum: UInt64 = 0
            var bits: UInt32 = 0
            for index in start..<end {
                let magnitude = values[index].magnitude
                bits |= magnitude
                sum &+= UInt64(magnitude) &* UInt64(magnitude)
            }
            if bits >> UInt32(valueBits) != 0 { return false }
            total += UInt128(sum)
            start = end
        }
        return total <= UInt128(bound)
    }
}
