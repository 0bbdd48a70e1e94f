import GMP
import Glibc

/// Privacy loss distributions ([SMM19], [KJH20], [DGK22]): the whole distribution of the loss is
/// composed, which for Poisson-sampled mechanisms costs visibly less than RDP.
///
/// An upper bound throughout: masses are rounded so as to dominate (`GridLoss`) and round-off is
/// charged (`LossComposition`). Both directions count for sampled events. Noise on one integer has its
/// own distribution here (`BaseLoss`); noise on integer vectors enters through
/// `UnitShiftCertificate` (μ-GDP, and sampling is monotone in the trade-off function), and then its
/// figures carry `BoundBasis.ownCertificate`. Never worse than `RDPAccountant`, and for unsampled
/// Gaussians exactly `GDPAccountant`. Needs the list of events fixed in advance.
public struct PLDAccountant: Accountant {
    public let name = "pld"

    /// How much the grid may raise ε, relative to it.
    private let accuracy: Double

    public init() { accuracy = 4e-5 }

    /// Bounds that may be looser, and take less time: for finding where to look.
    init(accuracy: Double) { self.accuracy = accuracy }

    public func epsilon(of tally: EventTally, delta: Double) throws(AccountingError) -> EpsilonInterval {
        try requireDelta(delta)
        let parts = try Self.parts(of: tally, tail: Self.tail(delta, tally))
        let reached = ReachableLoss.epsilon(of: tally, delta: delta)
        let guide = try RDPAccountant().guide(of: tally, delta: delta)
        var found = EpsilonInterval(
            lower: reached, upper: min(PureLoss.total(of: tally) ?? .infinity, guide.epsilon),
            basis: .published)
        if let mu = parts.gaussianMu {
            found = found.capped(at: Self.gaussian(mu, delta: delta), basis: parts.gaussianBasis)
        }
        guard !parts.sampled.isEmpty else { return found }
        guard !parts.isExtreme else { return found }
        var point = parts.saddlepoint { Saddlepoint($0, step: $1, delta: delta) }
        var outside = LossComposition.outsideDefault
        for pass in 0..<2 {
            let expected = min(max(point.estimate, found.lower), found.upper)
            let compositions = Self.compose(
                parts, at: point, tilt: pass == 0 ? point.lightTilt : point.tilt,
                rise: accuracy * point.tilt * expected, outside: outside)
            let worst = compositions.map { $0.epsilon(delta: delta) ?? .infinity }.max()!
            found = found.capped(at: worst, basis: parts.basis)
            if parts.isExact {
                let least = compositions.map { $0.epsilonAtLeast(delta: delta) }.max()!
                found = found.raised(to: least)
            }
            // A second pass only where charges for arithmetic moved ε by more than its grid may.
            let charged = compositions.map { $0.charged(epsilon: worst) }.max()! / delta
            guard pass == 0, worst > 0, charged > 2 * accuracy * point.tilt * worst else { break }
            outside = compositions.map { $0.outsideAllowed(epsilon: worst, delta: delta) }.min()!
            point = parts.saddlepoint { Saddlepoint($0, step: $1, epsilon: worst) }
        }
        return found
    }

    public func delta(of tally: EventTally, epsilon: Double) throws(AccountingError) -> DeltaInterval {
        try requireEpsilon(epsilon)
        let guide = try RDPAccountant().guide(of: tally, epsilon: epsilon)
        let parts = try Self.parts(of: tally, tail: Self.tail(max(guide.delta * 1e-4, deltaMin), tally))
        var found = DeltaInterval(
            lower: ReachableLoss.delta(of: tally, epsilon: epsilon), upper: guide.delta, basis: .published)
        if let pure = PureLoss.total(of: tally), pure <= epsilon {
            return found.capped(at: 0, basis: .published)
        }
        if let mu = parts.gaussianMu, mu < 1e6 {
            let upper = mu > 0 ? GaussianTradeOff.delta(mu: mu, epsilon: epsilon).upper : 0
            found = found.capped(at: upper, basis: parts.gaussianBasis)
        }
        guard !parts.sampled.isEmpty, !parts.isExtreme else { return found }
        let point = parts.saddlepoint { Saddlepoint($0, step: $1, epsilon: epsilon) }
        let compositions = Self.compose(parts, at: point, tilt: point.tilt, rise: 10 * accuracy)
        found = found.capped(
            at: compositions.map { $0.delta(epsilon: epsilon) }.max()!, basis: parts.basis)
        guard parts.isExact else { return found }
        return found.raised(to: compositions.map { $0.deltaAtLeast(epsilon: epsilon) }.max()!)
    }

