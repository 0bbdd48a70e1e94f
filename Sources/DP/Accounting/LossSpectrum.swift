import Glibc

/// The Fourier transform of a sum of tilted losses, in one or two directions at once, with a bound on
/// what its round-off can cost each mass of the sum.
///
/// Masses are real, so two directions ride through one complex transform as its real and imaginary
/// parts, and come back the same way.
struct LossSpectrum {
    private let size: Int
    private let transform: FourierTransform
    /// Per direction, the index of the least sum: Σ first·count.
    private let offsets: [Int]
    private let real: [Double]
    private let imaginary: [Double]
    /// Bound on each mass's error, one per direction.
    private let errors: [Double]

    /// - Parameter directions: the same events, tilted, in one or two directions.
    init(_ directions: [[TiltedLoss]], size: Int) {
        precondition((1...2).contains(directions.count))
        self.size = size
        let transform = FourierTransform(size: size)
        self.transform = transform
        var powers = directions.map { _ in Power(half: size / 2) }
        for event in directions[0].indices {
            let (real, imaginary) = Self.transformed(directions.map { $0[event] }, transform)
            // Tilting and normalising cost a few units of each mass, of which there is 1 in all; the
            // two directions share one transform and thereby each other's error.
            let error = Double(directions.count) * transform.errorBound + 64 * Rounding.ulp
            for (index, direction) in directions.enumerated() {
                powers[index].multiply(
                    real, imaginary, part: directions.count == 1 ? nil : index,
                    count: Double(direction[event].count), error: error)
            }
        }
        offsets = directions.map { $0.reduce(0) { $0 + $1.first * $1.count } }
        var real = [Double](repeating: 0, count: size)
        var imaginary = real
        let totals = powers.enumerated().map { index, power in
            power.add(to: &real, &imaginary, asImaginary: index == 1)
        }
        let absolute = totals.reduce(0) { $0 + $1.absolute }
        errors = totals.map {
            ($0.lost + absolute * transform.errorBound) / Double(size) * (1 + 1e-9)
        }
        self.real = real
        self.imaginary = imaginary
    }

    /// The masses of each direction's sum at lowest ..< lowest + size, and their error.
    func sums(lowest: [Int]) -> [(masses: [Double], error: Double)] {
        var first = real
        var second = imaginary
        // The spectrum lies here with its frequencies reversed, which makes this the inverse transform.
        transform.forward(&first, &second)
        let parts = [first, second]
        return offsets.indices.map { index in
            let scale = 1 / Double(size)
            let shift = ((lowest[index] - offsets[index]) % size + size) % size
            var masses = [Double](repeating: 0, count: size)
            parts[index].withUnsafeBufferPointer { part in
                for k in 0..<size { masses[k] = part[(k + shift) & (size - 1)] * scale }
            }
            return (masses, errors[index])
        }
    }

    private static func transformed(
        _ events: [TiltedLoss], _ transform: FourierTransform
    ) -> ([Double], [Double]) {
        func folded(_ event: TiltedLoss?) -> [Double] {
            var folded = [Double](repeating: 0, count: transform.size)
            for (index, mass) in (event?.masses ?? []).enumerated() {
                folded[index & (transform.size - 1)] += mass
            }
            return folded
        }
        var real = folded(events[0])
        var imaginary = folded(events.count > 1 ? events[1] : nil)
        transform.forward(&real, &imaginary)
        return (real, imaginary)
    }
}

/// One direction's product of powers, as magnitude and phase at frequencies 0...half.
private struct Power {
    private let half: Int
    private var logMagnitude: [Double]
    private var phase: [Double]
    /// Σ 2n·e/(|F|+e), e the transform's error: (|F|+e)^n differs from the true power by no more,
    /// once for the error itself and once for adding e to the magnitude.
    private var relative: [Double]
    private var runs = 0.0

    init(half: Int) {
        self.half = half
        logMagnitude = [Double](repeating: 0, count: half + 1)
        phase = logMagnitude
        relative = logMagnitude
    }

    /// - Parameter part: which part of a transform of two real sequences this direction was; nil
    ///   when it was the only one.
    mutating func multiply(
        _ real: [Double], _ imaginary: [Double], part: Int?, count: Double, error: Double
    ) {
        let size = real.count
        for k in 0...half {
            var x = real[k]
            var y = imaginary[k]
            if let part {
                let mirror = (size - k) & (size - 1)
                // X_k = (F_k + conj F_−k)/2, Y_k = (F_k − conj F_−k)/2i.
                (x, y) =
                    part == 0
                    ? ((x + real[mirror]) / 2, (y - imaginary[mirror]) / 2)
                    : ((y + imaginary[mirror]) / 2, (real[mirror] - x) / 2)
            }
            let magnitude = (x * x + y * y).squareRoot()
            logMagnitude[k] += count * log(magnitude + error)
            phase[k] += count * atan2(y, x)
            relative[k] += 2 * count * error / (magnitude + error)
        }
        runs += count
    }

    /// Adds this spectrum with its frequencies reversed, or i times that.
    func add(
        to real: inout [Double], _ imaginary: inout [Double], asImaginary: Bool
    ) -> (absolute: Double, lost: Double) {
        let size = real.count
        var absolute = 0.0
        var lost = 0.0
        for k in 0...half {
            let magnitude = exp(logMagnitude[k])
            let weight = k == 0 || k == half ? 1.0 : 2.0
            // The power's own rounding: phase and logarithm times the count.
            let power = (8 * runs * (1 + abs(logMagnitude[k]) / max(runs, 1)) + 32) * Rounding.ulp
            lost += weight * magnitude * min(2, relative[k] + power)
            // Too small to move any mass: charged whole instead.
            guard magnitude > 1e-40 else {
                lost += weight * magnitude
                continue
            }
            absolute += weight * magnitude
            let x = magnitude * cos(phase[k])
            let y = -magnitude * sin(phase[k])
            // conj(P_k) at k and P_k at −k, times i for the second direction.
            if asImaginary {
                real[k] -= y
                imaginary[k] += x
                if k > 0 && k < half {
                    real[size - k] += y
                    imaginary[size - k] += x
                }
            } else {
                real[k] += x
                imaginary[k] += y
                if k > 0 && k < half {
                    real[size - k] += x
                    imaginary[size - k] -= y
                }
            }
        }
        return (absolute, lost)
    }
}

/// One event's grid loss under the tilted measure f(L) = p(L)e^{θL}/M.
struct TiltedLoss {
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
