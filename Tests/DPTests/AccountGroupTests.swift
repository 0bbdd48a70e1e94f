import DP
import Foundation
import GMP
import Testing

@Suite struct AccountGroupTests {
    private func event(_ kind: PrivacyEvent.Kind) throws -> PrivacyEvent {
        try PrivacyEvent(unit: .record, adjacency: .zeroOut, kind: kind)
    }

    @Test func aGroupOfKGaussiansIsKMu() throws {
        let one = try EventTally(event(.gaussian(noiseMultiplier: 3)), count: 10)
        let mu = try GDPAccountant().mu(of: one).mu
        for size in [1, 2, 7] {
            let group = try GDPAccountant().mu(of: one.forGroup(of: size)).mu
            #expect(relative(group, Double(size) * mu) < 1e-13)
        }
        let sum = try EventTally(
            event(
                .discreteGaussianSum(
                    delta2Squared: 100, sigmaLocalSquared: 400, honestShares: 5, dimension: 64)), count: 3)
        #expect(
            relative(
                try GDPAccountant().mu(of: sum.forGroup(of: 2)).mu, 2 * (try GDPAccountant().mu(of: sum).mu))
                < 1e-13)
    }

    @Test func pureLossesScaleAndRandomisedAnswersRepeat() throws {
        let laplace = try EventTally(event(.laplace(noiseMultiplier: 10)))
        #expect(
            try RDPAccountant().epsilon(of: laplace.forGroup(of: 3), delta: 1e-12).upper <= 0.3 * (1 + 1e-12))
        let kind = PrivacyEvent.Kind.randomisedResponse(noiseProbability: Rational(1, 2), buckets: 2)
        #expect(
            try EventTally(event(kind)).forGroup(of: 3)
                == EventTally(event(kind), count: 3))
    }

    /// A sampled pair against what a group of two really sees in one step: N(K, z²), K ~ Bin(2, q).
    @Test(arguments: [(0.01, 1.0), (0.2, 2.0), (0.6, 0.8)])
    func aSampledGroupIsDominated(rate: Double, multiplier: Double) throws {
        let events = try EventTally(
            event(
                .poissonSampled(
                    rate: Rational(exactly: rate)!, .gaussian(noiseMultiplier: Rational(exactly: multiplier)!)
                ))
        ).forGroup(of: 2)
        for epsilon in [0.05, 0.5, 2.0] {
            var remove = 0.0
            var add = 0.0
            let step = 0.001
            for x in stride(from: -12 * multiplier, to: 12 * multiplier + 2, by: step) {
                func density(_ mean: Double) -> Double {
                    exp(-(x - mean) * (x - mean) / (2 * multiplier * multiplier))
                        / (multiplier * (2 * Double.pi).squareRoot())
                }
                let without = density(0)
                let with =
                    (1 - rate) * (1 - rate) * without + 2 * rate * (1 - rate) * density(1)
                    + rate * rate * density(2)
                remove += max(0, with - exp(epsilon) * without) * step
                add += max(0, without - exp(epsilon) * with) * step
            }
            let ours = try PLDAccountant().delta(of: events, epsilon: epsilon)
            #expect(ours.upper >= max(remove, add) * (1 - 1e-6), "\(ours) \(remove) \(add)")
        }
    }

    @Test func groupsThatAreTooLargeAreRefused() throws {
        let laplace = try event(.laplace(noiseMultiplier: 10))
        for size in [0, -1, 1_000_001] {
            #expect(throws: AccountingError.self) { try laplace.forGroup(of: size) }
        }
        let discrete = try event(.discreteLaplace(scale: 1_000_000, sensitivity: 1_000_000))
        #expect(throws: AccountingError.self) { try discrete.forGroup(of: 2) }
    }

    @Test func theClipIndicatorCostsWhatAndrewSays() throws {
        // Noise on the count of n/20: at n = 1000 the update needs 0.005 % more noise, at n = 20 15 %.
        for (clients, expected) in [(1000, 1.00005), (20, 1.1547)] {
            let update = try #require(
                AdaptiveClipping.updateMultiplier(
                    total: 1, indicatorDeviation: Rational(BigInteger(clients), 20)))
            #expect(abs(update.asDouble - expected) < 5e-5, "\(update.asDouble)")
            let together = AdaptiveClipping.combinedMultiplier(
                update: update, indicatorDeviation: Rational(BigInteger(clients), 20))
            #expect(together.asDouble <= 1.0000000001 && together.asDouble > 1 - 1e-12)
        }
        #expect(AdaptiveClipping.updateMultiplier(total: 2, indicatorDeviation: 1) == nil)
        #expect(AdaptiveClipping.sensitivitySquared(update: 100, weight: 5) == 107)
    }
}
