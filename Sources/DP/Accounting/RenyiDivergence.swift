import GMP
import Glibc

/// Upper bounds on the Rényi divergence D_α between neighbours, in the worse direction, for one
/// event at any order α > 1.
package struct RenyiDivergence {
    private let base: (Double) -> Double
    private let sampling: SampledMoments?

    package init(_ kind: PrivacyEvent.Kind) throws(AccountingError) {
        if case .poissonSampled(let rate, let inner) = kind {
            if case .poissonSampled = inner {
                throw .unsupportedEvent("\(kind)", accountant: "rdp", "sampling inside sampling")
            }
            base = try Self.unsampled(inner)
            sampling = SampledMoments(rate: rate, base: base)
        } else {
            base = try Self.unsampled(kind)
            sampling = nil
        }
    }

    /// D_α, rounded up.
    package func upper(order: Double) -> Double {
        precondition(order > 1)
        // Sampling only ever improves on the mechanism without it (joint convexity).
        let plain = base(order)
        guard let sampling, order <= SampledMoments.orderMax else { return plain }
        return min(plain, sampling.divergence(order: order))
    }

    /// Order → divergence without sampling.
    private static func unsampled(
        _ kind: PrivacyEvent.Kind
    ) throws(AccountingError) -> (Double) -> Double {
        switch kind {
        case .gaussian(let multiplier):
            let rho = Rounding.up(Rational(1) / (multiplier * multiplier)) / 2
            return { Rounding.up($0 * rho, ulps: 2) }
        case .discreteGaussian(let delta2Squared, let sigmaSquared):
            let rho = Rounding.up(Rational(delta2Squared) / sigmaSquared) / 2
            return { Rounding.up($0 * rho, ulps: 2) }
        case .discreteGaussianSum(let delta2Squared, let sigmaLocalSquared, let shares, let dimension):
            let release = SumOfDiscreteGaussians.Release(
                delta2Squared: delta2Squared, sigmaLocalSquared: sigmaLocalSquared,
                honestShares: shares, dimension: dimension)
            return { SumOfDiscreteGaussians.renyi(release, order: $0) }
        case .skellamSum(let delta2Squared, let variance, let dimension):
            // Published at integer orders; D_α rises with α, so the next integer bounds it.
            return { order in
                guard order < 1e15 else { return .infinity }
                return Skellam.renyi(
                    delta2Squared: delta2Squared, variance: variance, dimension: dimension,
                    order: max(2, Int(order.rounded(.up))))
            }
        case .laplace(let multiplier):
            let pure = Rounding.up(Rational(1) / multiplier)
            return { PureRenyi.laplace(pure: pure, order: $0) }
        case .discreteLaplace(let scale, let sensitivity):
            let rate = Rounding.up(Rational(1) / scale)
            return { PureRenyi.discreteLaplace(rate: rate, shift: sensitivity, order: $0) }
        case .randomisedResponse(let noiseProbability, let buckets):
            return {
                PureRenyi.randomisedResponse(
                    noiseProbability: noiseProbability, buckets: buckets, order: $0)
            }
        case .poissonSampled, .composed, .repeated, .unsupported:
            throw .unsupportedEvent("\(kind)", accountant: "rdp", "no bound is known for it")
        }
    }
}
