import DP
import Foundation
import GMP
import Testing

@Suite struct AccountCertifiedTests {
    @Test(arguments: 0..<5)
    func integersConfirmTheTransform(index: Int) throws {
        let (rate, multiplier, count, delta) = AccountLossDistributionTests.cases[index]
        let events = try tally(
            .poissonSampled(rate: rate, .gaussian(noiseMultiplier: multiplier)), count: count)
        let fast = try PLDAccountant().epsilon(of: events, delta: delta)
        let certified = try CertifiedPLDAccountant().epsilon(of: events, delta: delta)
        #expect(certified.upper >= fast.upper - 1e-9, "\(certified) \(fast)")
        #expect(certified.upper <= fast.upper * 1.001, "\(certified) \(fast)")
    }

    /// Where a float transform undershoots the truth (dp-accounting 0.6.0: by up to 7 per cent).
    @Test(arguments: [1e-5, 1e-12, 1e-18])
    func composedGaussiansNeverUndershoot(delta: Double) throws {
        let count = 10_000
        let exact = GaussianTradeOff.epsilon(mu: 1, delta: delta)
        let base = BaseLoss.gaussian(mu: 0.01, tail: delta * 1e-9 / Double(count), basis: .published)
        let step = 0.002
        let loss = GridLoss(base, rate: 1, direction: .remove, step: step)
        let ours = CertifiedLoss.composition([(loss, count)], step: step, delta: delta).epsilon(delta: delta)
        #expect(ours >= exact.lower, "\(ours) \(exact)")
        #expect(ours <= exact.upper * 1.01, "\(ours) \(exact)")
    }

    @Test func smallCompositionsMatchEnumeration() throws {
        // Randomised response: the loss is ±ln 3, so n runs are a binomial.
        let kind = PrivacyEvent.Kind.randomisedResponse(noiseProbability: Rational(1, 2), buckets: 2)
        for count in [1, 2, 3, 7, 12] {
            let epsilon = 0.4
            var exact = 0.0
            for hits in 0...count {
                let loss = Double(2 * hits - count) * log(3)
                let choose = exp(
                    lgamma(Double(count) + 1) - lgamma(Double(hits) + 1) - lgamma(Double(count - hits) + 1))
                exact +=
                    choose * pow(0.75, Double(hits)) * pow(0.25, Double(count - hits))
                    * max(0, 1 - exp(epsilon - loss))
            }
            let ours = try CertifiedPLDAccountant().delta(of: tally(kind, count: count), epsilon: epsilon)
            #expect(
                ours.upper >= exact * (1 - 1e-12) && ours.upper <= exact * 1.01, "\(count) \(ours) \(exact)")
        }
    }

    @Test func differentEventsCompose() throws {
        let left = PrivacyEvent.Kind.laplace(noiseMultiplier: 5)
        let right = PrivacyEvent.Kind.poissonSampled(rate: Rational(1, 10), .gaussian(noiseMultiplier: 2))
        let events = try tally(
            .composed([.repeated(left, count: 3), .repeated(right, count: 11), .gaussian(noiseMultiplier: 9)])
        )
        let fast = try PLDAccountant().epsilon(of: events, delta: 1e-6)
        let certified = try CertifiedPLDAccountant().epsilon(of: events, delta: 1e-6)
        #expect(certified.upper >= fast.upper - 1e-9 && certified.upper <= fast.upper * 1.001)
    }
}
