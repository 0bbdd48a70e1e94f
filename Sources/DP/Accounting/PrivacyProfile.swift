import Glibc

/// The whole guarantee of a tally as a curve, for tables and plots.
public struct PrivacyProfile: Sendable {
    public let tally: EventTally
    public let accountant: any Accountant

    public init(of tally: EventTally, by accountant: any Accountant) {
        self.tally = tally
        self.accountant = accountant
    }

    /// ε at each δ.
    public func epsilons(
        atDeltas deltas: [Double]
    ) throws(AccountingError) -> [(delta: Double, epsilon: EpsilonInterval)] {
        var rows: [(delta: Double, epsilon: EpsilonInterval)] = []
        for delta in deltas {
            rows.append((delta, try accountant.epsilon(of: tally, delta: delta)))
        }
        return rows
    }

    /// δ at each ε.
    public func deltas(
        atEpsilons epsilons: [Double]
    ) throws(AccountingError) -> [(epsilon: Double, delta: DeltaInterval)] {
        var rows: [(epsilon: Double, delta: DeltaInterval)] = []
        for epsilon in epsilons {
            rows.append((epsilon, try accountant.delta(of: tally, epsilon: epsilon)))
        }
        return rows
    }

    /// An upper bound on the true-positive rate of any test for one unit's presence whose
    /// false-positive rate is `falseAlarm`.
    ///
    /// (ε, δ)-DP confines a test to TPR ≤ e^ε·FPR + δ and 1 − TPR ≥ e^{−ε}(1 − δ − FPR); the best
    /// of these over a grid of ε is reported.
    public func testPower(falseAlarm: Double) throws(AccountingError) -> Double {
        guard falseAlarm > 0, falseAlarm < 1 else {
            throw .invalidParameter("falseAlarm", "\(falseAlarm)", "above 0 and below 1")
        }
        var best = 1.0
        for step in 0...160 {
            let epsilon = Double(step) * Double(step) * 0.0008
            let delta = try accountant.delta(of: tally, epsilon: epsilon).upper
            best = min(best, exp(epsilon) * falseAlarm + delta)
            best = min(best, 1 - exp(-epsilon) * max(0, 1 - delta - falseAlarm))
        }
        return min(1, Rounding.up(best, ulps: 16))
    }
}