    /// One-step losses on the grid that integer composition uses, per direction; nil where no
    /// distribution is composed, because closed forms or RDP answer.
    static func certifiable(
        _ tally: EventTally, delta: Double
    ) throws(AccountingError) -> (
        events: [[(loss: GridLoss, count: Int)]], step: Double, basis: BoundBasis
    )? {
        let parts = try parts(of: tally, tail: tail(delta, tally))
        guard !parts.sampled.isEmpty, !parts.isExtreme else { return nil }
        guard parts.runs <= 1e8 else {
            throw .invalidParameter("count", "\(parts.runs)", "at most 10^8 runs for pld-certified")
        }
        let point = parts.saddlepoint { Saddlepoint($0, step: $1, delta: delta) }
        let step = gridStep(parts, at: point, rise: certifiedAccuracy * point.tilt * point.epsilon)
        return (parts.directions.map { parts.losses($0, step: step) }, step, parts.basis)
    }

    /// How much the coarser grid of integer composition may raise ε, relative to it.
    private static let certifiedAccuracy = 3e-4

    /// What a tally consists of: one Gaussian that stands for all unsampled ones, and the rest.
    private struct Parts {
        /// Σμ² of unsampled events that have no loss of their own here.
        var squaredMu = 0.0
        var sampled: [(base: BaseLoss, rate: Double, count: Int)] = []
        var basis = BoundBasis.published
        /// Whether every loss is the mechanism's own, not that of a Gaussian that dominates it.
        var isExact = true
        /// μ when the whole tally is bounded by one Gaussian: nothing is sampled or pure.
        var gaussianMu: Double?
        var gaussianBasis = BoundBasis.published
        let tail: Double

        var mu: Double { Rounding.up(squaredMu.squareRoot(), ulps: 16) }

        /// Losses so large that no useful ε exists and doubles would overflow; other bounds answer.
        var isExtreme: Bool {
            mu > 50
                || sampled.contains { part in
                    part.base.range.upperBound > 600 || part.base.atoms.contains { abs($0.loss) > 600 }
                }
        }

        /// All events, the unsampled Gaussians as one.
        var events: [(base: BaseLoss, rate: Double, count: Int)] {
            squaredMu > 0
                ? sampled + [(.gaussian(mu: mu, tail: tail, basis: basis), 1, 1)] : sampled
        }

        var runs: Double { events.reduce(0.0) { $0 + Double($1.count) } }

        /// Width of the widest event's losses.
        var span: Double {
            events.map { GridLoss.span($0.base, rate: $0.rate) }.max() ?? 0
        }

        func losses(_ direction: GridLoss.Direction, step: Double) -> [(loss: GridLoss, count: Int)] {
            events.map { event in
                (
                    GridLoss(event.base, rate: event.rate, direction: direction, step: step),
                    event.count
                )
            }
        }

        /// A guide from coarse losses, of the removal, which is nearly always the worse direction.
        func saddlepoint(_ solve: ([(loss: GridLoss, count: Int)], Double) -> Saddlepoint) -> Saddlepoint {
            let step = max(span * 0x1p-11, 1e-14)
            return solve(losses(.remove, step: step), step)
        }

        /// Without sampling every pair here is symmetric.
        var directions: [GridLoss.Direction] {
            sampled.contains { $0.rate < 1 } ? [.remove, .add] : [.remove]
        }
    }

    /// Mass that one event may lose to infinity: a 1e-9 of δ over all events.
    private static func tail(_ delta: Double, _ tally: EventTally) -> Double {
        let runs = tally.entries.reduce(0.0) { $0 + Double($1.count) }
        return max(1e-290, 1e-9 * delta / max(1, runs))
    }

    /// What may be lost above, for an event of which the sum takes only a part `rate`: a 1e-6 of δ over all
    /// events, which costs ε far less than the grid does. Cutting off the largest losses early matters where
    /// they are so rare that they decide nothing, and yet would weigh most under the tilt.
    private static func above(_ tail: Double, _ rate: Double) -> Double { 1e3 * tail / rate }

