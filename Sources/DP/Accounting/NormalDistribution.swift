import Glibc

/// The standard normal distribution Φ, with relative accuracy kept in both tails.
///
/// Accuracy rests on the C library's `erf` and `erfc` (a few units in the last place).
public enum NormalDistribution {
    private static let sqrtHalf = 0.5.squareRoot()

    /// Φ(x) = P[X ≤ x].
    public static func cumulative(_ x: Double) -> Double { 0.5 * erfc(-x * sqrtHalf) }

    /// P[X > x].
    public static func upperTail(_ x: Double) -> Double { 0.5 * erfc(x * sqrtHalf) }

    /// Φ⁻¹(p) for 0 < p < 1, within about 1e-15 relative in x.
    ///
    /// For p near 1 pass the small tail to `upperQuantile` instead, which loses nothing.
    public static func quantile(_ p: Double) -> Double {
        precondition(p > 0 && p < 1, "a quantile needs a probability strictly between 0 and 1")
        return p <= 0.5 ? -upperQuantile(p) : upperQuantile(1 - p)
    }

    /// The x with P[X > x] = p.
    public static func upperQuantile(_ p: Double) -> Double {
        precondition(p > 0 && p < 1, "a quantile needs a probability strictly between 0 and 1")
        if p > 0.5 { return -upperQuantile(1 - p) }
        // Near the middle the tail loses digits, the integral from 0 does not.
        if p > 0.25 { return inverseErf(1 - 2 * p) / sqrtHalf }
        // Tail ≈ exp(−x²/2): a start within 20 %, then Newton on the logarithm, which is nearly
        // quadratic in x and so converges in a few steps.
        var x = (-2 * log(p)).squareRoot()
        x = max(0.6, x - log(x * 2.5066282746310002) / x)
        for _ in 0..<50 {
            let tail = upperTail(x)
            let density = exp(-0.5 * x * x) * 0.3989422804014327
            let step = (log(tail) - log(p)) * tail / density
            x += step
            if abs(step) <= 1e-16 * x { break }
        }
        return x
    }

    /// The x ≥ 0 with erf(x) = p, for 0 ≤ p ≤ 0.9, within a few units in the last place.
    static func inverseErf(_ p: Double) -> Double {
        precondition(p >= 0 && p <= 0.9)
        let halfRootPi = 0.886226925452758
        var x = p * halfRootPi * (1 + p * p * 0.2617993877991494)
        for _ in 0..<50 {
            let step = (erf(x) - p) * halfRootPi * exp(x * x)
            x -= step
            if abs(step) <= 1e-17 + 1e-16 * x { break }
        }
        return x
    }

    /// The scaled complementary error function e^{x²}·erfc(x) for x ≥ 0, within about 10 units.
    package static func scaledErfc(_ x: Double) -> Double {
        precondition(x >= 0)
        if x < 25 {
            // x² with its rounding error kept: e^{x²} = e^{square}(1 + rest).
            let square = x * x
            let rest = (-square).addingProduct(x, x)
            return exp(square) * (1 + rest) * erfc(x)
        }
        // Laplace's continued fraction 1/(x+½/(x+1/(x+3⁄2/(x+…)))), evaluated from the inside. What
        // 8 terms leave is below 1e-20 relative from x = 25 on.
        var fraction = x
        for n in stride(from: 8.0, through: 1, by: -1) { fraction = x + 0.5 * n / fraction }
        return 0.5641895835477563 / fraction
    }
}
