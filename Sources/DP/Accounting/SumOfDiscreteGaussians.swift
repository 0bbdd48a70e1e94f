import GMP
import Glibc

/// Published bounds for integer noise that is the sum of several parties' discrete Gaussians
/// ([KLS21] proposition 14, in the form of the authors' code).
///
/// The sum of h independent N_Z(0, σ²) is not quite N_Z(0, hσ²); `tau` bounds |ln| of the ratio of
/// their probabilities, and enters every bound. From σ ≥ 4 on it is below 1e-50.
public enum SumOfDiscreteGaussians {
    /// τ = 10 Σ_{k=1}^{h−1} exp(−2π²σ² k/(k+1)), rounded up; 0 for one share.
    public static func tau(sigmaLocalSquared: Rational, shares: Int) -> Double {
        precondition(shares >= 1)
        guard shares > 1 else { return 0 }
        let factor = -2 * Double.pi * Double.pi * Rounding.down(sigmaLocalSquared)
        var sum = 0.0
        // Terms fall with k: beyond the cut each is at most the last one summed.
        let cut = min(shares - 1, 4096)
        for k in 1...cut { sum += exp(factor * (Double(k) / Double(k + 1)) * (1 - 0x1p-50)) }
        sum += Double(shares - 1 - cut) * exp(factor * (Double(cut) / Double(cut + 1)) * (1 - 0x1p-50))
        return Rounding.up(10 * sum, ulps: 8192)
    }

    /// What the bounds need to know about one release, as doubles that err upward.
    struct Release {
        /// Δ₂²/(hσ²).
        let squaredRatio: Double
        /// Δ₁/(√h σ), with Δ₁ ≤ min(√d Δ₂, Δ₂²).
        let l1Ratio: Double
        let tau: Double
        let dimension: Double

        init(delta2Squared: BigInteger, sigmaLocalSquared: Rational, honestShares: Int, dimension: Int) {
            let variance = sigmaLocalSquared * Rational(honestShares)
            squaredRatio = Rounding.up(Rational(delta2Squared) / variance)
            let delta2SquaredUp = Rounding.up(Rational(delta2Squared))
            let l1 = min(
                Rounding.up((Double(dimension) * delta2SquaredUp).squareRoot()), delta2SquaredUp)
            l1Ratio = Rounding.up(l1 / Rounding.down(variance).squareRoot())
            tau = SumOfDiscreteGaussians.tau(
                sigmaLocalSquared: sigmaLocalSquared, shares: honestShares)
            self.dimension = Rounding.up(Double(dimension))
        }
    }

    /// RDP at `order` > 1.
    static func renyi(_ release: Release, order: Double) -> Double {
        let tau = release.tau
        let gaussian = order * release.squaredRatio / 2
        guard tau > 0 else { return Rounding.up(gaussian) }
        let additive = gaussian + tau * release.dimension
        let mixed =
            order / 2
            * (release.squaredRatio + 2 * tau * release.l1Ratio + tau * tau * release.dimension)
        let root = release.squaredRatio.squareRoot() + tau * release.dimension.squareRoot()
        return Rounding.up(min(additive, mixed, order / 2 * root * root), ulps: 16)
    }

    /// ρ such that the release is ρ-zCDP: the RDP bounds without the order, which is at least 1.
    static func rho(_ release: Release) -> Double {
        let tau = release.tau
        let gaussian = release.squaredRatio / 2
        guard tau > 0 else { return gaussian }
        let root = release.squaredRatio.squareRoot() + tau * release.dimension.squareRoot()
        return Rounding.up(
            min(
                gaussian + tau * release.dimension,
                (release.squaredRatio + 2 * tau * release.l1Ratio + tau * tau * release.dimension) / 2,
                root * root / 2),
            ulps: 16)
    }
}
