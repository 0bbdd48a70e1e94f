import Sodium

/// Exact samples of the discrete Laplace distribution of rational scale b = t/s.
///
/// P[x] = tanh(1/2b) · e^−|x|/b. [CKS20] Algorithm 2.
/// Claim: given uniform random words, the output law is exactly this one; no float is involved.
/// Precondition: 1 ≤ t, s ≤ 2^32.
public struct DiscreteLaplaceSampler: Sendable, Hashable {
    /// The numerator t of the scale.
    public let scaleNumerator: UInt64
    /// The denominator s of the scale.
    public let scaleDenominator: UInt64

    public init(scaleNumerator: UInt64, scaleDenominator: UInt64 = 1) {
        precondition((1...1 << 32).contains(scaleNumerator) && (1...1 << 32).contains(scaleDenominator))
        self.scaleNumerator = scaleNumerator
        self.scaleDenominator = scaleDenominator
    }

    /// `count` independent samples.
    public func samples(_ count: Int, using random: StreamRandom) -> [Int] {
        var coins = WordCoins(random)
        return (0..<count).map { _ in sample(&coins) }
    }

    @inline(__always)
    package func sample<Coins: ExactCoins & ~Copyable>(_ coins: inout Coins) -> Int {
        while true {
            let (magnitude, negative) = Self.candidate(scale: scaleNumerator, &coins)
            let result = Int(magnitude / scaleDenominator)
            // Zero has two signs and must not count twice.
            if negative && result == 0 { continue }
            return negative ? -result : result
        }
    }

    /// U + tV and a sign: |·| is geometric with ratio e^−1/t, and −0 is still among the outcomes.
    @inline(__always)
    static func candidate<Coins: ExactCoins & ~Copyable>(
        scale: UInt64, _ coins: inout Coins
    ) -> (magnitude: UInt64, negative: Bool) {
        var remainder: UInt64
        repeat {
            remainder = coins.uniform(below: scale)
        } while !coins.bernoulliExp(minus: remainder, over: scale)
        var wholes: UInt64 = 0
        while coins.bernoulliExpMinusOne() { wholes += 1 }
        // More than 2^19 successes in a row have probability below 2^−750,000; the bound keeps all
        // later products inside 128 bits.
        precondition(wholes < 1 << 19, "the random source is broken")
        return (remainder + scale * wholes, coins.bit())
    }
}
