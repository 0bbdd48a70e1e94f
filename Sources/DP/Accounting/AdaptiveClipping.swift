import GMP

/// The price of learning the clip norm privately ([ATMR21]): each unit adds the indicator
/// b = ±½ of "my update was not clipped", whose sensitivity is ½.
///
/// One more coordinate of the same noised vector is one more coordinate of its sensitivity, so update
/// and indicator together are one Gaussian event; the clip norm that follows is post-processing.
public enum AdaptiveClipping {
    /// The noise multiplier of update and indicator together: (z⁻² + (2s)⁻²)^{−1/2}, rounded down.
    ///
    /// - Parameters:
    ///   - update: z, noise over sensitivity of the update alone.
    ///   - indicatorDeviation: s, the standard deviation of the noise on the sum of the indicators.
    public static func combinedMultiplier(update: Rational, indicatorDeviation: Rational) -> Rational {
        let doubled = indicatorDeviation * 2
        return squareRoot(Rational(1) / (Rational(1) / (update * update) + Rational(1) / (doubled * doubled)))
    }

    /// The update's own multiplier when both together are to cost as much as `total`: Andrew's
    /// z_Δ = (z⁻² − (2s)⁻²)^{−1/2}, rounded up; nil when the indicator alone costs as much.
    public static func updateMultiplier(total: Rational, indicatorDeviation: Rational) -> Rational? {
        let doubled = indicatorDeviation * 2
        let rest = Rational(1) / (total * total) - Rational(1) / (doubled * doubled)
        guard rest.sign > 0 else { return nil }
        return Rational(1) / squareRoot(rest)
    }

    /// Squared sensitivity of an integer vector with an indicator of `weight` steps appended:
    /// Δ₂² + ⌈w²/4⌉.
    public static func sensitivitySquared(update: BigInteger, weight: BigInteger) -> BigInteger {
        update + (weight * weight).ceilingDivided(by: 4)
    }

    /// √x rounded down to 60 bits.
    private static func squareRoot(_ value: Rational) -> Rational {
        let bits = max(0, 60 - (value.numerator.bitWidth - value.denominator.bitWidth) / 2)
        let scaled = value.numerator.shiftedLeft(2 * bits).floorDivided(by: value.denominator)
        return Rational(scaled.squareRoot, .powerOfTwo(bits))
    }
}
