import GMP
import Glibc

extension BaseLoss {
    /// The loss distribution of `kind` itself, where one is known; nil for noise on integer vectors and
    /// for noise too wide to list (`pointsMax`), which `UnitShiftCertificate` bounds closely anyway.
    ///
    /// For noise on one integer the largest shift is the worst: symmetric log-concave noise has
    /// monotone likelihood ratios, so threshold tests are optimal, and their power grows with the shift.
    init?(exactly kind: PrivacyEvent.Kind, tail: Double, above: Double) {
        switch kind {
        case .gaussian(let multiplier):
            let squared = Rounding.up(Rational(1) / (multiplier * multiplier))
            self = .gaussian(
                mu: Rounding.up(squared.squareRoot()), tail: tail, above: above, basis: .published)
        case .laplace(let multiplier):
            self = .laplace(pure: Rounding.up(Rational(1) / multiplier))
        case .discreteLaplace(let scale, let sensitivity):
            self = .discreteLaplace(rate: Rounding.up(Rational(1) / scale), shift: sensitivity)
        case .randomisedResponse(let noiseProbability, let buckets):
            self = .randomisedResponse(noiseProbability: noiseProbability, buckets: buckets)
        case .discreteGaussian(1, let sigmaSquared):
            // An integer vector of norm 1 moves one coordinate by one step.
            self.init(discreteGaussian: sigmaSquared, shift: 1, tail: tail)
        case .discreteGaussianSum(let squared, let sigmaSquared, honestShares: 1, dimension: 1):
            self.init(discreteGaussian: sigmaSquared, shift: Self.root(squared), tail: tail)
        case .skellamSum(let squared, let variance, let dimension) where dimension == 1 || squared == 1:
            self.init(skellam: variance, shift: Self.root(squared), tail: tail)
        case .discreteGaussian, .discreteGaussianSum, .skellamSum, .poissonSampled, .composed, .repeated,
            .unsupported:
            return nil
        }
    }

    /// Most points that are listed.
    static let pointsMax = 1 << 17

    /// The largest integer whose square is at most `squared`: shifts are integers.
    private static func root(_ squared: BigInteger) -> Int { squared.squareRoot.asInt ?? .max }

    /// N_Z(0, σ²) moved by `shift`: ℓ(x) = (2x·Δ − Δ²)/2σ².
    private init?(discreteGaussian sigmaSquared: Rational, shift: Int, tail: Double) {
        let variance = Rounding.down(sigmaSquared)
        // P[X ≥ m] ≤ P[N(0, σ²) ≥ m − 1] ([CKS20] proposition 25).
        let reach = NormalDistribution.upperQuantile(min(tail / 2, 0.1)) * variance.squareRoot() + 2
        guard reach < Double(Self.pointsMax) / 2, shift < Self.pointsMax / 2 else { return nil }
        let last = Int(reach.rounded(.up))
        let centre = UnitShiftCertificate.probabilityOfZero(sigmaSquared: variance)
        atoms = (-last...last + shift).map { x in
            let loss = Double(2 * x - shift) * Double(shift) / (2 * variance)
            return (loss, centre * exp(-Double(x) * Double(x) / (2 * variance)))
        }
        below = tail
        above = tail
    }

    /// Skellam noise moved by `shift`: ℓ(x) = ln I_{x−Δ}(v) − ln I_x(v).
    private init?(skellam variance: Rational, shift: Int, tail: Double) {
        let v = Rounding.down(variance)
        // Chernoff: P[S ≥ m] ≤ exp(−m·asinh(m/v) + √(m² + v²) − v), which falls in m.
        func logTail(_ m: Double) -> Double { -m * asinh(m / v) + m * m / ((m * m + v * v).squareRoot() + v) }
        let need = log(tail / 2)
        var reach = 1.0
        while logTail(reach) > need {
            reach *= 1.125
            guard reach < Double(Self.pointsMax) / 2 else { return nil }
        }
        guard shift <= Self.skellamShiftMax else { return nil }
        let last = Int(reach.rounded(.up)) + 1
        let logs = Skellam.logRatios(variance: v, count: last + shift)
        // Masses by multiplying ratios outward from 0, each good to a few units.
        var masses = [Skellam.probabilityOfZero(variance: v)]
        for x in 0..<last + shift { masses.append(masses[x] * exp(logs[x])) }
        atoms = (-last...last + shift).map { x in
            let (near, far) = (min(abs(x - shift), abs(x)), max(abs(x - shift), abs(x)))
            let ratio = logs[near..<far].reduce(0, +)
            return (abs(x - shift) < abs(x) ? -ratio : ratio, masses[abs(x)])
        }
        below = tail
        above = tail
        massUlps = 8 * Double(last + shift)
        lossUlps = 16 + 8 * Double(shift)
    }

    /// Largest shift whose ratios are added one by one.
    private static let skellamShiftMax = 256
}
