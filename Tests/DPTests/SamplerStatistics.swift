import Foundation

/// Tests of fit for integer samples. Each returns a p-value or a z-score; the caller states the
/// false-alarm rate that it accepts.
enum Statistics {
    /// A two-sided normal test at 1e-6 alarms above this.
    static let zAtOneInAMillion = 4.8916

    /// P[x] of N_Z(0, σ²) for |x| ≤ reach, from the definition.
    static func discreteGaussian(variance: Double, reach: Int) -> [Int: Double] {
        let weights = (-reach...reach).map { exp(-Double($0 * $0) / (2 * variance)) }
        let total = weights.reduce(0, +)
        return Dictionary(uniqueKeysWithValues: zip(-reach...reach, weights.map { $0 / total }))
    }

    /// The p-value of Pearson's χ² over bins that expect at least 10 samples; both tails are pooled.
    static func chiSquare(_ samples: [Int32], probability: [Int: Double]) -> Double {
        var observed: [Int: Int] = [:]
        for sample in samples { observed[Int(sample), default: 0] += 1 }
        let count = Double(samples.count)
        var statistic = 0.0
        var bins = 0
        var pooledExpected = 0.0
        var pooledObserved = 0
        var covered = 0
        var coveredProbability = 0.0
        for value in probability.keys.sorted() {
            pooledExpected += probability[value]! * count
            pooledObserved += observed[value] ?? 0
            guard pooledExpected >= 10 else { continue }
            statistic += square(Double(pooledObserved) - pooledExpected) / pooledExpected
            bins += 1
            covered += pooledObserved
            coveredProbability += pooledExpected / count
            (pooledExpected, pooledObserved) = (0, 0)
        }
        // What is left over, the far tail included, is the last bin.
        let restExpected = (1 - coveredProbability) * count
        let rest = samples.count - covered
        if restExpected >= 1e-3 {
            statistic += square(Double(rest) - restExpected) / restExpected
            bins += 1
        } else if rest > 0 {
            return 0
        }
        return upperGamma(Double(bins - 1) / 2, statistic / 2)
    }

    /// (sample variance − expected) in units of its standard deviation.
    static func varianceScore(
        _ samples: [Int32], variance: Double, fourthMoment: Double
    ) -> Double {
        let mean = samples.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(samples.count)
        return (mean - variance) / ((fourthMoment - variance * variance) / Double(samples.count)).squareRoot()
    }

    /// (positives − negatives) in units of its standard deviation under symmetry.
    static func signScore(_ samples: [Int32]) -> Double {
        let signs = samples.reduce(into: (sum: 0, count: 0)) {
            $0.sum += $1.signum() == 0 ? 0 : Int($1.signum())
            $0.count += $1 == 0 ? 0 : 1
        }
        return Double(signs.sum) / Double(max(1, signs.count)).squareRoot()
    }

    /// The correlation of each sample with the one `lag` later, in units of its standard deviation.
    static func lagScore(_ samples: [Int32], lag: Int, variance: Double) -> Double {
        let pairs = samples.count - lag
        let sum = (0..<pairs).reduce(0.0) { $0 + Double(samples[$1]) * Double(samples[$1 + lag]) }
        return sum / (Double(pairs).squareRoot() * variance)
    }

    private static func square(_ x: Double) -> Double { x * x }

    /// Q(a, x) = Γ(a, x)/Γ(a) for half-integer a, by the recurrence Q(a + 1, x) = Q(a, x) + xᵃe⁻ˣ/Γ(a + 1).
    static func upperGamma(_ a: Double, _ x: Double) -> Double {
        guard a > 0 else { return 1 }
        guard x > 0 else { return 1 }
        let isWhole = a == a.rounded()
        var order = isWhole ? 1.0 : 0.5
        var sum = isWhole ? exp(-x) : erfc(x.squareRoot())
        // log(x^order · e^−x / Γ(order + 1))
        var logTerm =
            isWhole ? log(x) - x : 0.5 * log(x) - x - log(0.5 * Double.pi.squareRoot())
        while order < a {
            sum += exp(logTerm)
            order += 1
            logTerm += log(x) - log(order)
        }
        return min(1, sum)
    }
}
