import GMP

/// A symmetric, log-concave law on the integers, known to any precision through exact enclosures.
///
/// Everything is computed in integers with outward rounding, so every machine gets the same bits.
public enum IntegerLaw: Sendable, Hashable {
    /// N_Z(0, σ²): P[x] ∝ e^−x²/2σ².
    case discreteGaussian(variance: Rational)
    /// The difference of two independent Poisson variables of mean v/2: P[x] = e^−v·I_|x|(v), variance v.
    /// Sums of independent Skellam variables are Skellam: variances add up ([AKL21]).
    case skellam(variance: Rational)

    /// The parameter: the variance of a Skellam variable, and just above that of a discrete Gaussian.
    public var variance: Rational {
        switch self {
        case .discreteGaussian(let variance), .skellam(let variance): variance
        }
    }

    /// Name and parameter, for digests and messages.
    public var description: String {
        switch self {
        case .discreteGaussian(let variance): "discrete-gaussian(\(variance))"
        case .skellam(let variance): "skellam(\(variance))"
        }
    }

    /// T_k = ⌊2^bits · P[|X| ≤ k]⌋ for k = 0, 1, …, up to and with the first that equals 2^bits − 1.
    ///
    /// Certain, not rounded: a value that the enclosures leave open is computed again with more places.
    /// - Precondition: the variance is positive.
    /// - Complexity: about 10·√(bits·variance) operations on integers of `bits` + 128 bits.
    package func cumulativeThresholds(bits: Int) -> [BigInteger] {
        precondition(variance.sign > 0, "noise needs a positive variance")
        var places = bits + 128
        // Tails are sub-Gaussian, or almost: for a small Skellam variance the second try is long enough.
        var reach = Int(16 + 1.2 * (Double(bits + 34) * variance.asDouble).squareRoot())
        while true {
            if let found = thresholds(bits: bits, places: places, reach: reach) { return found }
            reach += reach / 2
            places += 128
        }
    }

    /// The thresholds from |x| ≤ `reach` and intermediate values in units of 2^−places, or nil when these
    /// leave one of them open.
    private func thresholds(bits: Int, places: Int, reach: Int) -> [BigInteger]? {
        let one = BigInteger.powerOfTwo(places)
        let ratios = ratios(count: reach + 1, places: places)
        // P[X = k] relative to P[X = 0], and P[|X| ≤ k] relative to it.
        var weight = Enclosure(exactly: one)
        var cumulative = [weight]
        cumulative.reserveCapacity(reach + 1)
        for k in 0..<reach {
            weight = weight.multiplied(by: ratios[k], places: places)
            cumulative.append(cumulative[k] + weight + weight)
        }
        // By log-concavity the ratios fall, so what lies beyond is at most a geometric series.
        let last = ratios[reach].upper
        guard last < one else { return nil }
        let beyond = (weight.upper * last).shiftedLeft(1).ceilingDivided(by: one - last)
        guard beyond.shiftedLeft(bits + 32) <= cumulative[reach].lower else { return nil }
        let total = Enclosure(
            lower: cumulative[reach].lower, upper: cumulative[reach].upper + beyond)

        let end = BigInteger.powerOfTwo(bits) - 1
        var thresholds: [BigInteger] = []
        for sum in cumulative {
            let lower = sum.lower.shiftedLeft(bits).floorDivided(by: total.upper)
            let upper = sum.upper.shiftedLeft(bits).floorDivided(by: total.lower)
            // P[|X| ≤ k] < 1, whatever the upper enclosure says.
            guard lower == min(upper, end) else { return nil }
            thresholds.append(lower)
            if lower == end { return thresholds }
        }
        return nil
    }

    /// P[X = k + 1] / P[X = k] for k = 0 ..< count, in units of 2^−places.
    private func ratios(count: Int, places: Int) -> [Enclosure] {
        switch self {
        case .discreteGaussian(let variance):
            // e^−(2k+1)/2σ²: every ratio is the one before times e^−1/σ².
            let first = Enclosure.exponential(minus: Rational(1, 2) / variance, places: places)
            let step = first.multiplied(by: first, places: places)
            var ratios = [first]
            ratios.reserveCapacity(count)
            while ratios.count < count {
                ratios.append(ratios.last!.multiplied(by: step, places: places))
            }
            return ratios
        case .skellam(let variance):
            // I_{k−1}(v) = I_{k+1}(v) + (2k/v)·I_k(v) gives r_{k−1} = 1/(2k/v + r_k). Downwards each
            // step shrinks an enclosure by r_k·r_{k−1}, so the trivial 0 < r < 1 is enough to start from
            // half as far out again.
            let square = BigInteger.powerOfTwo(2 * places)
            let step = Rational(.powerOfTwo(places + 1)) / variance
            var ratio = Enclosure(lower: 0, upper: .powerOfTwo(places))
            var ratios: [Enclosure] = []
            ratios.reserveCapacity(count)
            for k in stride(from: count + count / 2 + 64, through: 1, by: -1) {
                let numerator = step.numerator * BigInteger(k)
                let lower = numerator.floorDivided(by: step.denominator)
                let upper = lower + 1
                ratio = Enclosure(
                    lower: square.floorDivided(by: upper + ratio.upper),
                    upper: square.ceilingDivided(by: lower + ratio.lower))
                if k <= count { ratios.append(ratio) }
            }
            return ratios.reversed()
        }
    }
}

/// A non-negative real between two integers, in units of 2^−places that the context names.
private struct Enclosure {
    let lower: BigInteger
    let upper: BigInteger

    init(lower: BigInteger, upper: BigInteger) {
        self.lower = lower
        self.upper = upper
    }

    init(exactly value: BigInteger) { self.init(lower: value, upper: value) }

    static func + (left: Enclosure, right: Enclosure) -> Enclosure {
        Enclosure(lower: left.lower + right.lower, upper: left.upper + right.upper)
    }

    func multiplied(by other: Enclosure, places: Int) -> Enclosure {
        Enclosure(
            lower: (lower * other.lower).shiftedRight(places),
            upper: (upper * other.upper).shiftedRight(places) + 1)
    }

    /// e^−γ for rational γ > 0: the alternating series of e^−γ/2^h, then h squarings.
    static func exponential(minus gamma: Rational, places: Int) -> Enclosure {
        var halvings = 0
        var small = gamma
        while small > Rational(1, 2) {
            small = small / 2
            halvings += 1
        }
        // Enough further places that squaring, which doubles an error, still ends below one unit.
        let working = places + halvings + 32
        let scaled = Rational(.powerOfTwo(working)) * small
        let gammaSteps = Enclosure(lower: scaled.floor, upper: scaled.floor + 1)
        var term = Enclosure(exactly: .powerOfTwo(working))
        var positive = term
        var negative = Enclosure(exactly: 0)
        var n = 1
        while term.upper > 1 {
            let product = term.multiplied(by: gammaSteps, places: working)
            term = Enclosure(
                lower: product.lower.floorDivided(by: BigInteger(n)),
                upper: product.upper.ceilingDivided(by: BigInteger(n)))
            if n.isMultiple(of: 2) { positive = positive + term } else { negative = negative + term }
            n += 1
        }
        // The rest of an alternating series with falling terms is below the last one.
        var value = Enclosure(
            lower: positive.lower - negative.upper - term.upper - 1,
            upper: positive.upper - negative.lower + term.upper + 1)
        for _ in 0..<halvings { value = value.multiplied(by: value, places: working) }
        let extra = working - places
        return Enclosure(
            lower: max(0, value.lower.shiftedRight(extra)), upper: value.upper.shiftedRight(extra) + 1)
    }
}
