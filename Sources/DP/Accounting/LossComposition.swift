import Glibc

/// Many events' grid losses added up, as an upper bound on the hockey-stick curve δ(ε) in one
/// direction.
///
/// Method. The masses are tilted by e^{θL} so that the part of the sum that decides δ has the
/// largest weight, transformed, raised to their counts, multiplied and transformed back. What the
/// result can lack is charged:
/// round-off of both transforms and of the power (per element, `FourierTransform.errorBound`), the
/// tilted mass outside the window (Chernoff), and every unbounded loss. Mass that wraps around into
/// the window only adds. The tilt makes the round-off relative to the Chernoff bound at the answer,
/// so that it holds also at δ far below 1e-16; a poor tilt loosens the bound but never breaks it.
package struct LossComposition {
    private let step: Double
    private let lowest: Int
    /// Σ over losses ≥ index of upper bounds on the masses, and of masses times e^{−L}; filled for
    /// losses from 0 on, which is where ε lies.
    private let above: [Double]
    private let aboveWeighted: [Double]
    private let infinite: Double
    private let logMoment: Double
    private let tilt: Double
    private let runs: Double

    /// Chance, under the tilted measure, of a sum outside the window on either side.
    private static let outside = 1e-22

    /// Longest transform that is tried (about 200 MB).
    private static let sizeMax = 1 << 22

    /// - Parameter events: grid losses with the same step, and how often each ran.
    /// - Returns: nil when the sum's range has too many steps; try a larger one.
    package init?(_ events: [(loss: GridLoss, count: Int)], step: Double, tilt: Double) {
        self.step = step
        self.tilt = tilt
        runs = events.reduce(0) { $0 + Double($1.count) }
        infinite = events.reduce(0) { $0 + $1.loss.infinite * Double($1.count) }
        let masses: [Double]
        if runs == 1, let only = events.first(where: { $0.count == 1 })?.loss {
            // One event needs no transform and lacks nothing.
            lowest = only.first
            logMoment = -.infinity
            masses = only.masses
        } else {
            let tilted = events.map { Tilted($0.loss, count: $0.count, tilt: tilt, step: step) }
            let logMoment = tilted.reduce(0) { $0 + $1.logMoment * Double($1.count) }
            let (low, high) = Self.window(tilted, step: step, outside: Self.outside)
            guard high - low < Self.sizeMax else { return nil }
            var size = 2
            while size < high - low + 1 { size *= 2 }
            let (composed, error) = Self.compose(tilted, lowest: low, size: size)
            // p(L) = e^{logMoment − θL}·f(L), and a probability is at most 1.
            masses = composed.enumerated().map { index, mass in
                let loss = Double(low + index) * step
                return min(1, exp(min(700, logMoment - tilt * loss)) * (max(0, mass) + error))
            }
            lowest = low
            self.logMoment = logMoment
        }
        var above = [Double](repeating: 0, count: masses.count + 1)
        var weighted = above
        for index in stride(from: masses.count - 1, through: max(0, -lowest), by: -1) {
            above[index] = above[index + 1] + masses[index]
            weighted[index] = weighted[index + 1] + masses[index] * exp(-Double(lowest + index) * step)
        }
        self.above = above
        aboveWeighted = weighted
    }

    /// Relative slack for sums of `above.count` positive terms and for the logarithm of each event's
    /// moment, whose error counts once per run.
    private var slack: Double { Double(above.count + 64) * Rounding.ulp + 1e-12 + runs * 1e-13 }

    /// δ at `epsilon`, never below the truth for the given losses.
    package func delta(epsilon: Double) -> Double {
        // Σ_{L ≥ ε} p(L)(1 − e^{ε−L}).
        let position = (max(0, epsilon) / step).rounded(.up) - Double(lowest)
        let index = Int(min(max(0, position), Double(above.count - 1)))
        let sum = above[index] - exp(epsilon) * aboveWeighted[index] * (1 - 1e-14)
        return min(1, (max(0, sum) + uncounted(epsilon)) * (1 + slack))
    }

    /// What lies outside the window: unbounded losses, and sums L > ε on either side, each weighing at
    /// most e^{logMoment − θε}. The last term covers what underflowed to 0.
    private func uncounted(_ epsilon: Double) -> Double {
        infinite + 2 * Self.outside * exp(min(700, logMoment - tilt * epsilon)) + 1e-295
    }

    /// The least ε ≥ 0 with δ(ε) ≤ `delta`; nil when the unbounded losses alone exceed it.
    package func epsilon(delta: Double) -> Double? {
        guard infinite * (1 + slack) < delta else { return nil }
        if self.delta(epsilon: 0) <= delta { return 0 }
        // Beyond the window only `uncounted` is left, which falls with ε.
        var high = max(Double(lowest + above.count) * step, step)
        while self.delta(epsilon: high) > delta {
            high *= 2
            if high > 1e6 { return nil }
        }
        return Solve.bracketOfDecreasing(low: 0, high: high) { self.delta(epsilon: $0) - delta }
            .atOrBelow
    }

    /// Grid indices between which all but `outside` of the tilted sum lies, by Chernoff's bound.
    private static func window(
        _ events: [Tilted], step: Double, outside: Double
    ) -> (low: Int, high: Int) {
        let mean = events.reduce(0) { $0 + $1.mean * Double($1.count) }
        let variance = events.reduce(0) { $0 + $1.variance * Double($1.count) }
        let need = -log(outside)
        // For a normal sum the best exponent is √(2·need)/σ; heavier tails want a smaller one.
        let start = (2 * need).squareRoot() / max(variance.squareRoot(), step * 1e-3)
        var high = Double.infinity
        var low = -Double.infinity
        for halving in 0..<14 {
            let exponent = start * exp2(1 - Double(halving))
            var up = 0.0
            var down = 0.0
            for event in events {
                up += event.logMoment(exponent) * Double(event.count)
                down += event.logMoment(-exponent) * Double(event.count)
            }
            // An exponent that both sides find worse than the last ends the search.
            let upper = (up + need) / exponent
            let lower = -(down + need) / exponent
            if halving > 3, upper > high, lower < low { break }
            high = min(high, upper)
            low = max(low, lower)
        }
        let margin = 2 * step
        return (
            Int(((min(low, mean) - margin) / step).rounded(.down)),
            Int(((max(high, mean) + margin) / step).rounded(.up))
        )
    }

    /// Masses of the tilted sum at lowest ..< lowest + size, and a bound on each one's error.
    private static func compose(
        _ events: [Tilted], lowest: Int, size: Int
    ) -> (masses: [Double], error: Double) {
        let transform = FourierTransform(size: size)
        let half = size / 2
        var logMagnitude = [Double](repeating: 0, count: half + 1)
        var phase = [Double](repeating: 0, count: half + 1)
        // Σ 2n·e/(|F|+e), e the transform's error: (|F|+e)^n differs from the true power by no more,
        // once for the error itself and once for adding e to the magnitude.
        var relative = [Double](repeating: 0, count: half + 1)
        var runs = 0.0
        var offset = 0
        for event in events {
            var real = [Double](repeating: 0, count: size)
            var imaginary = [Double](repeating: 0, count: size)
            for (index, mass) in event.masses.enumerated() { real[index & (size - 1)] += mass }
            transform.forward(&real, &imaginary)
            // Tilting and normalising cost a few units of each mass, of which there is 1 in all.
            let error = transform.errorBound + 64 * Rounding.ulp
            let count = Double(event.count)
            for k in 0...half {
                let magnitude = (real[k] * real[k] + imaginary[k] * imaginary[k]).squareRoot()
                logMagnitude[k] += count * log(magnitude + error)
                phase[k] += count * atan2(imaginary[k], real[k])
                relative[k] += 2 * count * error / (magnitude + error)
            }
            runs += count
            offset += event.first * event.count
        }
        var real = [Double](repeating: 0, count: size)
        var imaginary = [Double](repeating: 0, count: size)
        var absolute = 0.0
        var lost = 0.0
        for k in 0...half {
            let magnitude = exp(logMagnitude[k])
            real[k] = magnitude * cos(phase[k])
            // The conjugate turns the forward transform into the inverse one.
            imaginary[k] = -magnitude * sin(phase[k])
            let weight = k == 0 || k == half ? 1.0 : 2.0
            absolute += weight * magnitude
            // The power's own rounding: phase and logarithm times the count.
            let power = (8 * runs * (1 + abs(logMagnitude[k]) / max(runs, 1)) + 32) * Rounding.ulp
            lost += weight * magnitude * min(2, relative[k] + power)
            if k > 0 && k < half {
                real[size - k] = real[k]
                imaginary[size - k] = -imaginary[k]
            }
        }
        transform.forward(&real, &imaginary)
        let scale = 1 / Double(size)
        let shift = ((lowest - offset) % size + size) % size
        var masses = [Double](repeating: 0, count: size)
        for index in 0..<size { masses[index] = real[(index + shift) & (size - 1)] * scale }
        return (masses, (lost + absolute * transform.errorBound) * scale * (1 + 1e-9))
    }
}

