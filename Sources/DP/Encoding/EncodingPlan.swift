import GMP

/// How a real vector becomes an integer vector of bounded norm: every public number of it.
///
/// Pipeline: clip to L2 norm c → rotate → multiply by the scale s → round stochastically, again and
/// again until Σv² ≤ B² holds in integers. The bound B² alone carries the privacy claim:
///
/// Claim: each call of `UpdateEncoder.encode` adds to the accumulator an integer vector v of at most
/// `length` coordinates with Σv² ≤ `sensitivitySquared`, for every input and every random outcome.
/// So removing or zeroing one encoded unit changes the integer sum by at most Δ₂ in L2, whatever
/// floating-point arithmetic did before. Source: [KLS21] section 4 and its conditional rounding.
///
/// B depends on d, c·s and β only, not on c: changing the clip norm between rounds leaves the
/// integer sensitivity, the noise and the accounting as they were.
public struct EncodingPlan: Sendable, Hashable {
    /// d, the number of real coordinates.
    public let dimension: Int
    /// c, the L2 norm to which a unit's real vector is clipped.
    public let clipNorm: Rational
    /// S = c·s: how many integer steps the clip norm spans.
    public let clipSteps: Int
    /// w, the value of the extra coordinate that says "this unit was clipped"; 0 leaves it out.
    public let indicatorWeight: Int
    /// ln(1/β): a rounding is accepted with probability at least 1 − β.
    public let roundingExponent: Rational

    /// B², the bound on Σv² over the first `dimension` coordinates of one unit.
    public let normBoundSquared: UInt64

    public static let dimensionMax = 1 << 27
    /// Keeps rounding exact in single precision and every square sum inside 64 bits.
    public static let clipStepsMax = 1 << 21

    /// - Parameters:
    ///   - dimension: d, 1 … 2^27.
    ///   - clipNorm: c in 2^−100 … 2^100, in the units of the update.
    ///   - clipSteps: S, 4 … 2^21; at least 4√d keeps the cost of rounding below 2 %.
    ///   - indicatorWeight: w, 0 … S.
    ///   - roundingExponent: ln(1/β) > 0; the default 1/2 accepts at least 39 % of roundings.
    /// - Throws: `PlanError.outOfRange` naming the first number that is not in its range.
    public init(
        dimension: Int, clipNorm: Rational, clipSteps: Int, indicatorWeight: Int = 0,
        roundingExponent: Rational = Rational(1, 2)
    ) throws(PlanError) {
        try PlanError.require("dimension", dimension, in: 1...Self.dimensionMax)
        try PlanError.require("clipSteps", clipSteps, in: 4...Self.clipStepsMax)
        try PlanError.require("indicatorWeight", indicatorWeight, in: 0...clipSteps)
        guard clipNorm >= Rational(1, .powerOfTwo(100)), clipNorm <= Rational(.powerOfTwo(100)) else {
            throw .outOfRange("clipNorm", "\(clipNorm)", "in 2^-100 … 2^100")
        }
        guard roundingExponent.sign > 0 else {
            throw .outOfRange("roundingExponent", "\(roundingExponent)", "above 0")
        }
        self.dimension = dimension
        self.clipNorm = clipNorm
        self.clipSteps = clipSteps
        self.indicatorWeight = indicatorWeight
        self.roundingExponent = roundingExponent
        normBoundSquared = Self.normBoundSquared(
            dimension: dimension, clipSteps: clipSteps, roundingExponent: roundingExponent)
    }

    /// s, integer steps per real unit.
    public var scale: Rational { Rational(clipSteps) / clipNorm }

    /// The length of an encoded vector: d, and one more with a clip indicator (the last coordinate).
    public var length: Int { dimension + (indicatorWeight > 0 ? 1 : 0) }

    /// Δ₂² of the integer sum for one unit: B² plus the square of the indicator.
    public var sensitivitySquared: UInt64 {
        normBoundSquared + UInt64(indicatorWeight * indicatorWeight)
    }

    /// Δ₂ relative to the unrounded S: what rounding (and the indicator) cost, 1.01 for 1 %.
    public var roundingInflation: Double {
        Double(sensitivitySquared).squareRoot() / Double(clipSteps)
    }

    /// The largest absolute value that one unit can put into any coordinate.
    public var coordinateMax: UInt64 {
        max(BigInteger(normBoundSquared).squareRoot.asUInt64!, UInt64(indicatorWeight))
    }

    /// [KLS21] B² = min{(S + √d)², S² + d/4 + √(2 ln 1/β)·(S + √d/2)}, rounded down.
    ///
    /// Any bound would be sound, since the encoder enforces it; the formula only makes acceptance
    /// likely. It uses square roots, which IEEE 754 rounds correctly, so all parties compute the same
    /// integer. The extra S²/2^11 leaves room for single-precision rounding in the rotation.
    private static func normBoundSquared(
        dimension: Int, clipSteps: Int, roundingExponent: Rational
    ) -> UInt64 {
        let steps = Double(clipSteps)
        let root = Double(dimension).squareRoot()
        let worst = (steps + root) * (steps + root)
        let likely =
            steps * steps + Double(dimension) / 4
            + (2 * roundingExponent.asDouble).squareRoot() * (steps + root / 2)
        return max(
            UInt64(min(worst, likely)), UInt64(clipSteps * clipSteps + clipSteps * clipSteps / 2048))
    }
}
