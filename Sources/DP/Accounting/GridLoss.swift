import Glibc

/// One event's privacy loss on a grid of step h, rounded so that it dominates the true one
/// (connect-the-dots, [DGK22]).
///
/// Each piece of mass whose loss lies between two grid points is split between them so that its
/// probability stays the same under *both* worlds; the hockey-stick curve then becomes the chord
/// of the true convex curve, hence lies above it. Losses are first raised by their own arithmetic
/// error.
package struct GridLoss {
    /// Index of the first mass: loss = (first + i)·h.
    package let first: Int
    package let masses: [Double]
    /// Probability of an unbounded loss.
    package let infinite: Double
    /// Probability that was cut off and enters at a loss no smaller than its own.
    let raisedFromBelow: Double
    /// Part by which every mass was raised to cover its arithmetic.
    let inflation: Double
    /// Most by which arithmetic was allowed to raise a loss.
    let raise: Double

    package enum Direction { case remove, add }

    /// Gauss–Legendre nodes and weights on (−1, 1): two for cells far narrower than a panel, where
    /// their error is as small as that of four on a whole one.
    static let twoNodes: [(Double, Double)] = [(-0.5773502691896257, 1), (0.5773502691896257, 1)]
    static let fourNodes: [(Double, Double)] = [
        (-0.8611363115940526, 0.34785484513745385), (-0.33998104358485626, 0.6521451548625461),
        (0.33998104358485626, 0.6521451548625461), (0.8611363115940526, 0.34785484513745385),
    ]

    /// - Parameters:
    ///   - rate: Poisson sampling rate; 1 for none.
    ///   - direction: `.remove` is ln(P/Q) under P = (1−q)Q + qP₁, `.add` is ln(Q/P) under Q.
    package init(_ base: BaseLoss, rate: Double, direction: Direction, step: Double) {
        var builder = Builder(base, rate: rate, direction: direction, step: step)
        builder.addAtoms()
        builder.addSmoothPart()
        let cut = Self.cut(base, rate: rate, direction: direction)
        builder.addAtLeast(cut.least)
        first = builder.first
        // Quadrature is good to 1e-14 relative on its panels; e^ℓ adds |ℓ| units.
        let inflation = base.massUlps * Rounding.ulp
        masses = builder.masses.map { $0 * (1 + inflation) }
        self.inflation = inflation
        infinite = cut.infinite
        raisedFromBelow = cut.least
        let largest = max(abs(Double(first)), abs(Double(first + masses.count))) * step
        raise = (1 + largest) * base.lossUlps * Rounding.ulp
    }
}

extension GridLoss {
    /// Mass cut off above the listed losses, which counts as infinite, and below them, which is raised to
    /// the least. With (P₁) or without (Q) the unit, what is rare in one world is rarer by e^{−loss} in the
    /// other, and P takes only a part q of P₁.
    private static func cut(
        _ base: BaseLoss, rate: Double, direction: Direction
    ) -> (infinite: Double, least: Double) {
        let other = exp(-base.ends[1]) * (1 + 1e-12)
        return switch direction {
        case .remove: (base.above * min(1, rate + other), base.below)
        case .add: (base.below, base.above * min(1, other))
        }
    }

    /// Distance between an event's least and largest loss, as far as they are listed.
    static func span(_ base: BaseLoss, rate: Double) -> Double {
        let sampled = base.ends.map { Builder.sampledLoss($0, rate) }
        return (sampled.max() ?? 0) - (sampled.min() ?? 0)
    }
}

/// Fills a grid with one event's masses.
private struct Builder {
    let base: BaseLoss
    let rate: Double
    let direction: GridLoss.Direction
    let step: Double
    let first: Int
    var masses: [Double]
    private let stepExpm1: Double

    init(_ base: BaseLoss, rate: Double, direction: GridLoss.Direction, step: Double) {
        self.base = base
        self.rate = rate
        self.direction = direction
        self.step = step
        stepExpm1 = expm1(step)
        let sampled = base.ends.map { Self.sampledLoss($0, rate) }
        let signed = direction == .remove ? sampled : sampled.map { -$0 }
        let top = signed.max()!
        first = Int((signed.min()! / step).rounded(.down)) - 1
        masses = [Double](repeating: 0, count: Int((top / step).rounded(.up)) + 3 - first)
    }

    /// L = ln(1 − q + q e^ℓ).
    static func sampledLoss(_ loss: Double, _ rate: Double) -> Double {
        rate == 1 ? loss : log1p(rate * expm1(loss))
    }

    /// ℓ with L(ℓ) = `sampled`; −∞ below the least loss ln(1−q).
    private func baseLoss(_ sampled: Double) -> Double {
        guard rate < 1 else { return sampled }
        let ratio = expm1(sampled) / rate
        return ratio > -1 ? log1p(ratio) : -.infinity
    }

    /// Splits `mass` at `loss` between its two grid neighbours.
    private mutating func put(_ loss: Double, _ mass: Double) {
        let raised = loss + (1 + abs(loss)) * base.lossUlps * Rounding.ulp
        let cell = Int((raised / step).rounded(.down))
        let gap = min(step, max(0, Double(cell + 1) * step - raised))
        // Share of the lower point: (e^{gap} − 1)/(e^h − 1) keeps P and Q.
        let share = min(1, max(0, expm1(gap) / stepExpm1))
        masses[cell - first] += mass * share
        masses[cell + 1 - first] += mass * (1 - share)
    }

    private mutating func take(_ loss: Double, _ mass: Double) {
        let sampled = Self.sampledLoss(loss, rate)
        switch direction {
        case .remove: put(sampled, mass * (rate == 1 ? exp(loss) : 1 + rate * expm1(loss)))
        case .add: put(-sampled, mass)
        }
    }

    mutating func addAtoms() {
        for atom in base.atoms { take(atom.loss, atom.mass) }
    }

    /// Integrates the smooth part cell by cell, so that the split is smooth inside each panel.
    mutating func addSmoothPart() {
        guard let smooth = base.smooth else { return }
        let low = base.range.lowerBound
        let high = base.range.upperBound
        var cell = Int((Self.sampledLoss(low, rate) / step).rounded(.down))
        var start = low
        while start < high {
            cell += 1
            let end = min(high, max(start, baseLoss(Double(cell) * step)))
            var left = start
            while left < end {
                let panel = max(smooth.panel(left) * 0.8, 1e-12)
                // A last sliver is merged rather than left over.
                let right = left + panel * 1.25 >= end ? end : left + panel
                let half = (right - left) / 2
                let nodes =
                    (right - left) * 64 < panel ? GridLoss.twoNodes : GridLoss.fourNodes
                for (node, weight) in nodes {
                    let loss = left + half * (1 + node)
                    take(loss, smooth.density(loss) * weight * half)
                }
                left = right
            }
            start = end
        }
    }

    /// Adds mass at the least listed loss.
    mutating func addAtLeast(_ mass: Double) {
        guard mass > 0 else { return }
        put(Double(first + 1) * step, mass)
    }
}
