/// The random decisions from which every sampler here is built, each exact.
///
/// A sampler that touches randomness only through these coins inherits their exactness: its output
/// law is a rational computation over them, with no floating point on the way. `WordCoins` serves
/// them from 64-bit random words; the tests serve them from an enumeration of all outcomes.
package protocol ExactCoins: ~Copyable {
    /// A fair coin.
    mutating func bit() -> Bool

    /// A uniform integer in `0 ..< bound`, `bound ≥ 1`.
    mutating func uniform(below bound: UInt64) -> UInt64

    /// True with probability exactly `numerator / denominator`, which must not exceed 1.
    mutating func bernoulli(_ numerator: UInt64, _ denominator: UInt64) -> Bool

    /// True with probability exactly `numerator / denominator`, which must not exceed 1.
    mutating func bernoulli(wide numerator: UInt128, _ denominator: UInt128) -> Bool

    /// True with probability exactly e^−1.
    mutating func bernoulliExpMinusOne() -> Bool

    /// True with probability exactly e^−γ for γ = numerator / denominator in 0 … 1.
    mutating func bernoulliExp(minus numerator: UInt64, over denominator: UInt64) -> Bool

    /// True with probability exactly e^−γ for any γ = numerator / denominator ≥ 0.
    mutating func bernoulliExp(wideMinus numerator: UInt128, over denominator: UInt128) -> Bool
}

// The exponential coins follow from the others. They are requirements all the same, so that a
// test can prove them first and then take them as given when it proves the samplers.
extension ExactCoins where Self: ~Copyable {
    /// [CKS20] Algorithm 1 at γ = 1.
    @inline(__always)
    package mutating func bernoulliExpMinusOne() -> Bool {
        // The coin for k = 1 is certain.
        var k: UInt64 = 2
        while bernoulli(1, k) { k += 1 }
        return k & 1 == 1
    }

    /// [CKS20] Algorithm 1: k grows while Bernoulli(γ/k) succeeds, so that
    /// P[k > n] = γⁿ/n!, and an odd k has probability Σ (−γ)ⁿ/n!.
    @inline(__always)
    package mutating func bernoulliExp(minus numerator: UInt64, over denominator: UInt64) -> Bool {
        var k: UInt64 = 1
        while bernoulli(numerator, denominator * k) { k += 1 }
        return k & 1 == 1
    }

    /// e^−γ is the product of ⌊γ⌋ factors e^−1 and one for the rest; the expected number of factors
    /// tried is below e/(e − 1), whatever γ.
    @inline(__always)
    package mutating func bernoulliExp(wideMinus numerator: UInt128, over denominator: UInt128) -> Bool {
        var rest = numerator
        while rest >= denominator {
            if !bernoulliExpMinusOne() { return false }
            rest -= denominator
        }
        var k: UInt128 = 1
        while bernoulli(wide: rest, denominator * k) { k += 1 }
        return k & 1 == 1
    }
}
