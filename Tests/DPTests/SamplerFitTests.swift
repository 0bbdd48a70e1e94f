import DP
import Foundation
import GMP
import Sodium
import Testing

/// Goodness of fit on fixed, printed seeds (so CI is deterministic): each single test has a false-alarm
/// rate of 1e-6, and a suite of planted bugs shows which tests have the power to see them.
@Suite("Samples fit their laws")
struct SamplerFitTests {
    static let seed: UInt64 = 20_260_301
    static let count = 400_000

    static func samples(_ variance: Rational, count: Int = count, label: String = "fit") -> [Int32] {
        DiscreteGaussianSampler(variance: variance)
            .samples(count, using: StreamRandom(seed: seed, label: "\(label) \(variance)"))
    }

    /// The p-value of χ² and the z-scores of variance, sign and serial correlation.
    static func judge(_ samples: [Int32], variance: Rational) -> (p: Double, scores: [Double]) {
        let sigma2 = variance.asDouble
        let pmf = Statistics.discreteGaussian(
            variance: sigma2, reach: Int(12 * sigma2.squareRoot()) + 12)
        let second = pmf.reduce(0) { $0 + $1.value * Double($1.key * $1.key) }
        let fourth = pmf.reduce(0) { $0 + $1.value * pow(Double($1.key), 4) }
        return (
            Statistics.chiSquare(samples, probability: pmf),
            [
                Statistics.varianceScore(samples, variance: second, fourthMoment: fourth),
                Statistics.signScore(samples),
                Statistics.lagScore(samples, lag: 1, variance: second),
                Statistics.lagScore(samples, lag: 2, variance: second),
                Statistics.lagScore(samples, lag: samples.count / 2, variance: second),
            ]
        )
    }

    static func passes(_ samples: [Int32], variance: Rational) -> Bool {
        let (p, scores) = judge(samples, variance: variance)
        return p >= 1e-6 && scores.allSatisfy { abs($0) < Statistics.zAtOneInAMillion }
    }

    @Test(
        "χ², variance, sign and serial correlation",
        arguments: ["1/4", "1/2", "1", "2", "16", "100", "2500/7", "40000"])
    func fit(variance: String) throws {
        let variance = try #require(Rational(variance))
        let (p, scores) = Self.judge(Self.samples(variance), variance: variance)
        let report: Comment = "seed \(Self.seed), σ² = \(variance): p = \(p), z = \(scores)"
        #expect(p >= 1e-6, report)
        #expect(scores.allSatisfy { abs($0) < Statistics.zAtOneInAMillion }, report)
    }

    @Test("A large σ² fits its variance, sign and a coarse histogram")
    func fitLarge() {
        let variance = Rational(BigInteger.powerOfTwo(40))
        let samples = Self.samples(variance)
        let sigma = Double(1 << 20)
        let score = Statistics.varianceScore(
            samples, variance: sigma * sigma, fourthMoment: 3 * pow(sigma, 4))
        #expect(abs(score) < Statistics.zAtOneInAMillion)
        #expect(abs(Statistics.signScore(samples)) < Statistics.zAtOneInAMillion)
        // Deciles of the normal law, which N_Z matches to 1e-6 here.
        let quantiles = [-1.281551565545, -0.841621233573, -0.524400512708, -0.253347103136, 0.0]
        let edges = quantiles + quantiles.dropLast().reversed().map { -$0 }
        var bins = [Int32](repeating: 0, count: samples.count)
        for (index, sample) in samples.enumerated() {
            bins[index] = Int32(edges.count { Double(sample) / sigma > $0 })
        }
        let flat = Dictionary(uniqueKeysWithValues: (0..<10).map { ($0, 0.1) })
        #expect(Statistics.chiSquare(bins, probability: flat) >= 1e-6)
    }

