import DP
import Foundation
import GMP
import Sodium
import Testing

/// The samplers' laws, proved from the coins upwards without any statistics.
@Suite("Samplers are exact")
struct SamplerExactnessTests {
    @Test("A word coin decides at its probability's exact 64-bit boundary and reads on only there")
    func wordCoinBoundaries() {
        // The decision is monotone in the word, so the words next to the boundary stand for all 2^64.
        var random = StreamRandom(seed: 11, label: "word-coins")
        for trial in 0..<4000 {
            let wideBits = trial % 2 == 0 ? 64 : 124
            let width = 2 + Int(random.uniform(below: UInt64(wideBits - 2)))
            let raw = UInt128(random.nextUInt64()) << 64 | UInt128(random.nextUInt64())
            let denominator = max(2, raw >> UInt128(128 - width))
            let numerator =
                1 + (UInt128(random.nextUInt64()) << 64 | UInt128(random.nextUInt64())) % (denominator - 1)
            let (digit, rest) = denominator.dividingFullWidth((numerator >> 64, numerator << 64))
            func decide(_ tape: [UInt64]) -> (Bool, Int) {
                var coins = WordCoins(tape: tape)
                let result =
                    wideBits == 64
                    ? coins.bernoulli(UInt64(numerator), UInt64(denominator))
                    : coins.bernoulli(wide: numerator, denominator)
                return (result, coins.consumed)
            }
            let word = UInt64(digit)
            if word > 0 { #expect(decide([word - 1]) == (true, 1)) }
            if word < .max { #expect(decide([word + 1]) == (false, 1)) }
            if rest == 0 {
                #expect(decide([word]) == (false, 1))
            } else {
                let (second, _) = denominator.dividingFullWidth((rest >> 64, rest << 64))
                if second > 0 { #expect(decide([word, UInt64(second) - 1]) == (true, 2)) }
                if second < UInt64.max { #expect(decide([word, UInt64(second) + 1]) == (false, 2)) }
            }
        }
    }

    @Test("Certain and impossible coins read no word")
    func trivialCoins() {
        var coins = WordCoins(tape: [])
        #expect(coins.bernoulli(7, 7) && coins.bernoulli(wide: 1 << 100, 1 << 100))
        #expect(!coins.bernoulli(0, 7) && !coins.bernoulli(wide: 0, 1 << 100))
        #expect(coins.consumed == 0)
    }

    @Test("A uniform gives each value the same number of words")
    func uniformBoundaries() {
        for bound: UInt64 in [1, 2, 3, 5, 6, 1000, 1 << 22, (1 << 22) + 1, (1 << 63) + 1, .max] {
            // Value v belongs to the words w with v·2^64 ≤ w·bound, less the 2^64 mod bound lowest products.
            let refused = (0 &- bound) % bound
            let each = (UInt128(1) << 64) / UInt128(bound)
            for value in Set([0, 1 % bound, bound / 2, bound - 1]) {
                let start = UInt128(value) << 64
                let first = (start + UInt128(refused) + UInt128(bound) - 1) / UInt128(bound)
                let last = first + each - 1
                #expect(last * UInt128(bound) < start + (UInt128(1) << 64))
                for word in [first, last] {
                    var coins = WordCoins(tape: [UInt64(word)])
                    #expect(coins.uniform(below: bound) == value && coins.consumed == 1)
                }
                let before = first - (first > 0 ? 1 : 0)
                if first > 0, before * UInt128(bound) >= start {
                    // Belongs to v by its high half and is refused: the next word counts.
                    var coins = WordCoins(tape: [UInt64(before), UInt64(last)])
                    #expect(coins.uniform(below: bound) == value && coins.consumed == 2)
                }
            }
        }
    }

    @Test("Exponential coins have probability e^−γ: every outcome of their coins, exact masses")
    func exponentialCoins() {
        let gammas: [(UInt64, UInt64)] = [(1, 1), (1, 2), (1, 3), (2, 3), (5, 7), (9, 10), (0, 3)]
        for (n, d) in gammas {
            let expected = exponential(minus: Rational(BigInteger(n), BigInteger(d)))
            let narrow = PathEnumerator(cutoff: 1e-30).run { $0.bernoulliExp(minus: n, over: d) }
            let wide = PathEnumerator(cutoff: 1e-30).run {
                $0.bernoulliExp(wideMinus: UInt128(n), over: UInt128(d))
            }
            for (masses, undecided) in [narrow, wide] {
                let mass = masses[true] ?? 0
                #expect(undecided.asDouble < 1e-28)
                #expect(abs((mass - expected).asDouble) <= undecided.asDouble + 0x1p-190)
            }
        }
        let (one, undecided) = PathEnumerator(cutoff: 1e-30).run { $0.bernoulliExpMinusOne() }
        #expect(abs((one[true]! - exponential(minus: 1)).asDouble) <= undecided.asDouble + 0x1p-190)
        // Above 1 the paths multiply, so the cut comes earlier.
        for (n, d) in [(3, 2), (7, 3)] as [(UInt128, UInt128)] {
            let (masses, undecided) = PathEnumerator(cutoff: 1e-12).run {
                $0.bernoulliExp(wideMinus: n, over: d)
            }
            let expected = exponential(minus: Rational(BigInteger(n), BigInteger(d)))
            #expect(undecided.asDouble < 1e-8)
            #expect(abs((masses[true]! - expected).asDouble) <= undecided.asDouble)
        }
    }

    @Test(
        "The discrete Gaussian's accepted candidates follow e^−x²/2σ²: every outcome, exact masses",
        arguments: ["1/4", "1/2", "1", "2", "3/5", "10", "100"])
    func discreteGaussianLaw(variance: String) throws {
        let variance = try #require(Rational(variance))
        let sampler = DiscreteGaussianSampler(variance: variance)
        #expect(sampler.isFast)
        // One candidate; a second uniform means that it was rejected and the sampler began anew.
        let (masses, rejected) = PathEnumerator(cutoff: 1e-40, stopsAtSecondUniform: true).run { coins in
            var given = ExponentialCoins(coins: coins)
            return sampler.sample(&given)
        }
        let accepted = masses.values.reduce(Rational(0), +)
        #expect(abs((accepted + rejected - 1).asDouble) < 1e-30)
        // Ratios to the mass at zero need no normalisation.
        let zero = try #require(masses[0])
        for x in -30...30 where masses[x] != nil && abs(Double(x)) < 8 * variance.asDouble.squareRoot() {
            let expected = exponential(minus: Rational(x * x) / (Rational(2) * variance))
            let ratio = try #require(masses[x]) / zero
            #expect(abs((ratio / expected - 1).asDouble) < 1e-25, "x = \(x)")
        }
        #expect(masses[1] == masses[-1])
    }

    @Test(
        "The discrete Laplace law: every outcome, exact masses",
        arguments: [(1, 1), (2, 1), (1, 2), (3, 2), (5, 1), (7, 3)] as [(UInt64, UInt64)])
    func discreteLaplaceLaw(t: UInt64, s: UInt64) throws {
        let sampler = DiscreteLaplaceSampler(scaleNumerator: t, scaleDenominator: s)
        let (masses, _) = PathEnumerator(cutoff: 1e-40, stopsAtSecondUniform: true).run { coins in
            var given = ExponentialCoins(coins: coins)
            return sampler.sample(&given)
        }
        let zero = try #require(masses[0])
        for x in -12...12 {
            let expected = exponential(minus: Rational(BigInteger(abs(x)) * BigInteger(s), BigInteger(t)))
            let ratio = try #require(masses[x]) / zero
            // With s > 1 several V add up to one result; those beyond the cut are missing.
            #expect(abs((ratio / expected - 1).asDouble) < 1e-12, "x = \(x)")
        }
    }

    @Test(
        "On the same tape the 128-bit path and GMP give the same samples from the same words",
        arguments: [
            "1/4", "1/2", "3/5", "1", "2", "16", "65535/65536", "40000/7", "97855", "1048576", "999999999989",
            "17592186044416",
        ])
    func sameDecisionsAsReference(variance: String) throws {
        let variance = try #require(Rational(variance))
        let sampler = DiscreteGaussianSampler(variance: variance)
        try #require(sampler.isFast)
        let reference = ReferenceSampler()
        // 12 variances × 8500 samples; each sample starts where the last one left the tape.
        var fast = WordCoins(StreamRandom(seed: 3, label: "tape \(variance)"))
        var slow = WordCoins(StreamRandom(seed: 3, label: "tape \(variance)"))
        for index in 0..<8500 {
            let left = sampler.sample(&fast)
            let right = reference.discreteGaussian(variance: variance, &slow)
            guard right.asInt == left, fast.consumed == slow.consumed else {
                Issue.record(
                    "sample \(index): \(left) after \(fast.consumed), \(right) after \(slow.consumed)")
                return
            }
        }
    }

    @Test("On the same tape the discrete Laplace paths agree")
    func laplaceSameAsReference() {
        for (t, s) in [(1, 1), (5, 3), (1 << 20, 7), (1 << 32, 1 << 32)] as [(UInt64, UInt64)] {
            let sampler = DiscreteLaplaceSampler(scaleNumerator: t, scaleDenominator: s)
            var fast = WordCoins(StreamRandom(seed: 4, label: "laplace"))
            var slow = WordCoins(StreamRandom(seed: 4, label: "laplace"))
            for _ in 0..<2000 {
                let left = sampler.sample(&fast)
                let right = ReferenceSampler().discreteLaplace(
                    scaleNumerator: BigInteger(t), scaleDenominator: BigInteger(s), &slow)
                #expect(right.asInt == left && fast.consumed == slow.consumed)
            }
        }
    }

    @Test("Variances beyond the 128-bit path take the reference path, also in bulk")
    func referencePath() {
        let variance = Rational(BigInteger.powerOfTwo(44) + 1)
        let sampler = DiscreteGaussianSampler(variance: variance)
        #expect(!sampler.isFast)
        let bulk = sampler.samples(50, using: StreamRandom(seed: 5, label: "bulk"))
        var coins = WordCoins(StreamRandom(seed: 5, label: "bulk"))
        for sample in bulk {
            #expect(ReferenceSampler().discreteGaussian(variance: variance, &coins).asInt == Int(sample))
        }
    }

    @Test("The same key gives the same noise, another key other noise")
    func replayable() {
        let sampler = DiscreteGaussianSampler(variance: 1000)
        func draw(_ seed: UInt64) -> [Int32] {
            sampler.samples(100, using: StreamRandom(seed: seed, label: "x"))
        }
        #expect(draw(1) == draw(1) && draw(1) != draw(2))
    }
}
