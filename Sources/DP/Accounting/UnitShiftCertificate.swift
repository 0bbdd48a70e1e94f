import GMP
import Glibc

/// A bound on the trade-off function of symmetric integer noise under a shift by one step:
/// T(S + 1, S) ≥ G_μ₁. **This project's own argument**, not a published theorem; whatever rests on
/// it carries `BoundBasis.ownCertificate`.
///
/// Argument. With z(t) = −Φ⁻¹(P[S ≥ t]) the trade-off curve of (S + 1, S) is piecewise linear with
/// vertices at the threshold tests, so it lies above the convex curve of G_μ₁ as soon as its
/// vertices do, that is when μ₁ ≥ z(t) − z(t−1) for all t. The supremum is taken at t = 1, where
/// it equals 2Φ⁻¹((1 + P[S = 0])/2); total variation forces that value from below, so it is also
/// optimal. That no other t exceeds it is verified (exhaustively for small σ, by samples for large
/// ones, in the tests and in the reference vectors) but not proved for every σ.
/// Shifts by k cost kμ₁ (group privacy), independent coordinates add in squares, hence a vector of
/// norm Δ₂ costs at most μ₁Δ₂; mixtures over the rounding coins are convex combinations.
public struct UnitShiftCertificate: Hashable, Sendable {
    /// GDP parameter of a shift by one step, rounded up.
    public let muOne: Double
    /// Which noise it certifies.
    public let noise: String

    /// N_Z(0, σ²) for one share, or the sum of `shares` of them.
    public static func discreteGaussianSum(
        sigmaLocalSquared: Rational, shares: Int
    ) -> UnitShiftCertificate {
        let variance = Rounding.down(sigmaLocalSquared * Rational(shares))
        let tau = SumOfDiscreteGaussians.tau(sigmaLocalSquared: sigmaLocalSquared, shares: shares)
        // Multiplying every probability by a factor in [e^−τ, e^τ] moves z(t) by at most
        // (e^τ − 1)·max P/φ, and P[S ≥ t]/φ(z) ≤ √(π/2) for tails up to one half; the other half
        // follows by symmetry. Two ends of a step: 2·1.2534.
        let shift = tau > 0 ? 2.51 * expm1(tau) : 0
        let muOne = Rounding.up(unitShift(sigmaSquared: variance), ulps: 64) + shift
        let noise =
            shares == 1
            ? "N_Z(0, \(sigmaLocalSquared))" : "sum of \(shares) N_Z(0, \(sigmaLocalSquared))"
        return UnitShiftCertificate(muOne: Rounding.up(muOne), noise: noise)
    }

    /// Skellam noise (difference of two Poisson variables of mean `variance`/2).
    public static func skellam(variance: Rational) -> UnitShiftCertificate {
        let mass = Skellam.probabilityOfZero(variance: Rounding.down(variance))
        // The subtraction is off by at most 2^-50; a smaller tail only gives a larger bound.
        let tail = (1 - mass) / 2 - 0x1p-50
        let value = tail > 0 ? muOne(centre: mass, tail: tail) : .infinity
        return UnitShiftCertificate(
            muOne: Rounding.up(value, ulps: 128), noise: "Skellam of variance \(variance)")
    }

    /// 2Φ⁻¹((1 + P[S = 0])/2) for S ~ N_Z(0, σ²).
    package static func unitShift(sigmaSquared: Double) -> Double {
        if sigmaSquared < 0.5 {
            // Heavy centre: 1 − P[0] would lose the tail's digits.
            let tail = gaussianTail(sigmaSquared)
            let normaliser = 1 + 2 * tail
            return muOne(centre: 1 / normaliser, tail: tail / normaliser)
        }
        let centre = probabilityOfZero(sigmaSquared: sigmaSquared)
        return muOne(centre: centre, tail: (1 - centre) / 2)
    }

    /// P[S = 0] for S ~ N_Z(0, σ²), within a few units.
    static func probabilityOfZero(sigmaSquared: Double) -> Double {
        guard sigmaSquared >= 0.5 else { return 1 / (1 + 2 * gaussianTail(sigmaSquared)) }
        // Poisson summation: Σ e^{−x²/2σ²} = σ√(2π)·(1 + 2 Σ e^{−2π²σ²k²}).
        var theta = 1.0
        for k in 1...3 {
            theta += 2 * exp(-2 * Double.pi * Double.pi * sigmaSquared * Double(k * k))
        }
        return 1 / ((2 * Double.pi * sigmaSquared).squareRoot() * theta)
    }

    /// Σ_{x ≥ 1} e^{−x²/2σ²} for σ² < 1/2.
    private static func gaussianTail(_ sigmaSquared: Double) -> Double {
        stride(from: 12.0, through: 1, by: -1).reduce(0) { $0 + exp(-$1 * $1 / (2 * sigmaSquared)) }
    }

    private static func muOne(centre: Double, tail: Double) -> Double {
        centre <= 0.9
            ? 2 * 2.0.squareRoot() * NormalDistribution.inverseErf(centre)
            : 2 * NormalDistribution.upperQuantile(tail)
    }
}
