import Glibc

/// Many events' grid losses added up, as bounds on the hockey-stick curve δ(ε) in one direction.
///
/// *Upper bound.* The masses are tilted by e^{θL} so that the part of the sum that decides δ has the
/// largest weight, transformed, raised to their counts, multiplied and transformed back. What the
/// result can lack is charged:
/// round-off of both transforms and of the power (per element, `LossSpectrum`), the tilted mass
/// outside the window (Chernoff), and every unbounded loss. Mass that wraps around into the window
/// only adds. The tilt makes the round-off relative to the Chernoff bound at the answer, so that it
/// holds also at δ far below 1e-16; a poor tilt loosens the bound but never breaks it.
///
/// *Lower bound.* Splitting a mass between grid points adds to its loss a random step η that keeps
/// both probabilities, E[e^{−η}] = 1, and lies in an interval of length h. Hence E[η] ≤ h²/8, and the
/// sum of T such steps exceeds s = Th²/8 + h√(T ln(1/β)/2) with probability at most β (Hoeffding).
/// Where it does not, the grid's loss is at most the true one plus s, so δ(ε) ≥ δ_grid(ε + s) − β.
package struct LossComposition {
    private let step: Double
    private let lowest: Int
    /// Σ over losses ≥ index of bounds on the masses, and of masses times e^{−L}; filled for losses
    /// from 0 on, which is where ε lies.
    private let upper: TailSums
    private let lower: TailSums
    private let infinite: Double
    private let logMoment: Double
    private let tilt: Double
    private let runs: Double
    /// Mass that the events' grids put in excess of their true losses, and by how much their
    /// arithmetic raised them.
    private let excess: Double
    private let raise: Double
    private let inflation: Double

    /// Chance, under the tilted measure, of a sum outside the window on either side.
    private let outside: Double
    static let outsideDefault = 1e-10

    /// Longest transform that is tried (about 250 MB).
    private static let sizeMax = 1 << 22

    private init(
        _ events: [(loss: GridLoss, count: Int)], lowest: Int, masses: [Double], error: Double,
        logMoment: Double, outside: Double, step: Double, tilt: Double
    ) {
        self.outside = outside
        self.step = step
        self.tilt = tilt
        self.lowest = lowest
        self.logMoment = logMoment
        runs = events.reduce(0) { $0 + Double($1.count) }
        infinite = events.reduce(0) { $0 + $1.loss.infinite * Double($1.count) }
        excess = events.reduce(0) { $0 + 4 * $1.loss.raisedFromBelow * Double($1.count) }
        raise = events.reduce(0) { $0 + $1.loss.raise * Double($1.count) }
        inflation = events.reduce(0) { $0 + $1.loss.inflation * Double($1.count) }
        var upper = TailSums(count: masses.count)
        var lower = upper
        for index in stride(from: masses.count - 1, through: max(0, -lowest), by: -1) {
            let loss = Double(lowest + index) * step
            let decay = exp(-loss)
            if logMoment == -.infinity {
                upper.prepend(masses[index], decay, at: index)
                lower.prepend(masses[index], decay, at: index)
            } else {
                // p(L) = e^{logMoment − θL}·f(L), and a probability is at most 1.
                let weight = exp(min(700, logMoment - tilt * loss))
                upper.prepend(min(1, weight * (max(0, masses[index]) + error)), decay, at: index)
                lower.prepend(min(1, weight * max(0, masses[index] - error)), decay, at: index)
            }
        }
        self.upper = upper
        self.lower = lower
    }

    /// One direction alone.
    ///
    /// - Parameter events: grid losses with the same step, and how often each ran.
    /// - Returns: nil when the sum's range has too many steps; try a larger one.
    package init?(_ events: [(loss: GridLoss, count: Int)], step: Double, tilt: Double) {
        guard let one = Self.compositions([events], step: step, tilt: tilt)?.first else { return nil }
        self = one
    }

    /// One or two directions of the same events; two share their transforms.
    package static func compositions(
        _ directions: [[(loss: GridLoss, count: Int)]], step: Double, tilt: Double,
        outside: Double = outsideDefault
    ) -> [LossComposition]? {
        let runs = directions[0].reduce(0) { $0 + $1.count }
        if runs == 1 {
            // One event needs no transform and lacks nothing.
            return directions.map { events in
                let only = events.first { $0.count == 1 }!.loss
                return LossComposition(
                    events, lowest: only.first, masses: only.masses, error: 0,
                    logMoment: -.infinity, outside: 0, step: step, tilt: tilt)
            }
        }
        let tilted = directions.map { events in
            events.map { TiltedLoss($0.loss, count: $0.count, tilt: tilt, step: step) }
        }
        let windows = tilted.map { window($0, step: step, outside: outside) }
        let longest = windows.map { $0.high - $0.low + 1 }.max()!
        guard longest <= sizeMax else { return nil }
        var size = 2
        while size < longest { size *= 2 }
        let spectrum = LossSpectrum(tilted, size: size)
        let sums = spectrum.sums(lowest: windows.map(\.low))
        return zip(directions, sums).enumerated().map { index, pair in
            LossComposition(
                pair.0, lowest: windows[index].low, masses: pair.1.masses, error: pair.1.error,
                logMoment: tilted[index].reduce(0) { $0 + $1.logMoment * Double($1.count) },
                outside: outside, step: step, tilt: tilt)
        }
    }

    /// Relative slack for sums of positive terms and for the logarithm of each event's moment, whose
    /// error counts once per run.
    private var slack: Double {
        Double(upper.count + 64) * Rounding.ulp + 1e-12 + runs * 1e-13 + inflation
    }

    /// δ at `epsilon`, never below the truth for the given losses.
    package func delta(epsilon: Double) -> Double {
        let sums = upper.from(grid(epsilon))
        let sum = sums.mass - exp(epsilon) * sums.weighted * (1 - 1e-14)
        return min(1, (max(0, sum) + uncounted(epsilon)) * (1 + slack))
    }

    /// δ at `epsilon`, never above the truth, provided that the events' losses are exact ones.
    package func deltaAtLeast(epsilon: Double) -> Double {
        let scale = max(delta(epsilon: epsilon), 1e-290)
        let beta = 1e-3 * scale
        return max(0, gridDeltaAtLeast(epsilon + shift(beta)) - beta)
    }

    /// An ε with δ(ε) ≥ `delta`, provided that the events' losses are exact ones; 0 when none is known.
    package func epsilonAtLeast(delta: Double) -> Double {
        let beta = 1e-3 * delta
        let target = delta + beta
        // The bound falls with ε except far from the answer, where the transform's error drowns it: come
        // from above.
        let high = max(Double(lowest + upper.count) * step, step)
        let start = (0..<512).lazy.map { high * (1 - Double($0) / 511) }
        guard let first = start.firstIndex(where: { gridDeltaAtLeast($0) > target }) else { return 0 }
        let reached = Solve.bracketOfDecreasing(low: start[first], high: start[max(0, first - 1)]) {
            gridDeltaAtLeast($0) - target
        }.above
        // Rates and multipliers were rounded up on the way here, by parts in 1e15.
        return max(0, (reached - shift(beta)) * (1 - 1e-9) - 1e-12)
    }

    /// How much of the bound on δ at `epsilon` only covers arithmetic: round-off, and what lies outside.
    package func charged(epsilon: Double) -> Double {
        max(0, delta(epsilon: epsilon) - max(0, gridDeltaAtLeast(epsilon)))
    }

    /// The `outside` that would cost δ = `delta` a millionth of itself at `epsilon`.
    package func outsideAllowed(epsilon: Double, delta: Double) -> Double {
        min(Self.outsideDefault, max(1e-40, 1e-6 * delta * exp(min(0, tilt * epsilon - logMoment))))
    }

    /// How far the grid may have raised a sum, except with probability `beta`.
    private func shift(_ beta: Double) -> Double {
        runs * step * step / 8 + step * (runs * -log(beta) / 2).squareRoot() + raise
    }

    private func gridDeltaAtLeast(_ epsilon: Double) -> Double {
        let sums = lower.from(grid(epsilon))
        // What wrapped into the window, and what the grids hold in excess, does not count.
        let wrapped = 2 * outside * exp(min(700, logMoment - tilt * epsilon))
        let sum = sums.mass * (1 - 3 * slack) - exp(epsilon) * sums.weighted * (1 + slack)
        return sum - wrapped - excess
    }

    private func grid(_ epsilon: Double) -> Int {
        let position = (max(0, epsilon) / step).rounded(.up) - Double(lowest)
        return Int(min(max(0, position), Double(upper.count)))
    }

    /// What lies outside the window: unbounded losses, and sums L > ε on either side, each weighing at
    /// most e^{logMoment − θε}. The last term covers what underflowed to 0.
    private func uncounted(_ epsilon: Double) -> Double {
        infinite + 2 * outside * exp(min(700, logMoment - tilt * epsilon)) + 1e-295
    }

    /// The least ε ≥ 0 with δ(ε) ≤ `delta`; nil when the unbounded losses alone exceed it.
    package func epsilon(delta: Double) -> Double? {
        guard infinite * (1 + slack) < delta else { return nil }
        if self.delta(epsilon: 0) <= delta { return 0 }
        // Beyond the window only `uncounted` is left, which falls with ε.
        var high = max(Double(lowest + upper.count + 1) * step, step)
        while self.delta(epsilon: high) > delta {
            high *= 2
            if high > 1e6 { return nil }
        }
        return Solve.bracketOfDecreasing(low: 0, high: high) { self.delta(epsilon: $0) - delta }
            .atOrBelow
    }

    /// Grid indices between which all but `outside` of the tilted sum lies on either side of what can
    /// count, by Chernoff's bound.
    private static func window(
        _ events: [TiltedLoss], step: Double, outside: Double
    ) -> (low: Int, high: Int) {
        let mean = events.reduce(0) { $0 + $1.mean * Double($1.count) }
        let variance = events.reduce(0) { $0 + $1.variance * Double($1.count) }
        let need = -log(outside)
        /// The best (K(±t) + need)/t over t, by halving and then narrowing: every t gives a bound.
        func reach(_ sign: Double) -> Double {
            func bound(_ t: Double) -> Double {
                (events.reduce(0) { $0 + $1.logMoment(sign * t) * Double($1.count) } + need) / t
            }
            // For a normal sum the best is √(2·need)/σ; heavier tails want a smaller one.
            var best = 2 * (2 * need).squareRoot() / max(variance.squareRoot(), step * 1e-3)
            var least = bound(best)
            for halving in 1..<14 {
                let next = bound(best / 2)
                if next > least, halving > 2 { break }
                (best, least) = (best / 2, min(least, next))
            }
            for factor in [1.414, 1.189, 1.091] {
                for t in [best * factor, best / factor] {
                    let next = bound(t)
                    if next < least { (best, least) = (t, next) }
                }
            }
            return least
        }
        let high = reach(1)
        let low = -reach(-1)
        let margin = 2 * step
        return (
            // Losses below 0 never count: they may wrap to the top, where they weigh nothing.
            max(-2, Int(((min(low, mean) - margin) / step).rounded(.down))),
            Int(((max(high, mean) + margin) / step).rounded(.up))
        )
    }
}

/// Sums from each grid point to the largest one.
private struct TailSums {
    private var mass: [Double]
    private var weighted: [Double]
    let count: Int

    init(count: Int) {
        self.count = count
        mass = [Double](repeating: 0, count: count + 1)
        weighted = mass
    }

    mutating func prepend(_ value: Double, _ decay: Double, at index: Int) {
        mass[index] = mass[index + 1] + value
        weighted[index] = weighted[index + 1] + value * decay
    }

    func from(_ index: Int) -> (mass: Double, weighted: Double) { (mass[index], weighted[index]) }
}
