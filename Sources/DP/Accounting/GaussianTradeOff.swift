import Glibc

/// Exact conversions of μ-GDP, the privacy of one Gaussian whose mean moves by μ standard
/// deviations ([DRS22], [BW18]):
/// δ(ε) = Φ(−ε/μ + μ/2) − e^ε Φ(−ε/μ − μ/2).
///
/// Each answer is an interval around the exact value; its width is the arithmetic's own error.
public enum GaussianTradeOff {
    /// δ at `epsilon` ≥ 0 for `mu` > 0.
    public static func delta(mu: Double, epsilon: Double) -> (lower: Double, upper: Double) {
        let value = evaluate(mu: mu, epsilon: epsilon)
        return (
            max(0, value.delta - value.error - .leastNormalMagnitude),
            min(1, value.delta + value.error + .leastNormalMagnitude)
        )
    }

    /// ε ≥ 0 at `delta` in (0, 1) for `mu` > 0.
    public static func epsilon(mu: Double, delta: Double) -> (lower: Double, upper: Double) {
        precondition(mu > 0 && delta > 0 && delta < 1)
        if self.delta(mu: mu, epsilon: 0).upper <= delta { return (0, 0) }
        // ρ + 2√(ρ ln(1/δ)) with ρ = μ²/2 is always enough.
        var low = 0.0
        var high = Rounding.up(mu * mu / 2 + mu * (2 * -log(delta)).squareRoot(), ulps: 64)
        var epsilon = high / 2
        // Newton on ln δ, halving the bracket whenever a step would leave it.
        for _ in 0..<100 {
            let value = evaluate(mu: mu, epsilon: epsilon)
            if value.delta > delta { low = epsilon } else { high = epsilon }
            guard high - low > high * 4 * Rounding.ulp else { break }
            var next = (low + high) / 2
            if value.delta > 0, value.slope < 0 {
                let newton = epsilon - (log(value.delta) - log(delta)) * value.delta / value.slope
                if newton > low && newton < high { next = newton }
            }
            guard abs(next - epsilon) > epsilon * Rounding.ulp else { break }
            epsilon = next
        }
        // The arithmetic's error over the slope is how far the ends can be from the root.
        let found = evaluate(mu: mu, epsilon: epsilon)
        let width = found.slope < 0 ? 2 * found.error / -found.slope : 0
        let step = max(width, epsilon * 4 * Rounding.ulp, 1e-300)
        return (
            settle(from: epsilon, step: -step) { self.delta(mu: mu, epsilon: $0).lower >= delta },
            settle(from: epsilon, step: step) { self.delta(mu: mu, epsilon: $0).upper <= delta }
        )
    }

    /// The best true-positive rate of any test of one unit's presence at false-positive rate
    /// `falseAlarm`: Φ(Φ⁻¹(α) + μ).
    public static func testPower(mu: Double, falseAlarm: Double) -> Double {
        guard falseAlarm > 0 else { return 0 }
        guard falseAlarm < 1 else { return 1 }
        return NormalDistribution.cumulative(NormalDistribution.quantile(falseAlarm) + mu)
    }

    /// δ, a bound on its absolute arithmetic error, and dδ/dε.
    private static func evaluate(
        mu: Double, epsilon: Double
    ) -> (delta: Double, error: Double, slope: Double) {
        // With a = (ε/μ − μ/2)/√2 and b = (ε/μ + μ/2)/√2, b² − a² = ε, so e^ε erfc(b) is
        // e^{−a²} erfcx(b), which neither overflows nor cancels.
        let a = (epsilon / mu - mu / 2) * 0.5.squareRoot()
        let b = (epsilon / mu + mu / 2) * 0.5.squareRoot()
        let gauss = exp(-a * a)
        let summand = max(epsilon / mu, mu / 2)
        if mu <= Self.narrow, a >= -0.5 {
            // The two terms nearly cancel: their difference is the integral of −erfcx′ between them, all of
            // whose values are positive. 256 units cover the quadrature's values (`erfcxDescent`), 4s what
            // the rounding of a moves them.
            let delta = 0.5 * gauss * descent(from: a, width: mu * 0.5.squareRoot())
            let slope = -0.5 * gauss * (b < 0 ? exp(b * b) * erfc(b) : NormalDistribution.scaledErfc(b))
            return (delta, delta * (256 + 4 * (abs(a) + 1) * summand) * Rounding.ulp, slope)
        }
        let second = 0.5 * gauss * NormalDistribution.scaledErfc(b)
        // For a > 0 the common factor e^{−a²} stays outside the difference and cannot spoil it.
        let first = a > 0 ? 0.5 * gauss * NormalDistribution.scaledErfc(a) : 0.5 * erfc(a)
        let delta = max(0, first - second)
        // a and b are off by two units of their larger summand s. Through e^{−a²} that costs 4as
        // units of δ; through erfcx, whose slope is at most min(1.13, erfcx(x)/x), 2s/max(1, x) of
        // each term; erfc(a) for a ≤ 0 has slope below 1.13 ≤ 1.13·erfc(a). 14 for the functions.
        let termUlps = 14 + 2.5 * summand / max(1, abs(a))
        let commonUlps = 8 + 4 * abs(a) * summand
        let error =
            a > 0
            ? (first + second) * termUlps + delta * commonUlps
            : (first + second) * (14 + 3 * summand) + second * commonUlps
        return (delta, error * Rounding.ulp, -second)
    }

    /// The largest μ for which the difference of the two terms is integrated.
    private static let narrow = 0.7

    /// erfcx(a) − erfcx(a + width) for width ≤ 0.5, by Gauss–Legendre quadrature with 8 nodes, whose own
    /// error is below 1e-18 relative there.
    private static func descent(from a: Double, width: Double) -> Double {
        let half = width / 2
        var sum = 0.0
        for (node, weight) in [
            (0.1834346424956498, 0.362683783378362), (0.525532409916329, 0.31370664587788727),
            (0.7966664774136267, 0.22238103445337448), (0.9602898564975363, 0.10122853629037626),
        ] {
            let (left, right) = (a + half * (1 - node), a + half * (1 + node))
            sum += weight * (erfcxDescent(left) + erfcxDescent(right))
        }
        return sum * half
    }

    /// −erfcx′(x) = 2/√π − 2x·erfcx(x) for x ≥ −0.5, within about 250 units.
    private static func erfcxDescent(_ x: Double) -> Double {
        let twoOverRootPi = 1.1283791670955126
        if x < 3 {
            // At 3 the difference is a twentieth of its terms.
            return twoOverRootPi - 2 * x * (x < 0 ? exp(x * x) * erfc(x) : NormalDistribution.scaledErfc(x))
        }
        // √π·erfcx(x) = 1/(x + K) with Laplace's K = ½/(x + 1/(x + 3⁄2/(x + …))), so that nothing cancels.
        // What 32 terms leave is below 1e-20 from x = 3 on.
        var fraction = x
        for n in stride(from: 32.0, through: 2, by: -1) { fraction = x + 0.5 * n / fraction }
        let rest = 0.5 / fraction
        return twoOverRootPi * rest / (x + rest)
    }

    /// A point beyond `start` that satisfies `holds`, trying steps that double.
    private static func settle(
        from start: Double, step: Double, _ holds: (Double) -> Bool
    ) -> Double {
        var step = step
        var point = start + step
        while !holds(point) {
            if point <= 0 { return 0 }
            step *= 2
            point = start + step
        }
        return point
    }
}
