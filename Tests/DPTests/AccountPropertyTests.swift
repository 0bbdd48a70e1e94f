import DP
import Foundation
import GMP
import Testing

@Suite struct AccountPropertyTests {
    static let kinds: [PrivacyEvent.Kind] = {
        let sum = PrivacyEvent.Kind.discreteGaussianSum(
            delta2Squared: 10_000, sigmaLocalSquared: 40_000, honestShares: 5, dimension: 4096)
        let plain: [PrivacyEvent.Kind] = [
            .gaussian(noiseMultiplier: Rational(3, 2)),
            .laplace(noiseMultiplier: 4),
            .discreteGaussian(delta2Squared: 9, sigmaSquared: 100),
            .discreteLaplace(scale: 7, sensitivity: 2),
            sum,
            .skellamSum(delta2Squared: 10_000, variance: 200_000, dimension: 4096),
            .randomisedResponse(noiseProbability: Rational(9, 10), buckets: 4),
        ]
        return plain + plain.map { .poissonSampled(rate: Rational(1, 50), $0) }
    }()

    private func event(_ kind: PrivacyEvent.Kind) throws -> PrivacyEvent {
        try PrivacyEvent(unit: .record, adjacency: .zeroOut, kind: kind)
    }

    private func prices(_ tally: EventTally) -> [String: EpsilonInterval] {
        var result: [String: EpsilonInterval] = [:]
        for kind in AccountantKind.allCases {
            result[kind.rawValue] = try? kind.accountant.epsilon(of: tally, delta: 1e-6)
        }
        return result
    }

    @Test func composingNTimesIsNTimesComposing() throws {
        for kind in Self.kinds {
            let event = try event(kind)
            let counted = try EventTally(event, count: 7)
            var single = EventTally(unit: .record, adjacency: .zeroOut)
            for _ in 0..<7 { try single.add(event) }
            let repeated = try EventTally(self.event(.repeated(kind, count: 7)))
            let listed = try EventTally(self.event(.composed(Array(repeating: kind, count: 7))))
            let prices = prices(counted)
            #expect(!prices.isEmpty, "nothing prices \(kind)")
            #expect(prices == self.prices(single))
            #expect(prices == self.prices(repeated))
            #expect(prices == self.prices(listed))
            // The parameter that adds up is n times that of one event (up to upward rounding).
            if let one = try? ZCDPAccountant().rho(of: EventTally(event)) {
                #expect(relative(try ZCDPAccountant().rho(of: counted), 7 * one) < 1e-13)
            }
            if let one = try? GDPAccountant().mu(of: EventTally(event)).mu {
                #expect(relative(try GDPAccountant().mu(of: counted).mu, 7.0.squareRoot() * one) < 1e-13)
            }
            let one = try RDPAccountant().divergences(of: EventTally(event))
            for (left, right) in zip(try RDPAccountant().divergences(of: counted), one) {
                #expect(relative(left, 7 * right) < 1e-13 || left == .infinity)
            }
        }
    }

    @Test func orderNeverMatters() throws {
        var random = SystemRandomNumberGenerator()  // any order must do
        let events = try Self.kinds.map(event)
        var forward = EventTally(unit: .record, adjacency: .zeroOut)
        for event in events { try forward.add(event, count: 3) }
        for _ in 0..<3 {
            var shuffled = EventTally(unit: .record, adjacency: .zeroOut)
            for event in (events + events + events).shuffled(using: &random) { try shuffled.add(event) }
            #expect(shuffled == forward)
            #expect(prices(shuffled) == prices(forward))
        }
    }