    @Test("Planted bugs fail: the tests have power")
    func plantedBugs() {
        func caught(
            _ name: String, _ samples: [Int32], _ variance: Rational,
            sourceLocation: SourceLocation = #_sourceLocation
        ) {
            #expect(
                !Self.passes(samples, variance: variance), "not caught: \(name)",
                sourceLocation: sourceLocation)
        }
        let good = Self.samples(100)
        #expect(Self.passes(good, variance: 100))
        caught("σ larger by 1 %", Self.samples(Rational(10201, 100)), 100)
        caught("σ smaller by 1 %", Self.samples(Rational(9801, 100)), 100)
        caught("σ² and σ confused", Self.samples(10), 100)
        caught("shifted by one", good.map { $0 + 1 }, 100)
        caught(
            "zero counted twice", good.filter { $0 != 0 } + good.filter { $0 == 0 } + good.filter { $0 == 0 },
            100)
        caught("tape used twice", Array(good[..<200_000] + good[..<200_000]), 100)
        let bias = StreamRandom(seed: 6, label: "bias")
        caught("sign biased by 1 %", good.map { $0 < 0 && bias.nextUInt64() % 50 == 0 ? -$0 : $0 }, 100)
        caught("tails cut at 3σ", good.filter { abs($0) < 30 }, 100)
        // A continuous Gaussian, rounded: its variance is larger by 1/12.
        caught(
            "rounded float Gaussian",
            (0..<Self.count).map { _ in
                let u = (Double(bias.nextUInt64() >> 11) + 0.5) * 0x1p-53
                let v = Double(bias.nextUInt64() >> 11) * 0x1p-53
                return Int32(((-2 * log(u)).squareRoot() * cos(2 * .pi * v)).rounded())
            }, 1)
        // The Laplace candidates without the second acceptance.
        let laplace = DiscreteLaplaceSampler(scaleNumerator: 11)
            .samples(Self.count, using: StreamRandom(seed: 7, label: "laplace")).map { Int32($0) }
        caught("no second acceptance", laplace, 100)
    }

    static func laplace(_ x: Int, scale b: Double) -> Double { tanh(0.5 / b) * exp(-Double(abs(x)) / b) }

    @Test("Discrete Laplace samples fit their law")
    func laplaceFit() {
        for (t, s) in [(2, 1), (1, 2), (7, 3), (40, 1)] as [(UInt64, UInt64)] {
            let samples = DiscreteLaplaceSampler(scaleNumerator: t, scaleDenominator: s)
                .samples(200_000, using: StreamRandom(seed: Self.seed, label: "laplace \(t)/\(s)"))
                .map { Int32($0) }
            let pmf = Dictionary(
                uniqueKeysWithValues: (-2000...2000).map {
                    ($0, Self.laplace($0, scale: Double(t) / Double(s)))
                })
            let p = Statistics.chiSquare(samples, probability: pmf)
            #expect(p >= 1e-6, "seed \(Self.seed), \(t)/\(s): p = \(p)")
        }
    }

    @Test("Masses and variances of the laws used here equal independent values")
    func lawAgainstVectors() throws {
        for entry in try NoiseVectors.load().discreteGaussian {
            let variance = try #require(Rational(entry.sigmaSquared)).asDouble
            let pmf = Statistics.discreteGaussian(variance: variance, reach: 300)
            for (x, expected) in entry.pmf.enumerated() {
                #expect(abs(pmf[x]! / Double(expected)! - 1) < 1e-13)
            }
            let second = pmf.reduce(0) { $0 + $1.value * Double($1.key * $1.key) }
            #expect(abs(second / Double(entry.variance)! - 1) < 1e-12)
        }
        for entry in try NoiseVectors.load().discreteLaplace {
            for (x, expected) in entry.pmf.enumerated() {
                let mass = Self.laplace(x, scale: Double(entry.t) / Double(entry.s))
                #expect(abs(mass / Double(expected)! - 1) < 1e-13)
            }
        }
    }
}
