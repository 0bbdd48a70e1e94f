import GMP
import Glibc

/// The distribution, under Q, of the privacy loss ℓ = ln(P₁/Q) between a mechanism's outputs with
/// (P₁) and without (Q) one unit: point masses and a smooth part.
struct BaseLoss {
    /// (ℓ, probability under Q); the probability under P₁ is e^ℓ times that.
    var atoms: [(loss: Double, mass: Double)] = []
    /// Density under Q on `range`, and a width over which it is smooth for quadrature.
    var smooth: (density: (Double) -> Double, panel: (Double) -> Double)?
    var range: ClosedRange<Double> = 0...0
    /// Probability, under P₁ or Q, of a loss above `range`; at most as much lies below it.
    var beyond = 0.0
    var basis = BoundBasis.published

    /// Gaussian noise whose mean moves by `mu` standard deviations: ℓ ~ N(−μ²/2, μ²) under Q.
    /// Cut where at most `tail` is lost.
    static func gaussian(mu: Double, tail: Double, basis: BoundBasis) -> BaseLoss {
        let reach = NormalDistribution.upperQuantile(min(tail, 0.1)) + 1e-6
        let centre = mu * mu / 2
        let scale = 0.3989422804014327 / mu
        return BaseLoss(
            smooth: (
                density: { loss in
                    let z = (loss + centre) / mu
                    return scale * exp(-0.5 * z * z)
                },
                panel: { loss in min(0.25, 0.05 * mu / (1 + abs(loss + centre) / (8 * mu))) }
            ),
            range: -centre - reach * mu...centre + reach * mu, beyond: tail, basis: basis)
    }

    /// Laplace noise: the loss is −ε on one side of both centres (half of Q), +ε on the other
    /// (½e^{−ε} of Q), and in between has density ¼e^{−(ℓ+ε)/2}.
    static func laplace(pure: Double) -> BaseLoss {
        BaseLoss(
            atoms: [(-pure, 0.5), (pure, 0.5 * exp(-pure))],
            smooth: (density: { 0.25 * exp(-0.5 * ($0 + pure)) }, panel: { _ in 0.25 }),
            range: -pure...pure)
    }

    /// Two-sided geometric noise ∝ e^{−rate·|x|} moved by `shift`: constant loss beyond both
    /// centres, rate·(2x − shift) between them.
    static func discreteLaplace(rate: Double, shift: Int) -> BaseLoss {
        let r = exp(-rate)
        let outside = 1 / (1 + r)
        var atoms = [
            (loss: -rate * Double(shift), mass: outside),
            (loss: rate * Double(shift), mass: outside * exp(-rate * Double(shift))),
        ]
        let centre = -expm1(-rate) * outside
        for x in stride(from: 1, to: shift, by: 1) {
            atoms.append((rate * Double(2 * x - shift), centre * exp(-rate * Double(x))))
        }
        return BaseLoss(atoms: atoms)
    }

    /// k-ary randomised response between two answers; the k − 2 others have loss 0.
    static func randomisedResponse(noiseProbability: Rational, buckets: Int) -> BaseLoss {
        let other = (noiseProbability / Rational(buckets)).asDouble
        let truth = (Rational(1) - noiseProbability).asDouble + other
        let pure = log(truth / other)
        return BaseLoss(
            atoms: [(pure, other), (-pure, truth), (0, Double(buckets - 2) * other)])
    }
}

/// One event's privacy loss on a grid of step h, rounded so that it dominates the true one
/// (connect-the-dots, [DGK22]).
///
/// Each piece of mass whose loss lies between two grid points is split between them so that its
/// probability stays the same under *both* worlds; the hockey-stick curve then becomes the chord
/// of the true convex curve, hence lies above it. Losses are first raised by their own arithmetic
/// error.
struct GridLoss {
    /// Index of the first mass: loss = (first + i)·h.
    let first: Int
    let masses: [Double]
    /// Probability of an unbounded loss.
    let infinite: Double

    enum Direction { case remove, add }

    /// Order-4 Gauss–Legendre nodes and weights on (−1, 1).
    static let nodes: [(Double, Double)] = [
        (-0.8611363115940526, 0.34785484513745385), (-0.33998104358485626, 0.6521451548625461),
        (0.33998104358485626, 0.6521451548625461), (0.8611363115940526, 0.34785484513745385),
    ]

    /// - Parameters:
    ///   - rate: Poisson sampling rate; 1 for none.
    ///   - direction: `.remove` is ln(P/Q) under P = (1−q)Q + qP₁, `.add` is ln(Q/P) under Q.
    init(_ base: BaseLoss, rate: Double, direction: Direction, step: Double) {
        var builder = Builder(base, rate: rate, direction: direction, step: step)
        builder.addAtoms()
        builder.addSmoothPart()
        first = builder.first
        // Quadrature is good to 1e-14 relative on its panels.
        masses = builder.masses.map { $0 * (1 + 1e-13) }
        infinite = direction == .remove || rate == 1 ? base.beyond : 0
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
        var losses = base.atoms.map(\.loss)
        if base.smooth != nil { losses += [base.range.lowerBound, base.range.upperBound] }
        let sampled = losses.map { Self.sampledLoss($0, rate) }
        let signed = direction == .remove ? sampled : sampled.map { -$0 }
        // The folded lower tail of an added unit sits at the largest loss, −ln(1−q).
        let top = direction == .add && rate < 1 ? max(signed.max()!, -log1p(-rate)) : signed.max()!
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
        let raised = loss + (1 + abs(loss)) * 16 * Rounding.ulp
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
                for (node, weight) in GridLoss.nodes {
                    let loss = left + half * (1 + node)
                    take(loss, smooth.density(loss) * weight * half)
                }
                left = right
            }
            start = end
        }
        // What lies below the range is raised: to its end, or to the most an added unit can lose.
        switch direction {
        case .remove: put(Self.sampledLoss(low, rate), base.beyond)
        case .add:
            put(-Self.sampledLoss(high, rate), base.beyond)
            if rate < 1 { put(-log1p(-rate), base.beyond) }
        }
    }
}
