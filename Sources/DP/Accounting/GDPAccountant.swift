import GMP
import Glibc

/// Gaussian differential privacy ([DRS22]): μ² adds up over releases, also adaptive ones, and
/// converts exactly.
///
/// Exact for Gaussian noise. Integer noise rests on `UnitShiftCertificate`, pure-DP mechanisms on
/// G_μ lying below their trade-off curve. Poisson sampling is refused: the central-limit formula
/// that some tools use for it is not a bound.
public struct GDPAccountant: Accountant {
    public let name = "gdp"

    public init() {}

    /// The total μ, rounded up, what it rests on, and whether it is exact.
    public func mu(of tally: EventTally) throws(AccountingError) -> (mu: Double, basis: BoundBasis) {
        var total = 0.0
        var basis = BoundBasis.published
        for entry in tally.entries {
            let part = try squaredMu(of: entry.kind)
            total += part.squared * Double(entry.count)
            basis = max(basis, part.basis)
        }
        let rounded = Rounding.up(total, ulps: 4 + 2 * Double(tally.entries.count))
        return (total == 0 ? 0 : Rounding.up(rounded.squareRoot(), ulps: 2), basis)
    }

    public func epsilon(of tally: EventTally, delta: Double) throws(AccountingError) -> EpsilonInterval {
        try requireDelta(delta)
        let (mu, basis) = try mu(of: tally)
        guard mu > 0 else { return EpsilonInterval(lower: 0, upper: 0, basis: basis) }
        guard mu < 1e6 else { return EpsilonInterval(lower: 0, upper: .infinity, basis: basis) }
        var upper = GaussianTradeOff.epsilon(mu: mu, delta: delta).upper
        if let pure = PureLoss.total(of: tally) { upper = min(upper, pure) }
        return EpsilonInterval(
            lower: ReachableLoss.epsilon(of: tally, delta: delta), upper: upper, basis: basis)
    }

    public func delta(of tally: EventTally, epsilon: Double) throws(AccountingError) -> DeltaInterval {
        try requireEpsilon(epsilon)
        let (mu, basis) = try mu(of: tally)
        guard mu > 0 else { return DeltaInterval(lower: 0, upper: 0, basis: basis) }
        guard mu < 1e6 else { return DeltaInterval(lower: 0, upper: 1, basis: basis) }
        var upper = GaussianTradeOff.delta(mu: mu, epsilon: epsilon).upper
        if let pure = PureLoss.total(of: tally), pure <= epsilon { upper = 0 }
        return DeltaInterval(
            lower: ReachableLoss.delta(of: tally, epsilon: epsilon), upper: upper, basis: basis)
    }

    /// μ² of one event without sampling, rounded up.
    func squaredMu(
        of kind: PrivacyEvent.Kind
    ) throws(AccountingError) -> (squared: Double, basis: BoundBasis) {
        switch kind {
        case .gaussian(let multiplier):
            return (Rounding.up(Rational(1) / (multiplier * multiplier)), .published)
        case .discreteGaussian(let delta2Squared, let sigmaSquared):
            let certificate = UnitShiftCertificate.discreteGaussianSum(
                sigmaLocalSquared: sigmaSquared, shares: 1)
            return (certificate.squaredMu(delta2Squared), .ownCertificate)
        case .discreteGaussianSum(let delta2Squared, let sigmaLocalSquared, let shares, _):
            let certificate = UnitShiftCertificate.discreteGaussianSum(
                sigmaLocalSquared: sigmaLocalSquared, shares: shares)
            return (certificate.squaredMu(delta2Squared), .ownCertificate)
        case .skellamSum(let delta2Squared, let variance, _):
            let certificate = UnitShiftCertificate.skellam(variance: variance)
            return (certificate.squaredMu(delta2Squared), .ownCertificate)
        case .laplace, .discreteLaplace, .randomisedResponse:
            guard let pure = PureLoss.of(kind) else { break }
            return (Rounding.up(Self.squaredMu(ofPureLoss: pure), ulps: 256), .published)
        case .poissonSampled:
            throw .unsupportedEvent(
                "\(kind)", accountant: name,
                "the central-limit formula for sampling is not an upper bound; use rdp or pld")
        case .composed, .repeated, .unsupported:
            break
        }
        throw .unsupportedEvent("\(kind)", accountant: name, "no bound is known for it")
    }

    /// The least μ with G_μ below the trade-off curve of ε-DP, squared. That curve is piecewise
    /// linear with one inner vertex (1/(1+e^ε), 1/(1+e^ε)), so G_μ needs to pass it only there:
    /// μ = 2·z with P[X > z] = 1/(1+e^ε).
    private static func squaredMu(ofPureLoss epsilon: Double) -> Double {
        guard epsilon > 0 else { return 0 }
        let half =
            epsilon < 1
            // 1 − 2/(1+e^ε) = tanh(ε/2) keeps the digits that 1/2 − 1/(1+e^ε) would lose.
            ? NormalDistribution.inverseErf(tanh(epsilon / 2)) * 2.0.squareRoot()
            : NormalDistribution.upperQuantile(1 / (1 + exp(min(epsilon, 600))))
        return epsilon > 600 ? .infinity : 4 * half * half
    }
}

extension UnitShiftCertificate {
    /// (μ₁Δ₂)², rounded up.
    func squaredMu(_ delta2Squared: BigInteger) -> Double {
        Rounding.up(muOne * muOne * Rounding.up(Rational(delta2Squared)))
    }
}