/// One event's grid loss under the tilted measure f(L) = p(L)e^{θL}/M.
private struct Tilted {
    let first: Int
    let count: Int
    let masses: [Double]
    /// ln M, M = Σ p e^{θL}.
    let logMoment: Double
    let mean: Double
    let variance: Double
    private let step: Double

    init(_ loss: GridLoss, count: Int, tilt: Double, step: Double) {
        // Relative to the largest exponent, so that nothing overflows.
        var logs = [Double](repeating: -.infinity, count: loss.masses.count)
        var largest = -Double.infinity
        for (index, mass) in loss.masses.enumerated() where mass > 0 {
            logs[index] = log(mass) + tilt * Double(loss.first + index) * step
            largest = max(largest, logs[index])
        }
        var masses = logs.map { exp($0 - largest) }
        let total = compensatedSum(masses)
        var mean = 0.0
        var square = 0.0
        for index in masses.indices {
            masses[index] /= total
            let value = Double(loss.first + index) * step
            mean += masses[index] * value
            square += masses[index] * value * value
        }
        first = loss.first
        self.count = count
        self.masses = masses
        logMoment = largest + log(total)
        self.mean = mean
        variance = max(0, square - mean * mean)
        self.step = step
    }

    /// ln E[e^{tL}] under the tilted measure.
    func logMoment(_ t: Double) -> Double {
        // Anchored at the end that dominates.
        let anchor = t > 0 ? masses.count - 1 : 0
        var sum = 0.0
        let edge = Double(first + anchor) * step
        for (index, mass) in masses.enumerated() where mass > 0 {
            sum += mass * exp(t * step * Double(index - anchor))
        }
        guard sum > 0 else {
            // Everything underflows against the anchor: fall back on the pure loss.
            return t * edge
        }
        return t * edge + log(sum)
    }
}

/// Σ values with the rounding errors carried along (Neumaier), for non-negative values.
private func compensatedSum(_ values: [Double]) -> Double {
    var sum = 0.0
    var carry = 0.0
    for value in values {
        let next = sum + value
        carry += sum >= value ? (sum - next) + value : (value - next) + sum
        sum = next
    }
    return sum + carry
}
