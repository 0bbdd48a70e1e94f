import GMP
import Sodium

/// Exact samples of the discrete Gaussian N_Z(0, σ²) with rational σ².
///
/// P[x] ∝ e^−x²/2σ² over the integers. [CKS20] Algorithm 3: a discrete Laplace candidate of scale
/// t = ⌊σ⌋ + 1 is accepted with probability exp(−(|Y| − σ²/t)²/2σ²).
///
/// Claim: given uniform random words, the output law is exactly this one; adding one sample to each
/// coordinate of an integer vector of L2 sensitivity Δ is Δ²/(2σ²)-zCDP ([CKS20] Theorem 4).
/// Cost: about constant in σ. Integer σ² up to 2^44 (and fractions of two 16-bit integers) take the
/// 128-bit path; anything else takes GMP, hundreds of times slower, with identical decisions.
public struct DiscreteGaussianSampler: Sendable, Hashable {
    /// σ², in squared integer steps. The true variance is slightly below it.
    public let variance: Rational

    private let path: Path

    private enum Path: Sendable, Hashable {
        case words(WordPath)
        case reference
    }

    /// - Precondition: `variance` > 0.
    public init(variance: Rational) {
        precondition(variance.sign > 0, "noise needs a positive variance")
        self.variance = variance
        path = WordPath(variance: variance).map(Path.words) ?? .reference
    }

    /// Whether samples take the 128-bit path.
    package var isFast: Bool { if case .words = path { true } else { false } }

    /// Overwrites `output` with independent samples, reduced modulo 2^32.
    ///
    /// The reduction touches only samples beyond 2^31, which the modulus of the aggregation would
    /// fold in any case; folding is post-processing and costs no privacy.
    public func fill(_ output: UnsafeMutableBufferPointer<Int32>, using random: StreamRandom) {
        var coins = WordCoins(random)
        switch path {
        case .words(let sampler):
            for index in output.indices {
                output[index] = Int32(truncatingIfNeeded: sampler.sample(&coins))
            }
        case .reference:
            let reference = ReferenceSampler()
            let modulus = BigInteger.powerOfTwo(32)
            for index in output.indices {
                let sample = reference.discreteGaussian(variance: variance, &coins)
                output[index] = Int32(
                    truncatingIfNeeded: sample.modulo(modulus).asUInt64!)
            }
        }
    }

    /// `count` independent samples, reduced modulo 2^32.
    public func samples(_ count: Int, using random: StreamRandom) -> [Int32] {
        [Int32](unsafeUninitializedCapacity: count) { buffer, initialised in
            fill(UnsafeMutableBufferPointer(rebasing: buffer[..<count]), using: random)
            initialised = count
        }
    }

    /// One sample from any coins, on the 128-bit path only.
    package func sample<Coins: ExactCoins & ~Copyable>(_ coins: inout Coins) -> Int {
        guard case .words(let sampler) = path else {
            preconditionFailure("σ² = \(variance) has no 128-bit path")
        }
        return sampler.sample(&coins)
    }
}

/// The sampler for σ² = a/b where every intermediate fits 128 bits.
///
/// With a ≤ 2^44 and b = 1: t ≤ 2^22 + 1, |Y| < 2^19 · t, so |Y|·t < 2^63 and the numerator's square
/// is below 2^126; the denominator 2σ²t² is below 2^90, which leaves room for its multiples by k.
/// With a, b ≤ 2^16 the same holds with |Y|·t·b < 2^51.
private struct WordPath: Sendable, Hashable {
    let a: UInt64
    let b: UInt64
    /// The Laplace scale t.
    let t: UInt64
    /// 2abt²
    let denominator: UInt128

    init?(variance: Rational) {
        guard let a = variance.numerator.asUInt64, let b = variance.denominator.asUInt64,
            b == 1 ? a <= 1 << 44 : a <= 1 << 16 && b <= 1 << 16
        else { return nil }
        self.a = a
        self.b = b
        t = BigInteger(a / b).squareRoot.asUInt64! + 1
        denominator = 2 * UInt128(a) * UInt128(b) * UInt128(t) * UInt128(t)
    }

    @inline(__always)
    func sample<Coins: ExactCoins & ~Copyable>(_ coins: inout Coins) -> Int {
        while true {
            let (magnitude, negative) = DiscreteLaplaceSampler.candidate(scale: t, &coins)
            if negative && magnitude == 0 { continue }
            // (|Y| − σ²/t)²/2σ² = (|Y|tb − a)²/2abt²
            let scaled = magnitude * t * b
            let distance = scaled > a ? scaled - a : a - scaled
            let square = UInt128(distance) &* UInt128(distance)
            if coins.bernoulliExp(wideMinus: square, over: denominator) {
                return negative ? -Int(magnitude) : Int(magnitude)
            }
        }
    }
}
