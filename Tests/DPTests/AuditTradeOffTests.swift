import DP
import Foundation
import GMP
import Sodium
import Testing

/// The curves that an audit tests claims with.
@Suite struct AuditTradeOffTests {
    @Test func withoutSamplingTheCurveIsTheComposedGaussian() throws {
        let curve = TradeOffCurve(mu: 0.5, rate: 1, count: 4)
        for x in [1e-6, 0.01, 0.2, 0.5, 0.9, 0.999] {
            let exact = NormalDistribution.cumulative(NormalDistribution.quantile(x) - 1)
            #expect(abs(curve(x) - exact) < 1e-12)
        }
        #expect(abs(curve.epsilon(delta: 1e-5) - 4.37717809) < 1e-6)
    }

    /// Near rate 1 the sampled curve is the Gaussian one; it must not lie above it, which would refute
    /// true claims, and no more than a thousandth below.
    @Test func theSampledCurveMeetsTheGaussianFromBelow() {
        let gaussian = TradeOffCurve(mu: 0.8, rate: 1, count: 5)
        let sampled = TradeOffCurve(mu: 0.8, rate: 1 - 1e-9, count: 5)
        for x in [0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99] {
            #expect(sampled(x) <= gaussian(x) + 1e-9, "\(x)")
            #expect(sampled(x) >= gaussian(x) - 2e-3, "\(x): \(sampled(x)) \(gaussian(x))")
        }
    }

    @Test func theSampledCurveAgreesWithTheAccountant() throws {
        let event = try PrivacyEvent(
            unit: .record, adjacency: .zeroOut,
            kind: .poissonSampled(rate: Rational(1, 10), .gaussian(noiseMultiplier: 1)))
        let curve = try #require(try TradeOffCurve(of: event, count: 30))
        let price = try PLDAccountant().epsilon(of: EventTally(event, count: 30), delta: 1e-5).upper
        // The curve's ε is read off its grid from below.
        #expect(curve.epsilon(delta: 1e-5) <= price * 1.001)
        #expect(curve.epsilon(delta: 1e-5) >= price * 0.93)
    }

    @Test func eventsWithoutACurveAreNotGuessed() throws {
        let event = try PrivacyEvent(
            unit: .record, adjacency: .zeroOut, kind: .laplace(noiseMultiplier: 1))
        #expect(try TradeOffCurve(of: event, count: 1) == nil)
    }

    /// The family's bound is that of the Gaussian form, up to the step of its scale (2^(1/8), 9 %).
    @Test func theFamilyGivesTheGaussianBound() throws {
        for (guesses, correct) in [(100, 95), (500, 430), (1000, 700)] {
            let audit = try OneRunAudit(canaries: 1000, guesses: guesses, correct: correct)
            let family = TradeOffFamily(claim: TradeOffCurve(mu: 1, rate: 1, count: 1))
            let mu = audit.muLowerBound()
            let exact = GaussianTradeOff.epsilon(mu: mu, delta: 1e-5).lower
            let bound = family.epsilonLowerBound(audit, delta: 1e-5)
            #expect(bound <= exact * (1 + 1e-6))
            #expect(bound >= exact * 0.85, "\(bound) \(exact)")
        }
        let half = try OneRunAudit(canaries: 1000, guesses: 200, correct: 100)
        let family = TradeOffFamily(claim: TradeOffCurve(mu: 1, rate: 0.2, count: 3))
        #expect(family.epsilonLowerBound(half, delta: 1e-5) == 0)
    }

    @Test func aClosedLedgerTakesAuditsAndNothingElse() throws {
        let storage = MemoryLedgerStorage()
        let file = try LedgerFixtures.history(in: storage)
        try file.audit(at: 2000, payload: ["claimed": "1"])
        #expect(file.ledger.isClosed)
        #expect(throws: LedgerError.self) { try file.note(at: 2001, payload: ["text": "late"]) }
        #expect(throws: LedgerError.self) { try file.close(at: 2001) }
        #expect(throws: LedgerError.self) { _ = try file.reserve(round: 9, at: 2001) }
        let spent = try Ledger.verify(storage.log).budget.epsilonSpent().upper
        #expect(try spent == LedgerFixtures.history().ledger.budget.epsilonSpent().upper)
    }
}
