import Glibc

/// A lower bound on ε from one run with canaries.
///
/// Each of `canaries` units is included or not by its own fair, secret coin. After the run the
/// auditor guesses some of the coins from what was released, `guesses` in all, of which `correct`
/// were right. A run that is (ε, δ)-DP for one unit cannot let too many guesses be right, so many
/// right guesses refute small ε with confidence 1 − significance. The numbers of guesses must be
/// fixed before looking, or the significance divided by the number of choices tried.
///
/// A large bound is evidence of a leak; a small one is no evidence of privacy. With m canaries the
/// bound stays far below a true ε (about half at m = 1000), so an audit notices missing or
/// threefold too small noise and not noise that is ten per cent short.
public struct OneRunAudit: Hashable, Sendable {
    public let canaries: Int
    public let guesses: Int
    public let correct: Int
    /// Chance of refuting a true claim.
    public let significance: Double

    public init(
        canaries: Int, guesses: Int, correct: Int, significance: Double = 0.05
    ) throws(AccountingError) {
        guard canaries >= 1 else { throw .invalidParameter("canaries", "\(canaries)", "at least 1") }
        guard (0...canaries).contains(guesses) else {
            throw .invalidParameter("guesses", "\(guesses)", "from 0 to the number of canaries")
        }
        guard (0...guesses).contains(correct) else {
            throw .invalidParameter("correct", "\(correct)", "from 0 to the number of guesses")
        }
        guard significance > 0, significance < 1 else {
            throw .invalidParameter("significance", "\(significance)", "above 0 and below 1")
        }
        self.canaries = canaries
        self.guesses = guesses
        self.correct = correct
        self.significance = significance
    }

    /// The largest ε that the outcome refutes at `delta` ≥ 0; 0 when it refutes none.
    public func epsilonLowerBound(delta: Double) throws(AccountingError) -> Double {
        guard delta.isFinite, delta >= 0, delta < 1 else {
            throw .invalidParameter("delta", "\(delta)", "at least 0 and below 1")
        }
        return largestRefuted(upTo: 50) { pValue(epsilon: $0, delta: delta) <= significance }
    }

    /// The largest μ of a μ-GDP claim that the outcome refutes; 0 when it refutes none.
    /// Usually sharper than the (ε, δ) form; see `GaussianTradeOff` for the ε it corresponds to.
    public func muLowerBound() -> Double {
        largestRefuted(upTo: 50) { refutes(mu: $0) }
    }

    /// The chance of at least this many right guesses if the run is (ε, δ)-DP ([SNJ23] theorem 5.2):
    /// β + 2mδ·max_i P[v > X ≥ v − i]/i with X ~ Bin(r, e^ε/(1+e^ε)) and β = P[X ≥ v].
    public func pValue(epsilon: Double, delta: Double) -> Double {
        let rate = 1 / (1 + exp(-epsilon))
        let mass = (0...guesses).map { Self.binomial($0, guesses, rate) }
        let tail = mass[correct...].reduce(0, +)
        var best = 0.0
        var below = 0.0
        for i in stride(from: 1, through: correct, by: 1) {
            below += mass[correct - i]
            best = max(best, below / Double(i))
        }
        return min(1, tail + 2 * Double(canaries) * delta * best)
    }

    /// Whether this many right guesses are too many for a run that is `mu`-GDP.
    public func refutes(mu: Double) -> Bool {
        refutes { NormalDistribution.cumulative(NormalDistribution.quantile($0) - mu) }
    }

    /// Whether this many right guesses are too many for a run with trade-off function f ([MMC25],
    /// algorithm of the f-DP one-run audit).
    ///
    /// - Parameter complement: f̄(x) = f(1 − x) for 0 < x < 1, or anything below it.
    package func refutes(_ complement: (Double) -> Double) -> Bool {
        let m = Double(canaries)
        var right = significance * Double(correct) / m
        var wrong = significance * Double(guesses - correct) / m
        for i in stride(from: correct - 1, through: 0, by: -1) {
            guard right > 0, right < 1 else { break }
            let next = max(wrong, complement(right))
            right += Double(i) / Double(guesses - i) * (next - wrong)
            wrong = next
        }
        return right + wrong > Double(guesses) / m
    }

    private func largestRefuted(upTo limit: Double, _ refuted: (Double) -> Bool) -> Double {
        guard guesses > 0, refuted(0) else { return 0 }
        let found = Solve.bracketOfDecreasing(low: 0, high: limit) { refuted($0) ? 1 : -1 }
        return found.above
    }

    private static func binomial(_ k: Int, _ n: Int, _ p: Double) -> Double {
        let choose =
            LogGamma.of(Double(n) + 1) - LogGamma.of(Double(k) + 1) - LogGamma.of(Double(n - k) + 1)
        return exp(choose + Double(k) * log(p) + Double(n - k) * log1p(-p))
    }
}
