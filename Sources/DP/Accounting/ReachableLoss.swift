import GMP
import Glibc

/// Losses that a real test reaches, hence lower bounds on the smallest valid ε and δ.
///
/// Looking at only some of the outputs is post-processing, so any part of a tally bounds the whole
/// from below. Two parts are cheap: all plain Gaussians together, whose exact answer is known, and
/// any one Poisson-sampled Gaussian through the sum of its outputs. Other events give 0.
enum ReachableLoss {
    static func epsilon(of tally: EventTally, delta: Double) -> Double {
        var best = 0.0
        let mu = gaussianMu(of: tally)
        if mu > 0, mu < 1e6 { best = GaussianTradeOff.epsilon(mu: mu, delta: delta).lower }
        for case let (rate, multiplier, count)? in tally.entries.map(sampledGaussian) {
            best = max(
                best,
                SumTest(rate: rate, multiplier: multiplier, count: count).best { p, q in
                    p > delta ? log((p - delta) / q) * (1 - 0x1p-44) - 0x1p-40 : 0
                })
        }
        return best
    }

    static func delta(of tally: EventTally, epsilon: Double) -> Double {
        var best = 0.0
        let mu = gaussianMu(of: tally)
        if mu > 0, mu < 1e6 { best = GaussianTradeOff.delta(mu: mu, epsilon: epsilon).lower }
        for case let (rate, multiplier, count)? in tally.entries.map(sampledGaussian) {
            best = max(
                best,
                SumTest(rate: rate, multiplier: multiplier, count: count).best { p, q in
                    p - exp(epsilon) * q * (1 + 0x1p-40)
                })
        }
        return best
    }

    /// μ of the plain Gaussians alone, rounded down.
    private static func gaussianMu(of tally: EventTally) -> Double {
        var squared = 0.0
        for entry in tally.entries {
            guard case .gaussian(let multiplier) = entry.kind else { continue }
            squared += Rounding.down(Rational(1) / (multiplier * multiplier)) * Double(entry.count)
        }
        return max(0, Rounding.down(squared.squareRoot(), ulps: 8 + 2 * Double(tally.entries.count)))
    }

    private static func sampledGaussian(_ entry: EventTally.Entry) -> (Double, Double, Int)? {
        guard case .poissonSampled(let rate, .gaussian(let multiplier)) = entry.kind else { return nil }
        return (Rounding.down(rate), Rounding.up(multiplier), entry.count)
    }

    /// Threshold tests on the sum of `count` outputs, in units of the sensitivity: N(K, Tσ²) with
    /// K ~ Bin(T, q) against N(0, Tσ²).
    private struct SumTest {
        let standardDeviation: Double
        /// (hits k, probability) of the binomial's bulk, rounded down.
        let hits: [(Double, Double)]

        init(rate: Double, multiplier: Double, count: Int) {
            standardDeviation = multiplier * Double(count).squareRoot()
            let mean = rate * Double(count)
            let spread = 8 * (mean * (1 - rate)).squareRoot() + 8
            let first = Int(max(0, mean - spread).rounded(.down))
            let last = min(count, Int(min(mean + spread, 1e9).rounded(.up)))
            // A wide bulk would only cost time: the bound stays valid with part of the mass.
            let step = max(1, (last - first) / 400)
            hits = stride(from: first, through: last, by: step).map { k in
                (Double(k), Self.probability(k, count, rate) * (1 - 1e-9))
            }
        }

        /// The best `score` of (P[sum > c], Q[sum > c]) over a grid of thresholds c.
        func best(_ score: (Double, Double) -> Double) -> Double {
            var best = 0.0
            for step in 0...240 {
                let threshold = standardDeviation * (Double(step) * 0.05 - 1)
                let q = NormalDistribution.upperTail(threshold / standardDeviation) * (1 + 0x1p-44)
                guard q > 1e-300 else { break }
                var p = 0.0
                for (k, probability) in hits {
                    p +=
                        probability
                        * NormalDistribution.upperTail((threshold - k) / standardDeviation)
                }
                let value = score(p * (1 - 0x1p-40), q)
                if value.isFinite { best = max(best, value) }
            }
            return best
        }

        private static func probability(_ k: Int, _ n: Int, _ q: Double) -> Double {
            let logBinomial =
                LogGamma.of(Double(n) + 1) - LogGamma.of(Double(k) + 1)
                - LogGamma.of(Double(n - k) + 1)
            return exp(logBinomial + Double(k) * log(q) + Double(n - k) * log1p(-q))
        }
    }
}
