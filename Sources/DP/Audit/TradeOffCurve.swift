import Glibc

/// The trade-off function of a Poisson-sampled Gaussian run `count` times: the least false-negative
/// rate of any test for one unit's presence, as a lower bound.
///
/// It is what an audit tests. The sum of discrete Gaussians enters through its unit-shift certificate;
/// sampled runs through a composed privacy loss distribution in both directions.
package struct TradeOffCurve: Sendable {
    /// μ of one sampled run: sensitivity over noise deviation.
    package let mu: Double
    package let rate: Double
    package let count: Int
    /// δ(ε) in the worse direction, nil when the composition is a Gaussian.
    private let profile: [Point]?

    private struct Point {
        let epsilon: Double
        let exponential: Double
        let delta: Double
    }

    /// - Parameters:
    ///   - mu: above 0.
    ///   - rate: chance that the unit joins one run; 1 for none.
    package init(mu: Double, rate: Double, count: Int) {
        precondition(mu > 0 && rate > 0 && rate <= 1 && count >= 1)
        self.mu = mu
        self.rate = rate
        self.count = count
        guard rate < 1 else {
            profile = nil
            return
        }
        let base = BaseLoss.gaussian(mu: mu, tail: Self.tail, basis: .ownCertificate)
        var step = (base.range.upperBound - base.range.lowerBound) * Self.relativeStep
        // A composition is tight near the ε that its tilt aims at, and a bound everywhere: of several the
        // least counts.
        var directions: [[LossComposition]] = []
        while directions.isEmpty {
            let composed = [GridLoss.Direction.remove, .add].map { direction in
                Self.tilts.compactMap { tilt in
                    LossComposition(
                        [(GridLoss(base, rate: rate, direction: direction, step: step), count)],
                        step: step, tilt: tilt)
                }
            }
            if composed.allSatisfy({ $0.count == Self.tilts.count }) {
                directions = composed
            } else {
                step *= 2
            }
        }
        var profile: [Point] = []
        for index in 0...Self.points {
            // Dense near 0, where tests with high error rates are decided.
            let epsilon = 0.002 * Double(index) * (1 + 0.06 * Double(index))
            let delta = directions.map { compositions in
                compositions.map { $0.delta(epsilon: epsilon) }.min()!
            }.max()!
            profile.append(Point(epsilon: epsilon, exponential: exp(epsilon), delta: delta))
            if delta < Self.deltaMin { break }
        }
        self.profile = profile
    }

    /// The curve of `count` times `event`, when its noise has a Gaussian certificate; nil otherwise.
    package init?(of event: PrivacyEvent, count: Int) throws(AccountingError) {
        var kind = event.kind
        var rate = 1.0
        if case .poissonSampled(let sampling, let inner) = kind {
            rate = min(Rounding.up(sampling), 1)
            kind = inner
        }
        switch kind {
        case .gaussian, .discreteGaussian, .discreteGaussianSum, .skellamSum: break
        default: return nil
        }
        guard rate > 0 else { return nil }
        let mu = Rounding.up(try GDPAccountant().squaredMu(of: kind).squared.squareRoot())
        self.init(mu: mu, rate: rate, count: count)
    }

    /// The same runs with `factor` times the noise.
    package func scalingNoise(by factor: Double) -> TradeOffCurve {
        TradeOffCurve(mu: mu / factor, rate: rate, count: count)
    }

    /// f(1 − x): the least false-negative rate at false-positive rate 1 − x, never above the truth.
    package func callAsFunction(_ x: Double) -> Double {
        guard x > 0 else { return 0 }
        guard x < 1 else { return 1 }
        guard let profile else {
            return NormalDistribution.cumulative(
                NormalDistribution.quantile(x) - mu * Double(count).squareRoot())
        }
        var best = 0.0
        for point in profile {
            best = max(
                best, 1 - point.delta - point.exponential * (1 - x), (x - point.delta) / point.exponential)
        }
        return best
    }

    /// ε at `delta` on this curve: what a test can reach, without room for proofs.
    package func epsilon(delta: Double) -> Double {
        guard let profile else {
            return GaussianTradeOff.epsilon(mu: mu * Double(count).squareRoot(), delta: delta).lower
        }
        // The first point at or below δ bounds from above; the one before it from below.
        guard let index = profile.firstIndex(where: { $0.delta <= delta }) else {
            return profile.last!.epsilon
        }
        return index == 0 ? 0 : profile[index - 1].epsilon
    }

    private static let tail = 1e-15
    private static let tilts = [0.5, 2, 4]
    private static let relativeStep = 0x1p-12
    private static let points = 400
    private static let deltaMin = 1e-9
}
