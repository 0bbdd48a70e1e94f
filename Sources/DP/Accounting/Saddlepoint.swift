import Glibc

/// Where the sum of a tally's losses decides δ, by the best moment bound
/// δ(ε) ≤ e^{K(θ) − θε}/(θ+1)·(1 + 1/θ)^{−θ} ([CKS20]), K(θ) = Σ n·ln E_P[e^{θL}] of coarse grid losses.
///
/// Only a guide: it sets grid and tilt, and a poor one loosens a bound without breaking it.
struct Saddlepoint {
    /// θ.
    let tilt: Double
    /// The ε of that bound, which is a little above the true one.
    let epsilon: Double
    /// √(K″(θ)/runs): how far one event's loss spreads around the answer.
    let spread: Double

    /// For a given δ. The best θ has θK′ − K + ln(θ+1) = ln(1/δ); the left side grows with θ.
    init(_ events: [(loss: GridLoss, count: Int)], step: Double, delta: Double) {
        self.init(
            Cumulants(events, step: step),
            { theta, value in
                theta * value.mean - value.log + log1p(theta) < -log(delta)
            },
            epsilon: { theta, value in
                (value.log - log(delta) - log1p(theta)) / theta - log1p(1 / theta)
            })
    }

    /// For a given ε. The best θ has K′ − ln(1 + 1/θ) = ε; the left side grows with θ.
    init(_ events: [(loss: GridLoss, count: Int)], step: Double, epsilon: Double) {
        self.init(
            Cumulants(events, step: step),
            { theta, value in
                value.mean - log1p(1 / theta) < epsilon
            }, epsilon: { _, _ in epsilon })
    }

    private typealias Value = (log: Double, mean: Double, variance: Double)

    private init(
        _ cumulants: Cumulants, _ isBelow: (Double, Value) -> Bool, epsilon: (Double, Value) -> Double
    ) {
        var low = -24.0
        var high = 40.0
        for _ in 0..<30 {
            let middle = (low + high) / 2
            let theta = exp2(middle)
            if isBelow(theta, cumulants.at(theta)) { low = middle } else { high = middle }
        }
        tilt = exp2(low)
        let value = cumulants.at(tilt)
        self.epsilon = max(0, epsilon(tilt, value))
        spread = (value.variance / cumulants.runs).squareRoot()
    }
}

private struct Cumulants {
    let runs: Double
    private let events: [(count: Double, points: [(loss: Double, logMass: Double)])]

    init(_ events: [(loss: GridLoss, count: Int)], step: Double) {
        runs = events.reduce(0) { $0 + Double($1.count) }
        self.events = events.map { event in
            let points = event.loss.masses.enumerated().filter { $0.element > 1e-300 }.map {
                (loss: Double(event.loss.first + $0.offset) * step, logMass: log($0.element))
            }
            return (Double(event.count), points)
        }
    }

    /// K, K′ and K″ at θ.
    func at(_ theta: Double) -> (log: Double, mean: Double, variance: Double) {
        var result = (log: 0.0, mean: 0.0, variance: 0.0)
        for event in events {
            var largest = -Double.infinity
            for point in event.points { largest = max(largest, point.logMass + theta * point.loss) }
            var sums = (0.0, 0.0, 0.0)
            for point in event.points {
                let weight = exp(point.logMass + theta * point.loss - largest)
                sums.0 += weight
                sums.1 += weight * point.loss
                sums.2 += weight * point.loss * point.loss
            }
            let mean = sums.1 / sums.0
            result.log += event.count * (largest + log(sums.0))
            result.mean += event.count * mean
            result.variance += event.count * max(0, sums.2 / sums.0 - mean * mean)
        }
        return result
    }
}
