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
        let parts = try Self.parts(of: tally, tail: Self.tail(delta, tally))
        if parts.sampled.isEmpty {
            // Gaussians alone compose exactly.
            let price = Self.gaussian(parts, delta: delta)
            return EpsilonInterval(
                lower: ReachableLoss.epsilon(of: tally, delta: delta), upper: price, basis: parts.basis)
        }
        // RDP knows a good tilt and bounds the answer, which sets the grid's step; where it is far
        // off, a second pass uses the first one's answer.
        let guide = try RDPAccountant().guide(of: tally, delta: delta)
        let tilt = guide.order - 1
        var found = min(PureLoss.total(of: tally) ?? .infinity, guide.epsilon)
        var basis = BoundBasis.published
        for _ in 0..<2 where !parts.isExtreme {
            let expected = found
            var worst = 0.0
            for direction in parts.directions {
                let composition = Self.compose(
                    parts, direction: direction, tilt: tilt, rise: Self.accuracy * tilt * expected)
                worst = max(worst, composition.epsilon(delta: delta) ?? .infinity)
            }
            if worst < found {
                found = worst
                basis = parts.basis
            }
            if worst > expected / 2 { break }
        }
        return EpsilonInterval(
            lower: ReachableLoss.epsilon(of: tally, delta: delta), upper: found, basis: basis)
    }

    public func delta(of tally: EventTally, epsilon: Double) throws(AccountingError) -> DeltaInterval {
        try requireEpsilon(epsilon)
        let guide = try RDPAccountant().guide(of: tally, epsilon: epsilon)
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
        guard !parts.isExtreme else {
            return DeltaInterval(lower: lower, upper: guide.delta, basis: .published)
        }
        var worst = 0.0
        for direction in parts.directions {
            let composition = Self.compose(
                parts, direction: direction, tilt: guide.order - 1, rise: 10 * Self.accuracy)
            worst = max(worst, composition.delta(epsilon: epsilon))
        }
        return worst < guide.delta
            ? DeltaInterval(lower: lower, upper: worst, basis: parts.basis)
            : DeltaInterval(lower: lower, upper: guide.delta, basis: .published)
    }

    /// What a tally consists of: one Gaussian that stands for all unsampled ones, and the rest.
    private struct Parts {
        var squaredMu = 0.0
        var sampled: [(base: BaseLoss, rate: Double, count: Int)] = []
        var basis = BoundBasis.published
        let tail: Double

        var mu: Double { Rounding.up(squaredMu.squareRoot(), ulps: 16) }

        /// Losses so large that no useful ε exists and doubles would overflow; RDP answers alone.
        var isExtreme: Bool {
            mu > 50
                || sampled.contains { part in
                    part.base.range.upperBound > 600 || part.base.atoms.contains { abs($0.loss) > 600 }
                }
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
        _ parts: Parts, direction: GridLoss.Direction, tilt: Double, rise: Double
    ) -> LossComposition {
        var events = parts.sampled
        if parts.squaredMu > 0 {
            events.append((.gaussian(mu: parts.mu, tail: parts.tail, basis: parts.basis), 1, 1))
        }
        var step = gridStep(events, tilt: tilt, rise: rise)
        while true {
            let losses = events.map { event in
                (
                    loss: GridLoss(event.base, rate: event.rate, direction: direction, step: step),
                    count: event.count
                )
            }
            if let composed = LossComposition(losses, step: step, tilt: tilt) { return composed }
            step *= 2
        }
    }

    /// How much the grid may raise ε, relative to it.
    private static let accuracy = 3e-5

    /// The grid's step. Splitting a mass over a cell of width h raises its moment E[e^{θL}] by a
    /// factor of at most 1 + θ(θ+1)h²/8, on average two thirds of that, so n events raise ln δ by
    /// about nθ(θ+1)h²/12, which is to stay below `rise`.
    private static func gridStep(
        _ events: [(base: BaseLoss, rate: Double, count: Int)], tilt: Double, rise: Double
    ) -> Double {
        let runs = events.reduce(0.0) { $0 + Double($1.count) }
        let span = events.reduce(0.0) { span, event in
            let ends = event.base.atoms.map { abs($0.loss) }
            return max(
                span, event.base.range.upperBound - event.base.range.lowerBound, ends.max() ?? 0)
        }
        let wanted = (12 * max(rise, 1e-7) / (runs * tilt * (tilt + 1))).squareRoot()
        // At most 2^19 points per event, and enough to resolve the curve itself when there are few.
        return max(min(wanted, span * (runs <= 4 ? 0x1p-15 : 0x1p-11)), span * 0x1p-19, 1e-12)
    }
}
