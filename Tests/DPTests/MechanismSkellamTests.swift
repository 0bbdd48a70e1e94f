import DP
import Foundation
import GMP
import Sodium
import Testing

@Suite("Levels of add-then-remove noise")
struct NoiseLevelTests {
    @Test("The levels equal an independent evaluation and the published grid")
    func vectors() throws {
        for entry in try TableVectors.load().grid {
            let levels = NoiseLevels(
                clients: entry.clients, minSurvivors: entry.clients - entry.dropouts,
                ratio: Rational(entry.ratio)!)
            #expect([0] + levels.dropouts == entry.levels)
        }
        // Dordis, U = 10, T = 3: 1/10, 1/90, 1/72, 1/56 of σ².
        let dordis = NoiseLevels(clients: 10, minSurvivors: 7, ratio: 1)
        let variances = (0...3).map { dordis.componentVariance($0, promised: 1) }
        #expect(variances == [Rational(1, 10), Rational(1, 90), Rational(1, 72), Rational(1, 56)])
    }

    @Test(
        "For every number of losses the rest is what was promised, and at most 5 % more",
        arguments: [(1000, 700), (100, 60), (33, 20), (8, 6), (5, 5), (3, 1)])
    func delivered(clients: Int, minSurvivors: Int) throws {
        let levels = NoiseLevels(clients: clients, minSurvivors: minSurvivors)
        for survivors in minSurvivors...clients {
            let kept = try #require(levels.kept(survivors: survivors))
            // Exactly: survivors × the variances of the components that stay.
            let rest =
                (0...kept).map { levels.componentVariance($0, promised: 1) }
                .reduce(Rational(0), +) * Rational(survivors)
            #expect(rest == levels.deliveredVariance(survivors: survivors, promised: 1))
            #expect(rest >= 1 && rest <= Rational(21, 20))
        }
        #expect(levels.kept(survivors: minSurvivors - 1) == nil)
        #expect(levels.kept(survivors: clients + 1) == nil)
        let all = (0...levels.count).map { levels.componentVariance($0, promised: 1) }
        #expect(all.allSatisfy { $0.sign > 0 })
        #expect(all.reduce(Rational(0), +) == Rational(1, BigInteger(minSurvivors)))
    }
}

@Suite("Distributed Skellam noise")
struct DistributedSkellamTests {
    static func seeds(_ count: Int, client: Int) -> [SecretBytes] {
        var random = StreamRandom(seed: UInt64(client), label: "levels")
        return (0..<count).map { _ in SecretBytes(random: 31, from: &random) }
    }

