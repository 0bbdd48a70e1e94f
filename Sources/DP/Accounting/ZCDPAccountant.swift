import GMP
import Glibc

/// Zero-concentrated differential privacy ([BS16]): ρ adds up over releases, also adaptive ones,
/// and converts with the optimal order ([CKS20]). Only theorems in print.
///
/// Knows Gaussian, discrete Gaussian, sums of discrete Gaussians and pure-DP mechanisms
/// (ρ = ε²/2). Refuses Poisson sampling, which zCDP does not amplify, and Skellam noise, whose
/// published bound holds at integer orders only.
public struct ZCDPAccountant: Accountant {
    public let name = "zcdp"

    public init() {}

    /// The total ρ, rounded up.
    public func rho(of tally: EventTally) throws(AccountingError) -> Double {
        var total = 0.0
        for entry in tally.entries {
            total += try rho(of: entry.kind) * Double(entry.count)
        }
        return Rounding.up(total, ulps: 8 + 2 * Double(tally.entries.count))
    }

    public func epsilon(of tally: EventTally, delta: Double) throws(AccountingError) -> EpsilonInterval {
        try requireDelta(delta)
        var upper = RenyiConversion.epsilon(rho: try rho(of: tally), delta: delta)
        if let pure = PureLoss.total(of: tally) { upper = min(upper, pure) }
        return EpsilonInterval(
            lower: ReachableLoss.epsilon(of: tally, delta: delta), upper: upper, basis: .published)
    }

    public func delta(of tally: EventTally, epsilon: Double) throws(AccountingError) -> DeltaInterval {
        try requireEpsilon(epsilon)
        var upper = RenyiConversion.delta(rho: try rho(of: tally), epsilon: epsilon)
        if let pure = PureLoss.total(of: tally), pure <= epsilon { upper = 0 }
        return DeltaInterval(
            lower: ReachableLoss.delta(of: tally, epsilon: epsilon), upper: upper, basis: .published)
    }

    private func rho(of kind: PrivacyEvent.Kind) throws(AccountingError) -> Double {
        switch kind {
        case .gaussian(let multiplier):
            return Rounding.up(Rational(1) / (multiplier * multiplier)) / 2
        case .discreteGaussian(let delta2Squared, let sigmaSquared):
            return Rounding.up(Rational(delta2Squared) / sigmaSquared) / 2
        case .discreteGaussianSum(let delta2Squared, let sigmaLocalSquared, let shares, let dimension):
            return SumOfDiscreteGaussians.rho(
                .init(
                    delta2Squared: delta2Squared, sigmaLocalSquared: sigmaLocalSquared,
                    honestShares: shares, dimension: dimension))
        case .laplace, .discreteLaplace, .randomisedResponse:
            guard let pure = PureLoss.of(kind) else { break }
            return Rounding.up(pure * pure / 2)
        case .poissonSampled:
            throw .unsupportedEvent(
                "\(kind)", accountant: name, "sampling does not amplify zCDP; use rdp or pld")
        case .skellamSum:
            throw .unsupportedEvent(
                "\(kind)", accountant: name,
                "the published bound holds at integer orders only; use rdp or gdp")
        case .composed, .repeated, .unsupported:
            break
        }
        throw .unsupportedEvent("\(kind)", accountant: name, "no bound is known for it")
    }
}
