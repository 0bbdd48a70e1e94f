import Glibc

/// Privacy loss distributions composed in integers: the same one-step losses as `PLDAccountant`, but no
/// transform, so no round-off to bound.
///
/// Claim: an upper bound, given that the C library's exp, log and erf are good to the few units in the
/// last place that `GridLoss` charges for one step. All that follows is integer arithmetic in which
/// every rounding goes up (`CertifiedLoss`). Slower and, by its coarser grid, up to a few parts in 10⁴
/// above `PLDAccountant`, whose transform it thereby checks.
public struct CertifiedPLDAccountant: Accountant {
    public let name = "pld-certified"

    public init() {}

    public func epsilon(of tally: EventTally, delta: Double) throws(AccountingError) -> EpsilonInterval {
        let fast = try PLDAccountant().epsilon(of: tally, delta: delta)
        guard let losses = try PLDAccountant.certifiable(tally, delta: delta) else { return fast }
        let upper = losses.events.map { events in
            CertifiedLoss.composition(events, step: losses.step, delta: delta).epsilon(delta: delta)
        }.max()!
        return EpsilonInterval(lower: fast.lower, upper: upper, basis: losses.basis)
    }

    public func delta(of tally: EventTally, epsilon: Double) throws(AccountingError) -> DeltaInterval {
        let fast = try PLDAccountant().delta(of: tally, epsilon: epsilon)
        let target = max(fast.upper, 1e-30)
        guard target < 1, let losses = try PLDAccountant.certifiable(tally, delta: target) else {
            return fast
        }
        let upper = losses.events.map { events in
            CertifiedLoss.composition(events, step: losses.step, delta: target).delta(epsilon: epsilon)
        }.max()!
        return DeltaInterval(lower: fast.lower, upper: upper, basis: losses.basis)
    }
}
