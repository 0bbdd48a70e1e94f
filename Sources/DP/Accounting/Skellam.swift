import GMP
import Glibc

/// Skellam noise: the difference of two independent Poisson variables of mean variance/2. Closed
/// under sums, so several parties' shares add up to exactly this distribution ([AKL21]).
package enum Skellam {
    /// P[S = 0] = e^{−v} I₀(v).
    package static func probabilityOfZero(variance: Double) -> Double {
        if variance < 30 {
            // I₀(v) = Σ (v/2)^{2k}/(k!)², all terms positive.
            var term = exp(-variance)
            var sum = term
            var k = 1.0
            let quarter = variance * variance / 4
            while term > sum * 0x1p-60 || k < variance {
                term *= quarter / (k * k)
                sum += term
                k += 1
            }
            return sum
        }
        // Hankel's expansion e^{−v}I₀(v) ~ (1 + 1/(8v) + 9/(128v²) + …)/√(2πv), cut at its
        // smallest term (below 1e-22 of the sum for v ≥ 30).
        var term = 1.0
        var sum = 1.0
        for k in 1...40 {
            let odd = Double(2 * k - 1)
            let next = term * odd * odd / (Double(8 * k) * variance)
            if next >= term || next < 0x1p-60 { break }
            term = next
            sum += term
        }
        return sum / (2 * Double.pi * variance).squareRoot()
    }

    /// ln(I_{k+1}(v)/I_k(v)) for k in 0 ..< count, each good to a few units of 1.
    ///
    /// The recurrence r_{k−1} = 1/(2k/v + r_k), run downward, shrinks every error; it starts where
    /// r_K = 0 no longer matters (the error's factor Πr² is below e^−60).
    static func logRatios(variance: Double, count: Int) -> [Double] {
        let n = Double(count)
        let start = Int((n * n + 60 * variance).squareRoot().rounded(.up)) + 40
        var ratio = 0.0
        var logs = [Double](repeating: 0, count: count)
        for k in stride(from: start, through: 1, by: -1) {
            ratio = 1 / (2 * Double(k) / variance + ratio)
            if k <= count { logs[k - 1] = log(ratio) }
        }
        return logs
    }

    /// RDP at an integer `order` ≥ 2 ([AKL21] theorem 3.5):
    /// αΔ₂²/2v + min{((2α − 1)Δ₂² + 6Δ₁)/4v², 3Δ₁/2v} with Δ₁ ≤ min(√d Δ₂, Δ₂²).
    static func renyi(
        delta2Squared: BigInteger, variance: Rational, dimension: Int, order: Int
    ) -> Double {
        let alpha = Double(order)
        let squared = Rounding.up(Rational(delta2Squared))
        let v = Rounding.down(variance)
        let l1 = min(Rounding.up((Double(dimension) * squared).squareRoot()), squared)
        let correction = min(
            ((2 * alpha - 1) * squared + 6 * l1) / (4 * v * v), 3 * l1 / (2 * v))
        return Rounding.up(alpha * squared / (2 * v) + correction, ulps: 32)
    }
}