    private static func parts(of tally: EventTally, tail: Double) throws(AccountingError) -> Parts {
        var parts = Parts(tail: tail)
        if let (mu, basis) = try? GDPAccountant().mu(of: tally) {
            (parts.gaussianMu, parts.gaussianBasis) = (mu, basis)
        }
        for entry in tally.entries {
            var rate = 1.0
            var kind = entry.kind
            if case .poissonSampled(let sampling, let inner) = kind {
                rate = min(Rounding.up(sampling), 1)
                kind = inner
            }
            if let base = BaseLoss(exactly: kind, tail: tail, above: above(tail, rate)) {
                if rate < 1 || !kind.isContinuousGaussian {
                    parts.sampled.append((base, rate, entry.count))
                    continue
                }
            }
            let (squared, basis) = try gaussianBound(kind)
            parts.basis = max(parts.basis, basis)
            if !kind.isContinuousGaussian { parts.isExact = false }
            if rate == 1 {
                parts.squaredMu = Rounding.up(parts.squaredMu + squared * Double(entry.count))
            } else {
                let base = BaseLoss.gaussian(
                    mu: Rounding.up(squared.squareRoot()), tail: tail, above: above(tail, rate), basis: basis)
                parts.sampled.append((base, rate, entry.count))
            }
        }
        return parts
    }

    /// μ² of the Gaussian that dominates an event whose own loss distribution is not known.
    private static func gaussianBound(
        _ kind: PrivacyEvent.Kind
    ) throws(AccountingError) -> (squared: Double, basis: BoundBasis) {
        switch kind {
        case .gaussian, .discreteGaussian, .discreteGaussianSum, .skellamSum:
            return try GDPAccountant().squaredMu(of: kind)
        case .laplace, .discreteLaplace, .randomisedResponse, .poissonSampled, .composed, .repeated,
            .unsupported:
            throw .unsupportedEvent("\(kind)", accountant: "pld", "no bound is known for it")
        }
    }

    private static func gaussian(_ mu: Double, delta: Double) -> Double {
        guard mu > 0 else { return 0 }
        return mu < 1e6 ? GaussianTradeOff.epsilon(mu: mu, delta: delta).upper : .infinity
    }

    /// One composition for each direction that counts.
    private static func compose(
        _ parts: Parts, at point: Saddlepoint, tilt: Double, rise: Double,
        outside: Double = LossComposition.outsideDefault
    ) -> [LossComposition] {
        var step = gridStep(parts, at: point, rise: rise)
        while true {
            if let composed = LossComposition.compositions(
                parts.directions.map { parts.losses($0, step: step) }, step: step, tilt: tilt,
                outside: outside)
            {
                return composed
            }
            step *= 2
        }
    }

    /// The grid's step. Splitting a mass over a cell of width h raises its moment E[e^{θL}] by a
    /// factor of at most 1 + θ(θ+1)h²/8, on average two thirds of that, so n events raise ln δ by
    /// about nθ(θ+1)h²/12, which is to stay below `rise`.
    private static func gridStep(_ parts: Parts, at point: Saddlepoint, rise: Double) -> Double {
        let wanted = (12 * max(rise, 1e-7) / (parts.runs * point.tilt * (point.tilt + 1))).squareRoot()
        // Few events do not smooth the curve: resolve each one's own.
        let resolved = parts.runs <= 4 ? min(wanted, parts.span * 0x1p-15) : wanted
        return max(min(resolved, point.spread / 4, parts.span * 0x1p-9), parts.span * 0x1p-19, 1e-14)
    }
}

extension PrivacyEvent.Kind {
    fileprivate var isContinuousGaussian: Bool {
        if case .gaussian = self { true } else { false }
    }
}

extension EpsilonInterval {
    /// The same interval with the larger of two lower bounds.
    fileprivate func raised(to other: Double) -> EpsilonInterval {
        EpsilonInterval(lower: max(lower, other), upper: upper, basis: basis)
    }

    /// The same interval with the smaller of two upper bounds, and what that one rests on.
    fileprivate func capped(at other: Double, basis: BoundBasis) -> EpsilonInterval {
        other < upper ? EpsilonInterval(lower: lower, upper: other, basis: basis) : self
    }
}

extension DeltaInterval {
    /// The same interval with the larger of two lower bounds.
    fileprivate func raised(to other: Double) -> DeltaInterval {
        DeltaInterval(lower: max(lower, other), upper: upper, basis: basis)
    }

    /// The same interval with the smaller of two upper bounds, and what that one rests on.
    fileprivate func capped(at other: Double, basis: BoundBasis) -> DeltaInterval {
        other < upper ? DeltaInterval(lower: lower, upper: other, basis: basis) : self
    }
}
