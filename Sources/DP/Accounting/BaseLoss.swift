import GMP
import Glibc

/// The distribution, under Q, of the privacy loss ℓ = ln(P₁/Q) between a mechanism's outputs with
/// (P₁) and without (Q) one unit: point masses and a smooth part.
package struct BaseLoss {
    /// (ℓ, probability under Q); the probability under P₁ is e^ℓ times that.
    var atoms: [(loss: Double, mass: Double)] = []
    /// Density under Q on `range`, and a width over which it is smooth for quadrature.
    var smooth: (density: (Double) -> Double, panel: (Double) -> Double)?
    var range: ClosedRange<Double> = 0...0
    /// Probability, under Q, of a loss below the least listed one; P₁ gives that less.
    var below = 0.0
    /// Probability, under P₁, of a loss above the largest listed one; Q gives that at most e^{−that loss}
    /// times as much.
    var above = 0.0
    var basis = BoundBasis.published
    /// By how many units of 1 + |loss| arithmetic may have moved a loss, and by how many units a mass.
    var lossUlps = 16.0
    var massUlps = 1000.0

    /// The least and the largest listed loss.
    var ends: [Double] {
        let losses = atoms.map(\.loss) + (smooth == nil ? [] : [range.lowerBound, range.upperBound])
        return [losses.min() ?? 0, losses.max() ?? 0]
    }

    /// Gaussian noise whose mean moves by `mu` standard deviations: ℓ ~ N(−μ²/2, μ²) under Q.
    /// Cut where at most `tail` of Q lies below, and at most `above` of P₁ above.
    package static func gaussian(
        mu: Double, tail: Double, above: Double? = nil, basis: BoundBasis
    ) -> BaseLoss {
        let below = min(tail, 0.1)
        let above = min(above ?? tail, 0.1)
        func reach(_ tail: Double) -> Double { NormalDistribution.upperQuantile(tail) + 1e-6 }
        let centre = mu * mu / 2
        let scale = 0.3989422804014327 / mu
        return BaseLoss(
            smooth: (
                density: { loss in
                    let z = (loss + centre) / mu
                    return scale * exp(-0.5 * z * z)
                },
                panel: { loss in min(0.25, 0.05 * mu / (1 + abs(loss + centre) / (8 * mu))) }
            ),
            range: -centre - reach(below) * mu...centre + reach(above) * mu, below: below, above: above,
            basis: basis)
    }

    /// Laplace noise: the loss is −ε on one side of both centres (half of Q), +ε on the other
    /// (½e^{−ε} of Q), and in between has density ¼e^{−(ℓ+ε)/2}.
    package static func laplace(pure: Double) -> BaseLoss {
        BaseLoss(
            atoms: [(-pure, 0.5), (pure, 0.5 * exp(-pure))],
            smooth: (density: { 0.25 * exp(-0.5 * ($0 + pure)) }, panel: { _ in 0.25 }),
            range: -pure...pure)
    }

    /// Two-sided geometric noise ∝ e^{−rate·|x|} moved by `shift`: constant loss beyond both
    /// centres, rate·(2x − shift) between them.
    package static func discreteLaplace(rate: Double, shift: Int) -> BaseLoss {
        let r = exp(-rate)
        let outside = 1 / (1 + r)
        var atoms = [
            (loss: -rate * Double(shift), mass: outside),
            (loss: rate * Double(shift), mass: outside * exp(-rate * Double(shift))),
        ]
        let centre = -expm1(-rate) * outside
        for x in stride(from: 1, to: shift, by: 1) {
            atoms.append((rate * Double(2 * x - shift), centre * exp(-rate * Double(x))))
        }
        return BaseLoss(atoms: atoms)
    }

    /// k-ary randomised response between two answers; the k − 2 others have loss 0.
    package static func randomisedResponse(noiseProbability: Rational, buckets: Int) -> BaseLoss {
        let other = (noiseProbability / Rational(buckets)).asDouble
        let truth = (Rational(1) - noiseProbability).asDouble + other
        let pure = log(truth / other)
        return BaseLoss(
            atoms: [(pure, other), (-pure, truth), (0, Double(buckets - 2) * other)])
    }
}