    @Test func moreDataCostsMoreAndMoreDeltaCostsLess() throws {
        for kind in Self.kinds {
            let event = try event(kind)
            for accountant in AccountantKind.allCases.map(\.accountant) {
                var last = 0.0
                for count in accountant.name == "pld" ? [0, 1, 40] : [0, 1, 2, 5, 40, 1000] {
                    guard
                        let now = try? accountant.epsilon(
                            of: EventTally(event, count: count), delta: 1e-6)
                    else { continue }
                    // PLD's grid changes with the count, which moves its bound within its tolerance.
                    let slack = accountant.name == "pld" ? 1e-3 : 0
                    #expect(now.upper >= last * (1 - slack), "\(accountant.name) \(kind) ×\(count)")
                    #expect(now.lower <= now.upper && now.lower >= 0)
                    last = now.upper
                    if count == 0 { #expect(now.upper == 0) }
                }
                var previous = Double.infinity
                for delta in accountant.name == "pld" ? [1e-18, 1e-5] : [1e-18, 1e-9, 1e-5, 1e-2, 0.5] {
                    guard let now = try? accountant.epsilon(of: EventTally(event, count: 10), delta: delta)
                    else { continue }
                    let slack = accountant.name == "pld" ? 1e-3 : 0
                    #expect(now.upper <= previous * (1 + slack), "\(accountant.name) \(kind) δ \(delta)")
                    previous = now.upper
                }
            }
        }
    }

    @Test func sensitivityNoiseAndRateMoveEpsilonTheRightWay() throws {
        func epsilon(_ kind: PrivacyEvent.Kind) throws -> Double {
            try RDPAccountant().epsilon(of: EventTally(event(kind), count: 20), delta: 1e-6).upper
        }
        func sum(_ delta2Squared: Int, _ sigma: Int, _ shares: Int, _ dimension: Int) -> PrivacyEvent.Kind {
            .discreteGaussianSum(
                delta2Squared: BigInteger(delta2Squared), sigmaLocalSquared: Rational(sigma),
                honestShares: shares, dimension: dimension)
        }
        let base = try epsilon(sum(10_000, 40_000, 5, 64))
        #expect(try epsilon(sum(10_001, 40_000, 5, 64)) > base)
        #expect(try epsilon(sum(10_000, 40_001, 5, 64)) < base)
        #expect(try epsilon(sum(10_000, 40_000, 6, 64)) < base)
        #expect(try epsilon(sum(40_000, 160_000, 5, 64)) == base, "only the ratio counts when τ = 0")
        var last = 0.0
        for rate: BigInteger in [0, 1, 5, 20, 50, 99, 100] {
            let now = try epsilon(.poissonSampled(rate: Rational(rate, 100), sum(10_000, 40_000, 5, 64)))
            #expect(now >= last)
            last = now
        }
        #expect(last == base, "rate 1 is no sampling")
    }

    @Test func samplingNearOneApproachesTheUnsampledBound() throws {
        let inner = PrivacyEvent.Kind.gaussian(noiseMultiplier: 2)
        let sampled = try RDPAccountant().divergences(
            of: tally(.poissonSampled(rate: Rational(999_999, 1_000_000), inner)))
        let plain = try RDPAccountant().divergences(of: tally(inner))
        for (index, order) in RDPAccountant.orders.enumerated() where order == order.rounded() && order < 60 {
            #expect(sampled[index] <= plain[index])
            #expect(relative(sampled[index], plain[index]) < 1e-3, "order \(order)")
        }
    }

    @Test func sampledSumsCostWhatSampledGaussiansCostWhenTauVanishes() throws {
        // Noise multiplier √(5·40000/10000) = √20; 20 is no square, so compare at equal ρ.
        let sum = PrivacyEvent.Kind.discreteGaussianSum(
            delta2Squared: 10_000, sigmaLocalSquared: 32_000, honestShares: 5, dimension: 4096)
        let left = try RDPAccountant().divergences(of: tally(.poissonSampled(rate: Rational(1, 100), sum)))
        let right = try RDPAccountant().divergences(
            of: tally(.poissonSampled(rate: Rational(1, 100), .gaussian(noiseMultiplier: 4))))
        for (a, b) in zip(left, right) { #expect(relative(a, b) < 1e-9) }
    }

    @Test func replaceOneIsZeroOutWithTwiceTheSensitivity() throws {
        let replaced = try EventTally(
            PrivacyEvent(unit: .client, adjacency: .replaceOne, kind: .gaussian(noiseMultiplier: 1)))
        let zeroed = try EventTally(
            PrivacyEvent(unit: .client, adjacency: .zeroOut, kind: .gaussian(noiseMultiplier: 2)))
        let one = try GDPAccountant().mu(of: replaced).mu
        #expect(relative(one, 2 * (try GDPAccountant().mu(of: zeroed).mu)) < 1e-14)
    }

    @Test func deltaAndEpsilonInvertEachOther() throws {
        for kind in Self.kinds {
            for accountant in AccountantKind.allCases.map(\.accountant) {
                let events = try EventTally(event(kind), count: 4)
                guard let epsilon = try? accountant.epsilon(of: events, delta: 1e-6), epsilon.upper > 0
                else { continue }
                let delta = try accountant.delta(of: events, epsilon: epsilon.upper)
                let slack = accountant.name == "pld" ? 2e-2 : 1e-6
                #expect(delta.upper <= 1e-6 * (1 + slack), "\(accountant.name) \(kind) \(delta.upper)")
                #expect(delta.lower <= delta.upper)
            }
        }
    }

    @Test func pureLossesNeverExceedTheirOwnEpsilon() throws {
        let sampled = try tally(
            .poissonSampled(rate: Rational(1, 10), .laplace(noiseMultiplier: 1)))
        let bound = log1p(0.1 * expm1(1.0))
        for kind in [AccountantKind.rdp, .pld] {
            let price = try kind.accountant.epsilon(of: sampled, delta: 1e-9)
            #expect(price.upper <= bound * (1 + 1e-12))
        }
        #expect(
            try RDPAccountant().epsilon(of: tally(.laplace(noiseMultiplier: 1)), delta: 1e-9).upper <= 1
                + 1e-12)
    }
}
