import GMP
import Glibc

/// Exact Rényi divergences of mechanisms with bounded loss, rounded up.
enum PureRenyi {
    /// Laplace noise of scale 1/`pure` under a shift by 1 ([Mir17] proposition 6):
    /// ln(α/(2α−1)·e^{(α−1)ε} + (α−1)/(2α−1)·e^{−αε})/(α−1).
    static func laplace(pure: Double, order: Double) -> Double {
        let total = LogSpace.sum([
            log(order / (2 * order - 1)) + (order - 1) * pure,
            log((order - 1) / (2 * order - 1)) - order * pure,
        ])
        return bounded(total, pure: pure, order: order, size: order * pure + 2)
    }

    /// Noise ∝ e^{−rate·|x|} on the integers under a shift by `shift`: the two half-lines beyond
    /// both centres have constant ratios, between them the sum is geometric.
    static func discreteLaplace(rate: Double, shift: Int, order: Double) -> Double {
        let distance = rate * Double(shift)
        let r = exp(-rate)
        // P[X ≤ 0] under either centre at 0 is 1/(1+r).
        let outside = -log1p(r)
        var terms = [
            outside - order * distance,
            outside - distance + order * distance,
        ]
        if shift > 1 {
            // c·e^{−αas}·Σ_{x=1}^{s−1} e^{a(2α−1)x}, c = (1−r)/(1+r), largest term at x = s−1.
            let slope = rate * (2 * order - 1)
            let largest = slope * Double(shift - 1)
            let geometric =
                largest + log(-expm1(-slope * Double(shift - 1))) - log(-expm1(-slope))
            terms.append(log(-expm1(-rate)) - log1p(r) - order * distance + geometric)
        }
        return bounded(LogSpace.sum(terms), pure: distance, order: order, size: 2 * order * distance + 4)
    }

    /// k-ary randomised response: truth with probability a, each other value with b.
    static func randomisedResponse(noiseProbability: Rational, buckets: Int, order: Double) -> Double {
        let other = noiseProbability / Rational(buckets)
        let truth = Rational(1) - noiseProbability + other
        guard truth != other else { return 0 }
        let logTruth = log(truth.asDouble)
        let logOther = log(other.asDouble)
        var terms = [
            order * logTruth + (1 - order) * logOther,
            order * logOther + (1 - order) * logTruth,
        ]
        if buckets > 2 { terms.append(log(Double(buckets - 2)) + logOther) }
        let pure = logTruth - logOther
        return bounded(
            LogSpace.sum(terms), pure: Rounding.up(pure, ulps: 64), order: order,
            size: 2 * order * (abs(logTruth) + abs(logOther)) + 4)
    }

    /// `total`/(α−1) with the rounding errors of logarithms of magnitude `size` added, and never
    /// above the pure loss or its zCDP consequence αε²/2.
    private static func bounded(_ total: Double, pure: Double, order: Double, size: Double) -> Double {
        let exact = (total + 16 * size * Rounding.ulp) / (order - 1)
        return max(0, min(exact, pure, Rounding.up(order * pure * pure / 2)))
    }
}
