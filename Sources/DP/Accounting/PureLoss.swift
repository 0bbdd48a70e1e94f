import GMP
import Glibc

/// Mechanisms that are ε-DP with δ = 0.
enum PureLoss {
    /// Σ ε over the tally, rounded up; nil as soon as one event has no finite loss.
    static func total(of tally: EventTally) -> Double? {
        var total = 0.0
        for entry in tally.entries {
            guard let one = of(entry.kind) else { return nil }
            total += one * Double(entry.count)
        }
        return Rounding.up(total, ulps: 2 * Double(tally.entries.count))
    }

    /// The largest loss of one event, rounded up; nil when it is unbounded or unknown.
    static func of(_ kind: PrivacyEvent.Kind) -> Double? {
        switch kind {
        case .laplace(let multiplier):
            return Rounding.up(Rational(1) / multiplier)
        case .discreteLaplace(let scale, let sensitivity):
            return Rounding.up(Rational(sensitivity) / scale)
        case .randomisedResponse(let noiseProbability, let buckets):
            // P[truth]/P[other] = (1 − p + p/k)/(p/k) = 1 + k(1−p)/p.
            let excess = (Rational(1) - noiseProbability) * Rational(buckets) / noiseProbability
            return excess.isZero ? 0 : Rounding.up(log1p(Rounding.up(excess)))
        case .poissonSampled(let rate, let inner):
            // Both directions: ln(1 + q(e^ε − 1)) ([BBG18] theorem 8).
            guard let pure = of(inner), pure < 700 else { return of(inner) }
            return min(pure, Rounding.up(log1p(Rounding.up(rate) * expm1(pure)), ulps: 16))
        case .gaussian, .discreteGaussian, .discreteGaussianSum, .skellamSum, .composed, .repeated,
            .unsupported:
            return nil
        }
    }
}
