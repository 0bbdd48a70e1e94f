import DP
import Foundation
import GMP
import Sodium
import Testing

@Suite("Distributed discrete Gaussian")
struct MechanismNoiseTests {
    static func sum(_ noise: DistributedDiscreteGaussian, shares: Int, count: Int, seed: UInt64) -> [Int32] {
        var total = [Int32](repeating: 0, count: count)
        for share in 0..<shares {
            let random = StreamRandom(seed: seed, label: "share \(share)")
            noise.noiseShare(count: count, using: random).add(to: &total)
        }
        return total
    }

    @Test("No honest noise and too little local noise are refused")
    func refusals() {
        #expect(throws: PlanError.noHonestNoise(minSurvivors: 3, colluders: 3)) {
            try DistributedDiscreteGaussian(minSurvivors: 3, colluders: 3, localVariance: 100)
        }
        #expect(throws: PlanError.localNoiseTooSmall(localVariance: "159/10")) {
            try DistributedDiscreteGaussian(minSurvivors: 3, colluders: 1, localVariance: Rational(159, 10))
        }
        #expect(throws: PlanError.outOfRange("colluders", "-1", "in 0 … 1048576")) {
            try DistributedDiscreteGaussian(minSurvivors: 3, colluders: -1, localVariance: 100)
        }
    }

    @Test("Variances: the claim counts h shares, the sum delivers one per survivor")
    func variances() throws {
        let noise = try DistributedDiscreteGaussian(minSurvivors: 67, colluders: 10, localVariance: 20)
        #expect(noise.honestShares == 57)
        #expect(noise.guaranteedVariance == Rational(57 * 20))
        #expect(noise.deliveredVariance(survivors: 83) == Rational(83 * 20))
        #expect(noise.noiseMultiplierSquared(sensitivitySquared: 570) == 2)
    }

    @Test("τ equals an independent evaluation and is not below it")
    func tau() throws {
        for entry in try NoiseVectors.load().tau {
            let ours = SumOfDiscreteGaussians.tau(
                sigmaLocalSquared: try #require(Rational(entry.sigmaSquared)), shares: entry.shares)
            let theirs = try #require(Double(entry.value))
            #expect(ours >= theirs && ours <= theirs * (1 + 1e-9), "\(entry)")
        }
        // Underflow rounds up, a single share needs no τ.
        #expect(SumOfDiscreteGaussians.tau(sigmaLocalSquared: 100_000, shares: 50) > 0)
        #expect(SumOfDiscreteGaussians.tau(sigmaLocalSquared: 16, shares: 1) == 0)
    }

    @Test("Exact convolutions of small shares stay within τ of N_Z(0, hσ²)")
    func convolution() {
        for (variance, shares, published) in [
            (0.25, 2, 0.21419), (1.0, 2, 1.0346e-4), (1.0, 8, 5.5e-7), (1.0, 16, 3.796e-7),
        ] {
            let reach = 30
            let single = Statistics.discreteGaussian(variance: variance, reach: reach)
            var sum: [Int: Double] = [0: 1]
            for _ in 0..<shares {
                var next: [Int: Double] = [:]
                for (x, p) in sum { for (y, q) in single { next[x + y, default: 0] += p * q } }
                sum = next.filter { $0.value > 1e-40 }
            }
            let target = Statistics.discreteGaussian(variance: variance * Double(shares), reach: 200)
            // Within six deviations double precision is beyond doubt.
            let range = Int(6 * (variance * Double(shares)).squareRoot())
            let worst = (-range...range).map { abs(log(sum[$0]! / target[$0]!)) }.max()!
            let tau = SumOfDiscreteGaussians.tau(
                sigmaLocalSquared: Rational(exactly: variance)!, shares: shares)
            #expect(worst <= tau)
            #expect(worst < published * 1.01)
        }
    }

    @Test("With any number of dropouts the sum fits N_Z(0, survivors·σ_l²)", arguments: [4, 5, 7, 10])
    func sumFits(survivors: Int) throws {
        // 10 clients, floor 4. False alarm 1e-6 per test, seed fixed.
        let noise = try DistributedDiscreteGaussian(minSurvivors: 4, colluders: 1, localVariance: 16)
        let sum = Self.sum(noise, shares: survivors, count: 200_000, seed: 12)
        let variance = noise.deliveredVariance(survivors: survivors).asDouble
        let pmf = Statistics.discreteGaussian(variance: variance, reach: 400)
        let p = Statistics.chiSquare(sum, probability: pmf)
        #expect(p >= 1e-6, "seed 12, p = \(p)")
        let score = Statistics.varianceScore(sum, variance: variance, fourthMoment: 3 * variance * variance)
        #expect(abs(score) < Statistics.zAtOneInAMillion)
        // Power: one share less or more would be seen.
        for wrong in [survivors - 1, survivors + 1] {
            let pmf = Statistics.discreteGaussian(variance: Double(16 * wrong), reach: 400)
            #expect(Statistics.chiSquare(sum, probability: pmf) < 1e-6)
        }
    }

    @Test("What colluders subtract leaves h honest shares")
    func colluders() throws {
        let noise = try DistributedDiscreteGaussian(minSurvivors: 5, colluders: 2, localVariance: 16)
        let all = Self.sum(noise, shares: 5, count: 100_000, seed: 13)
        let known = Self.sum(noise, shares: 2, count: 100_000, seed: 13)
        let rest = zip(all, known).map { $0 - $1 }
        let pmf = Statistics.discreteGaussian(variance: noise.guaranteedVariance.asDouble, reach: 300)
        #expect(Statistics.chiSquare(rest, probability: pmf) >= 1e-6)
    }

    @Test("A share adds modulo 2^32 and matches the sampler's values")
    func shareAdds() throws {
        let noise = try DistributedDiscreteGaussian(minSurvivors: 1, colluders: 0, localVariance: 50)
        for seed: UInt64 in 0..<10 {
            let expected = DiscreteGaussianSampler(variance: 50)
                .samples(20, using: StreamRandom(seed: seed, label: "s"))
            var v = [Int32](repeating: .max, count: 20)
            let share = noise.noiseShare(count: 20, using: StreamRandom(seed: seed, label: "s"))
            #expect(share.count == 20)
            share.add(to: &v)
            #expect(v == expected.map { Int32.max &+ $0 })
        }
    }
}
