import Glibc

/// Where the sum of a tally's losses decides δ, by the best moment bound
/// δ(ε) ≤ e^{K(θ) − θε}/(θ+1)·(1 + 1/θ)^{−θ} ([CKS20]), K(θ) = Σ n·ln E_P[e^{θL}] of coarse grid losses.
///
/// Only a guide: it sets grid and tilt, and a poor one loosens a bound without breaking it.
struct Saddlepoint {
    /// θ.
    let tilt: Double
    /// A tilt below θ at which that bound is e³ times as large. Composing under it multiplies the charge for
    /// arithmetic by no more, and gives far less weight to large losses that are too rare to decide anything.
    let lightTilt: Double
    /// The ε of that bound, which is a little above the true one.
    let epsilon: Double
    /// √(K″(θ)/runs): how far one event's loss spreads around the answer.
    let spread: Double
    private let runs: Double

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
        let reached = max(0, epsilon(tilt, value))
        self.epsilon = reached
        runs = cumulants.runs
        spread = (value.variance / cumulants.runs).squareRoot()
        lightTilt = Self.lightTilt(cumulants, below: tilt, bound: value.log - tilt * reached, reached)
    }

    private static func lightTilt(
        _ cumulants: Cumulants, below tilt: Double, bound: Double, _ epsilon: Double
    ) -> Double {
        // Far lighter, and what wraps around from below 0 would weigh more at the top of the window.
        var light = 0.75
        var heavy = 1.0
        for _ in 0..<4 {
            let middle = (light + heavy) / 2
            let theta = middle * tilt
            if cumulants.at(theta).log - theta * epsilon < bound + 3 {
                heavy = middle
            } else {
                light = middle
            }
        }
        return heavy * tilt
    }

    /// About the true ε: the bound without the factor θ√(2πK″) that the exact tail of a normal sum has over it.
    var estimate: Double {
        let excess = log(max(1, tilt * runs.squareRoot() * spread * 2.5))
        return max(epsilon / 2, epsilon - excess / max(tilt, 1e-3))
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
