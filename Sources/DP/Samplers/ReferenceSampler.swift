import GMP

/// The samplers of [CKS20] written plainly over big integers: the yardstick of the 128-bit path
/// and the path for parameters that do not fit it.
///
/// On the same tape of random words it makes the same decisions and consumes the same words as
/// `DiscreteGaussianSampler` and `DiscreteLaplaceSampler`; the tests hold both to that.
package struct ReferenceSampler {
    package init() {}

    /// True with probability numerator / denominator: digits in base 2^64 against random words.
    package func bernoulli(
        _ numerator: BigInteger, _ denominator: BigInteger, _ coins: inout WordCoins
    ) -> Bool {
        precondition(numerator.sign >= 0 && numerator <= denominator, "a probability is at most 1")
        if numerator == denominator { return true }
        var rest = numerator
        while !rest.isZero {
            let scaled = rest.shiftedLeft(64)
            let digit = scaled.floorDivided(by: denominator)
            let word = BigInteger(coins.word())
            if word != digit { return word < digit }
            rest = scaled.modulo(denominator)
        }
        return false
    }

    /// Uniform in 0 ..< bound: the high part of bound times as many words as bound − 1 has.
    package func uniform(below bound: BigInteger, _ coins: inout WordCoins) -> BigInteger {
        let words = max(1, ((bound - 1).bitWidth + 63) / 64)
        let range = BigInteger.powerOfTwo(64 * words)
        let refused = range.modulo(bound)
        while true {
            var drawn: BigInteger = 0
            for _ in 0..<words { drawn = drawn.shiftedLeft(64) + BigInteger(coins.word()) }
            let product = drawn * bound
            if product.modulo(range) >= refused { return product.shiftedRight(64 * words) }
        }
    }

    /// True with probability e^−γ, γ = numerator / denominator ≥ 0.
    package func bernoulliExp(
        minus numerator: BigInteger, over denominator: BigInteger, _ coins: inout WordCoins
    ) -> Bool {
        var rest = numerator
        while rest >= denominator {
            if !bernoulliExpAtMostOne(minus: 1, over: 1, &coins) { return false }
            rest = rest - denominator
        }
        return bernoulliExpAtMostOne(minus: rest, over: denominator, &coins)
    }

    private func bernoulliExpAtMostOne(
        minus numerator: BigInteger, over denominator: BigInteger, _ coins: inout WordCoins
    ) -> Bool {
        var k = 1
        while bernoulli(numerator, denominator * BigInteger(k), &coins) { k += 1 }
        return k % 2 == 1
    }

    /// Discrete Laplace of scale t/s ([CKS20] Algorithm 2).
    package func discreteLaplace(
        scaleNumerator t: BigInteger, scaleDenominator s: BigInteger = 1, _ coins: inout WordCoins
    ) -> BigInteger {
        while true {
            var remainder: BigInteger
            repeat {
                remainder = uniform(below: t, &coins)
            } while !bernoulliExpAtMostOne(minus: remainder, over: t, &coins)
            var wholes = 0
            while bernoulliExpAtMostOne(minus: 1, over: 1, &coins) { wholes += 1 }
            let magnitude = (remainder + t * BigInteger(wholes)).floorDivided(by: s)
            let negative = coins.bit()
            if negative && magnitude.isZero { continue }
            return negative ? -magnitude : magnitude
        }
    }

    /// Discrete Gaussian N_Z(0, σ²) ([CKS20] Algorithm 3).
    package func discreteGaussian(variance: Rational, _ coins: inout WordCoins) -> BigInteger {
        let t = variance.floor.squareRoot + 1
        while true {
            let candidate = discreteLaplace(scaleNumerator: t, &coins)
            let distance = Rational(candidate.magnitude) - variance / Rational(t)
            let exponent = distance * distance / (Rational(2) * variance)
            // The 128-bit path keeps this fraction unreduced; a coin's decision depends on its value only.
            if bernoulliExp(minus: exponent.numerator, over: exponent.denominator, &coins) {
                return candidate
            }
        }
    }
}