    @Test("Refusals name the parameter")
    func refusals() {
        #expect(throws: PlanError.noHonestNoise(minSurvivors: 3, colluders: 3)) {
            try DistributedSkellam(minSurvivors: 3, colluders: 3, localVariance: 100)
        }
        #expect(throws: PlanError.localNoiseTooSmall(localVariance: "15")) {
            try DistributedSkellam(minSurvivors: 3, colluders: 1, localVariance: 15)
        }
        #expect(throws: PlanError.self) {
            try DistributedSkellam(minSurvivors: 3, colluders: 1, localVariance: 1_000_000_000_000)
        }
    }

    @Test("The claim is the floor's, whoever survives and whoever colludes")
    func variances() throws {
        let levels = NoiseLevels(clients: 100, minSurvivors: 60)
        let exact = try DistributedSkellam(
            minSurvivors: 60, colluders: 10, localVariance: 40, levels: levels)
        let floor = try DistributedSkellam(minSurvivors: 60, colluders: 10, localVariance: 40)
        #expect(exact.guaranteedVariance == floor.guaranteedVariance)
        #expect(exact.guaranteedVariance == Rational(50 * 40))
        for survivors in 60...100 {
            let delivered = exact.deliveredVariance(survivors: survivors)
            #expect(delivered <= floor.deliveredVariance(survivors: survivors))
            // Without the share of ten colluders at least the guaranteed variance is left.
            #expect(
                delivered * Rational(BigInteger(survivors - 10), BigInteger(survivors))
                    >= exact.guaranteedVariance)
        }
        #expect(
            DistributedNoise.skellam(exact).deliveredVarianceMax(clients: 100)
                == (60...100).map { exact.deliveredVariance(survivors: $0) }.max())
    }

    @Test("What is left after removal fits a Skellam variable for every number of losses", arguments: 0...3)
    func removal(lost: Int) throws {
        // False alarm 1e-6 a test, seeds fixed.
        let count = 40_000
        let noise = try DistributedSkellam(
            minSurvivors: 4, colluders: 1, localVariance: 25,
            levels: NoiseLevels(clients: 7, minSurvivors: 4))
        #expect(noise.seedCount == 3)
        let survivors = 7 - lost
        var sum = [Int32](repeating: 0, count: count)
        for client in 0..<survivors {
            noise.noiseShare(
                count: count, seeds: Self.seeds(3, client: client),
                using: StreamRandom(seed: UInt64(client), label: "base")
            ).add(to: &sum)
        }
        for client in 0..<survivors {
            let seeds = Self.seeds(3, client: client)
            for level in noise.levels!.kept(survivors: survivors)! + 1..<4 {
                sum.withUnsafeMutableBufferPointer {
                    noise.remove(level: level, seed: seeds[level - 1], from: $0)
                }
            }
        }
        let variance = noise.deliveredVariance(survivors: survivors).asDouble
        #expect(SamplerTableFitTests.passes(sum, variance: variance), "lost \(lost)")
        // Power: one component more or less would be seen.
        #expect(!SamplerTableFitTests.passes(sum, variance: variance * 1.25))
        #expect(!SamplerTableFitTests.passes(sum, variance: variance * 0.8))
    }

    @Test("The table digest changes with any component")
    func tableDigest() throws {
        func digest(_ variance: Rational, floor: Int) throws -> Digest {
            try DistributedSkellam(
                minSurvivors: floor, colluders: 0, localVariance: variance,
                levels: NoiseLevels(clients: 9, minSurvivors: floor)
            ).tableDigest
        }
        #expect(try digest(20, floor: 6) == digest(20, floor: 6))
        #expect(try digest(20, floor: 6) != digest(21, floor: 6))
        #expect(try digest(20, floor: 6) != digest(20, floor: 7))
    }

    @Test("Plans: the same guarantee as with discrete Gaussian noise, fewer bits when noise is removed")
    func plans() throws {
        func plan(_ mechanism: NoiseMechanism, _ dropouts: DropoutNoise) throws -> AggregationPlan {
            var request = AggregationPlan.Request(
                dimension: 4096, clipNorm: 1, noiseMultiplier: 4, clients: 100, minSurvivors: 40,
                colluders: 4)
            request.mechanism = mechanism
            request.dropoutNoise = dropouts
            return try AggregationPlan.solve(request)
        }
        let gaussian = try plan(.discreteGaussian, .floor)
        let skellam = try plan(.skellam, .floor)
        let exact = try plan(.skellam, .exact)
        #expect(skellam.noise.localVariance == gaussian.noise.localVariance)
        #expect(exact.noiseMultiplierSquared == gaussian.noiseMultiplierSquared)
        // Skellam's tails are a little heavier than a Gaussian's.
        #expect(skellam.wrap.failureLog2 >= gaussian.wrap.failureLog2)
        #expect(exact.modulusBits <= skellam.modulusBits)
        #expect(exact.noiseStd(survivors: 100) < skellam.noiseStd(survivors: 100) * 0.66)
        #expect(throws: PlanError.self) { try plan(.discreteGaussian, .exact) }
        #expect(
            skellam.noise.event(sensitivitySquared: 9, dimension: 2)
                == .skellamSum(delta2Squared: 9, variance: skellam.noise.guaranteedVariance, dimension: 2))
    }

    @Test("The wrap bound holds against an exact Skellam tail")
    func wrapAgainstTail() throws {
        // One unit of tiny norm, noise alone: P[|X| > 2^(b−1) − 1 − signal] from the masses themselves.
        let encoding = try EncodingPlan(dimension: 1, clipNorm: 1, clipSteps: 4)
        for variance in [16.0, 60, 200] {
            let noise = DistributedNoise.skellam(
                try DistributedSkellam(
                    minSurvivors: 1, colluders: 0, localVariance: Rational(exactly: variance)!))
            let bound = WrapBound(
                bits: 8, argument: .worstCase, encoding: encoding, noise: noise, noiseVariance: variance,
                clients: 1, unitsPerClient: 1)
            let pmf = Statistics.skellam(variance: variance, reach: 400)
            let tail = pmf.reduce(0.0) { $0 + (Double(abs($1.key)) > bound.margin ? $1.value : 0) }
            #expect(tail > 0)
            #expect(Foundation.log2(tail) <= bound.failureLog2)
            // And the bound is not wasteful: within a dozen bits of the truth.
            #expect(bound.failureLog2 < Foundation.log2(tail) + 12)
        }
    }
}
