import GMP
import Glibc

/// Privacy loss distributions ([SMM19], [KJH20], [DGK22]): the whole distribution of the loss is
/// composed, which for Poisson-sampled mechanisms costs visibly less than RDP.
///
/// An upper bound throughout: masses are rounded so as to dominate (`GridLoss`) and round-off is
/// charged (`LossComposition`). Both directions count for sampled events. Integer noise enters
/// through `UnitShiftCertificate` (μ-GDP, and sampling is monotone in the trade-off function), so
/// its figures carry `BoundBasis.ownCertificate`. Needs the list of events fixed in advance.
public struct PLDAccountant: Accountant {
    public let name = "pld"

    public init() {}

    public func epsilon(of tally: EventTally, delta: Double) throws(AccountingError) -> EpsilonInterval {
        try requireDelta(delta)
        // Nothing but Gaussians composes exactly.
        let parts = try Self.parts(of: tally, tail: Self.tail(delta, tally))
        if parts.sampled.isEmpty {
            let price = Self.gaussian(parts, delta: delta)
            return EpsilonInterval(
                lower: ReachableLoss.epsilon(of: tally, delta: delta), upper: price, basis: parts.basis)
        }
        var upper = PureLoss.total(of: tally) ?? .infinity
        // RDP knows a good tilt, and bounds the answer should the transform be too coarse.
        let guide = try RDPAccountant().best(of: tally, delta: delta)
        if parts.basis == .published { upper = min(upper, guide.epsilon) }
        var worst = 0.0
        for direction in parts.directions {
            let composition = Self.compose(
                parts, direction: direction, tilt: guide.order - 1, epsilon: guide.epsilon)
            worst = max(worst, composition.epsilon(delta: delta) ?? .infinity)
        }
        return EpsilonInterval(
            lower: ReachableLoss.epsilon(of: tally, delta: delta), upper: min(upper, worst),
            basis: parts.basis)
    }

    public func delta(of tally: EventTally, epsilon: Double) throws(AccountingError) -> DeltaInterval {
        try requireEpsilon(epsilon)
        let guide = try RDPAccountant().best(of: tally, epsilon: epsilon)
        let parts = try Self.parts(of: tally, tail: Self.tail(max(guide.delta * 1e-4, deltaMin), tally))
        let lower = ReachableLoss.delta(of: tally, epsilon: epsilon)
        if parts.sampled.isEmpty {
            let upper =
                parts.squaredMu > 0
                ? GaussianTradeOff.delta(mu: parts.mu, epsilon: epsilon).upper : 0
            return DeltaInterval(lower: lower, upper: upper, basis: parts.basis)
        }
        if let pure = PureLoss.total(of: tally), pure <= epsilon {
            return DeltaInterval(lower: 0, upper: 0, basis: .published)
        }
        var worst = 0.0
        for direction in parts.directions {
            let composition = Self.compose(
                parts, direction: direction, tilt: guide.order - 1, epsilon: epsilon)
            worst = max(worst, composition.delta(epsilon: epsilon))
        }
        return DeltaInterval(lower: lower, upper: worst, basis: parts.basis)
    }

    /// What a tally consists of: one Gaussian that stands for all unsampled ones, and the rest.
    private struct Parts {
        var squaredMu = 0.0
        var sampled: [(base: BaseLoss, rate: Double, count: Int)] = []
        var basis = BoundBasis.published
        let tail: Double

        var mu: Double { Rounding.up(squaredMu.squareRoot(), ulps: 16) }

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

    private static func parts(of tally: EventTally, tail: Double) throws(AccountingError) -> Parts {
        var parts = Parts(tail: tail)
        for entry in tally.entries {
            var rate = 1.0
            var kind = entry.kind
            if case .poissonSampled(let sampling, let inner) = kind {
                rate = min(Rounding.up(sampling), 1)
                kind = inner
            }
            let base: BaseLoss
            switch kind {
            case .gaussian, .discreteGaussian, .discreteGaussianSum, .skellamSum:
                let (squared, basis) = try GDPAccountant().squaredMu(of: kind)
                parts.basis = max(parts.basis, basis)
                if rate == 1 {
                    parts.squaredMu = Rounding.up(parts.squaredMu + squared * Double(entry.count))
                    continue
                }
                base = .gaussian(mu: Rounding.up(squared.squareRoot()), tail: tail, basis: basis)
            case .laplace(let multiplier):
                base = .laplace(pure: Rounding.up(Rational(1) / multiplier))
            case .discreteLaplace(let scale, let sensitivity):
                base = .discreteLaplace(rate: Rounding.up(Rational(1) / scale), shift: sensitivity)
            case .randomisedResponse(let noiseProbability, let buckets):
                base = .randomisedResponse(noiseProbability: noiseProbability, buckets: buckets)
            case .poissonSampled, .composed, .repeated, .unsupported:
                throw .unsupportedEvent("\(entry.kind)", accountant: "pld", "no bound is known for it")
            }
            parts.sampled.append((base, rate, entry.count))
        }
        return parts
    }

    private static func gaussian(_ parts: Parts, delta: Double) -> Double {
        guard parts.squaredMu > 0 else { return 0 }
        return parts.mu < 1e6 ? GaussianTradeOff.epsilon(mu: parts.mu, delta: delta).upper : .infinity
    }

    private static func compose(
        _ parts: Parts, direction: GridLoss.Direction, tilt: Double, epsilon: Double
    ) -> LossComposition {
        var events = parts.sampled
        if parts.squaredMu > 0 {
            events.append((.gaussian(mu: parts.mu, tail: parts.tail, basis: parts.basis), 1, 1))
        }
        let step = gridStep(events, tilt: tilt, epsilon: epsilon)
        return LossComposition(
            events.map { event in
                (
                    GridLoss(event.base, rate: event.rate, direction: direction, step: step),
                    event.count
                )
            }, step: step, tilt: tilt)
    }

    /// The grid's step. Splitting a mass over a cell of width h raises its moment E[e^{θL}] by a
    /// factor of at most 1 + θ(θ+1)h²/8, on average two thirds of that, so n events raise ε by about
    /// n(θ+1)h²/12; the step keeps that below `accuracy` of the answer that RDP expects.
    private static func gridStep(
        _ events: [(base: BaseLoss, rate: Double, count: Int)], tilt: Double, epsilon: Double
    ) -> Double {
        let accuracy = 3e-5
        let runs = events.reduce(0.0) { $0 + Double($1.count) }
        let span = events.reduce(0.0) { span, event in
            let ends = event.base.atoms.map { abs($0.loss) }
            return max(
                span, event.base.range.upperBound - event.base.range.lowerBound, ends.max() ?? 0)
        }
        let wanted = (12 * accuracy * min(max(epsilon, 1e-3), 100) / (runs * (tilt + 1))).squareRoot()
        // No more than about 2^19 points per event.
        return max(wanted, span * 0x1p-19, 1e-12)
    }
}
