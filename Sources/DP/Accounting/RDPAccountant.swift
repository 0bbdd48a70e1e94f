import Glibc

/// Rényi differential privacy ([Mir17]): divergences add up at each order, also over adaptive
/// releases, and the best order converts to ε ([CKS20]).
///
/// Exact at integer orders for Gaussians and Poisson-sampled Gaussians; an upper bound between them
/// (`SampledMoments`). Knows every event but `.unsupported`. Rests on published
/// theorems only, also for Poisson-sampled sums of discrete Gaussians.
public struct RDPAccountant: Accountant {
    public let name = "rdp"

    public init() {}

    /// The orders tried, in increasing order.
    public static let orders: [Double] = {
        var orders: [Double] = [1.01, 1.02, 1.04, 1.0625]
        orders += stride(from: 1.0, to: 64, by: 1).map { 1 + $0 / 8 }
        for n in 9..<40 { orders += [0, 0.25, 0.5, 0.75].map { Double(n) + $0 } }
        orders += (40...128).map(Double.init)
        orders += [144, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024]
        // Only events without sampling profit from these.
        for exponent in stride(from: 10.25, through: 24, by: 0.25) {
            orders.append(exp2(exponent).rounded(.up))
        }
        return orders
    }()

    /// The summed divergences at `RDPAccountant.orders`, rounded up.
    public func divergences(of tally: EventTally) throws(AccountingError) -> [Double] {
        var total = [Double](repeating: 0, count: Self.orders.count)
        for entry in tally.entries {
            let divergence = try RenyiDivergence(entry.kind)
            for (index, order) in Self.orders.enumerated() {
                total[index] += divergence.upper(order: order) * Double(entry.count)
            }
        }
        let ulps = 2 + 2 * Double(tally.entries.count)
        return tally.isEmpty ? total : total.map { Rounding.up($0, ulps: ulps) }
    }

    public func epsilon(of tally: EventTally, delta: Double) throws(AccountingError) -> EpsilonInterval {
        try requireDelta(delta)
        let divergences = try divergences(of: tally)
        guard !tally.isEmpty else { return EpsilonInterval(lower: 0, upper: 0, basis: .published) }
        var upper = PureLoss.total(of: tally) ?? .infinity
        for (order, divergence) in zip(Self.orders, divergences) {
            upper = min(
                upper, RenyiConversion.epsilon(order: order, divergence: divergence, delta: delta))
        }
        return EpsilonInterval(
            lower: ReachableLoss.epsilon(of: tally, delta: delta), upper: upper, basis: .published)
    }

    public func delta(of tally: EventTally, epsilon: Double) throws(AccountingError) -> DeltaInterval {
        try requireEpsilon(epsilon)
        let divergences = try divergences(of: tally)
        guard !tally.isEmpty else { return DeltaInterval(lower: 0, upper: 0, basis: .published) }
        var upper = 1.0
        if let pure = PureLoss.total(of: tally), pure <= epsilon { upper = 0 }
        for (order, divergence) in zip(Self.orders, divergences) {
            upper = min(
                upper, RenyiConversion.delta(order: order, divergence: divergence, epsilon: epsilon))
        }
        return DeltaInterval(
            lower: ReachableLoss.delta(of: tally, epsilon: epsilon), upper: upper, basis: .published)
    }

    /// The best ε for `delta`, and the least order that comes within 2 % of it.
    func guide(
        of tally: EventTally, delta: Double
    ) throws(AccountingError) -> (order: Double, epsilon: Double) {
        let bounds = zip(Self.orders, try divergences(of: tally)).map { order, divergence in
            (order, RenyiConversion.epsilon(order: order, divergence: divergence, delta: delta))
        }
        let best = bounds.map(\.1).min() ?? .infinity
        let order = bounds.first { $0.1 <= best * 1.02 && $0.0 >= 1.5 }?.0 ?? 2
        return (order, best)
    }

    /// The best δ for `epsilon`, and the least order that comes within a factor e of it.
    func guide(
        of tally: EventTally, epsilon: Double
    ) throws(AccountingError) -> (order: Double, delta: Double) {
        let bounds = zip(Self.orders, try divergences(of: tally)).map { order, divergence in
            (order, RenyiConversion.delta(order: order, divergence: divergence, epsilon: epsilon))
        }
        let best = bounds.map(\.1).min() ?? 1
        let order = bounds.first { $0.1 <= best * 2.72 && $0.0 >= 1.5 }?.0 ?? 2
        return (order, best)
    }
}
