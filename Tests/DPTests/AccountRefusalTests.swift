import DP
import GMP
import Testing

@Suite struct AccountRefusalTests {
    private func event(_ kind: PrivacyEvent.Kind, _ adjacency: Adjacency = .zeroOut) throws -> PrivacyEvent {
        try PrivacyEvent(unit: .client, adjacency: adjacency, kind: kind)
    }

    @Test func numbersOutOfRangeAreRefused() {
        let bad: [PrivacyEvent.Kind] = [
            .gaussian(noiseMultiplier: 0), .gaussian(noiseMultiplier: -1),
            .gaussian(noiseMultiplier: Rational(1, 10_000_000)), .laplace(noiseMultiplier: 0),
            .discreteGaussian(delta2Squared: 0, sigmaSquared: 1),
            .discreteGaussian(delta2Squared: 1, sigmaSquared: 0),
            .discreteLaplace(scale: 1, sensitivity: 0),
            .discreteGaussianSum(delta2Squared: 1, sigmaLocalSquared: 16, honestShares: 0, dimension: 1),
            .discreteGaussianSum(delta2Squared: 1, sigmaLocalSquared: 16, honestShares: 1, dimension: 0),
            .discreteGaussianSum(delta2Squared: -4, sigmaLocalSquared: 16, honestShares: 1, dimension: 1),
            .skellamSum(delta2Squared: 1, variance: 0, dimension: 1),
            .randomisedResponse(noiseProbability: 0, buckets: 2),
            .randomisedResponse(noiseProbability: Rational(1, 2), buckets: 1),
            .poissonSampled(rate: Rational(11, 10), .gaussian(noiseMultiplier: 1)),
            .poissonSampled(rate: -1, .gaussian(noiseMultiplier: 1)),
            .poissonSampled(rate: Rational(1, 2), .gaussian(noiseMultiplier: 0)),
            .repeated(.gaussian(noiseMultiplier: 1), count: -1),
            .composed([.gaussian(noiseMultiplier: 1), .laplace(noiseMultiplier: 0)]),
        ]
        for kind in bad {
            #expect(throws: AccountingError.self, "\(kind)") { try event(kind) }
        }
    }

    @Test(arguments: [0, 1, -0.1, 1.5, .nan, .infinity, 1e-201])
    func deltasOutOfRangeAreRefused(delta: Double) throws {
        let tally = try tally(.gaussian(noiseMultiplier: 1))
        for accountant in AccountantKind.allCases.map(\.accountant) {
            #expect(throws: AccountingError.self) { try accountant.epsilon(of: tally, delta: delta) }
        }
    }

    @Test(arguments: [-0.1, .nan, .infinity])
    func epsilonsOutOfRangeAreRefused(epsilon: Double) throws {
        let tally = try tally(.gaussian(noiseMultiplier: 1))
        for accountant in AccountantKind.allCases.map(\.accountant) {
            #expect(throws: AccountingError.self) { try accountant.delta(of: tally, epsilon: epsilon) }
        }
    }

    @Test func unknownEventsAreRefusedByNameEvenInsideATree() throws {
        let tree = PrivacyEvent.Kind.composed([
            .gaussian(noiseMultiplier: 1), .repeated(.unsupported("exponential mechanism"), count: 2),
        ])
        for accountant in AccountantKind.allCases.map(\.accountant) {
            do {
                _ = try accountant.epsilon(of: EventTally(event(tree)), delta: 1e-5)
                Issue.record("\(accountant.name) priced an unknown event")
            } catch {
                #expect("\(error)".contains("exponential mechanism"), "\(error)")
            }
        }
    }

    @Test func samplingIsRefusedWhereNoBoundIsKnown() throws {
        let sampled = try tally(
            .poissonSampled(rate: Rational(1, 100), .gaussian(noiseMultiplier: 1)))
        #expect(throws: AccountingError.self) { try GDPAccountant().epsilon(of: sampled, delta: 1e-5) }
        #expect(throws: AccountingError.self) { try ZCDPAccountant().epsilon(of: sampled, delta: 1e-5) }
        let twice = try tally(
            .poissonSampled(
                rate: Rational(1, 2),
                .poissonSampled(rate: Rational(1, 2), .gaussian(noiseMultiplier: 1))))
        #expect(throws: AccountingError.self) { try RDPAccountant().epsilon(of: twice, delta: 1e-5) }
    }

    @Test func adjacenciesThatWouldChangeTheFormulaAreRefused() throws {
        #expect(throws: AccountingError.self) {
            try event(.poissonSampled(rate: Rational(1, 2), .gaussian(noiseMultiplier: 1)), .replaceOne)
        }
        let sum = PrivacyEvent.Kind.discreteGaussianSum(
            delta2Squared: 1, sigmaLocalSquared: 16, honestShares: 3, dimension: 1)
        #expect(throws: AccountingError.self) { try event(sum, .addRemove) }
        _ = try PrivacyEvent(unit: .record, adjacency: .addRemove, kind: sum)
    }

    @Test func lossesOfDifferentUnitsDoNotAdd() throws {
        var events = try tally(.gaussian(noiseMultiplier: 1))
        let other = try PrivacyEvent(unit: .record, adjacency: .zeroOut, kind: .gaussian(noiseMultiplier: 1))
        #expect(throws: AccountingError.self) { try events.add(other) }
        let replaced = try event(.gaussian(noiseMultiplier: 1), .replaceOne)
        #expect(throws: AccountingError.self) { try events.add(replaced) }
    }

    @Test func countsThatOverflowAreRefused() throws {
        let big = PrivacyEvent.Kind.repeated(
            .repeated(.gaussian(noiseMultiplier: 1), count: 1 << 30), count: 1 << 30)
        #expect(throws: AccountingError.self) { try tally(big) }
        #expect(throws: AccountingError.self) { try tally(.gaussian(noiseMultiplier: 1), count: -1) }
    }
}
