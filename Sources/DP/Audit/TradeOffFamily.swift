import Glibc

/// A claimed trade-off curve and its relatives with more or less noise: a scale on which an audit's
/// outcome becomes a lower bound on ε.
package final class TradeOffFamily {
    package let claim: TradeOffCurve
    private var curves: [Int: TradeOffCurve] = [:]

    /// Noise factors 2^(k/8): from a sixteenth of the claimed noise to 256 times as much.
    private static let steps = -32...64

    package init(claim: TradeOffCurve) { self.claim = claim }

    /// The largest ε at `delta` of a member that the outcome refutes; 0 when it refutes none.
    package func epsilonLowerBound(_ audit: OneRunAudit, delta: Double) -> Double {
        guard let step = leastRefuted(audit) else { return 0 }
        return curve(step).epsilon(delta: delta)
    }

    /// The least noise factor that the outcome refutes; nil when it refutes none.
    private func leastRefuted(_ audit: OneRunAudit) -> Int? {
        // More noise is a stronger claim, which is easier to refute.
        var refuted = Self.steps.upperBound
        guard audit.refutes(curve(refuted).callAsFunction) else { return nil }
        var standing = Self.steps.lowerBound - 1
        while refuted - standing > 1 {
            let middle = standing + (refuted - standing) / 2
            if audit.refutes(curve(middle).callAsFunction) { refuted = middle } else { standing = middle }
        }
        return refuted
    }

    private func curve(_ step: Int) -> TradeOffCurve {
        if let known = curves[step] { return known }
        let made = claim.scalingNoise(by: exp2(Double(step) / 8))
        curves[step] = made
        return made
    }
}
