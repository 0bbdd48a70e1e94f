import DP
import GMP
import Testing

@Suite struct AccountCalibrationTests {
    private func gaussian(_ multiplier: Rational) throws(AccountingError) -> PrivacyEvent {
        try PrivacyEvent(unit: .client, adjacency: .zeroOut, kind: .gaussian(noiseMultiplier: multiplier))
    }

    private func sampled(_ rate: Rational) -> (Rational) throws(AccountingError) -> PrivacyEvent {
        { (multiplier: Rational) throws(AccountingError) -> PrivacyEvent in
            try PrivacyEvent(
                unit: .record, adjacency: .zeroOut,
                kind: .poissonSampled(rate: rate, .gaussian(noiseMultiplier: multiplier)))
        }
    }

    @Test func singleGaussiansMatchTheExactSolution() throws {
        for vector in AccountVectorFile.shared.of("calibrate_gaussian_single") {
            let target = vector.number("target_epsilon")
            let found = try Calibration.noiseMultiplier(
                epsilon: target, delta: vector.delta, accountant: GDPAccountant(), event: gaussian)
            let spent = try GDPAccountant().epsilon(
                of: EventTally(gaussian(found)), delta: vector.delta
            ).upper
            #expect(spent <= target && spent >= target - 1e-6)
            #expect(relative(found.asDouble, vector.results[0].number!) < 1e-5, "\(vector.id)")
        }
    }

    @Test func sampledGaussiansMatchOtherAccountants() throws {
        for vector in AccountVectorFile.shared.of("calibrate_poisson_gaussian_noise_multiplier") {
            let target = vector.number("target_epsilon")
            let event = sampled(vector.rational("q"))
            let count = vector.integer("T")
            let found = try Calibration.noiseMultiplier(
                epsilon: target, delta: vector.delta, count: count, accountant: RDPAccountant(), event: event)
            let spent = try RDPAccountant().epsilon(
                of: EventTally(event(found), count: count), delta: vector.delta
            ).upper
            #expect(spent <= target && spent >= target - 1e-6)
            let theirs = vector.first(method: "RDP")!
            // Theirs stops within 1e-4; grids of orders differ by up to a per cent.
            #expect(relative(found.asDouble, theirs) < 0.01, "\(vector.id) \(found.asDouble) \(theirs)")
            #expect(found.asDouble > vector.first(method: "PLD")!, "RDP needs more noise than the truth")
        }
    }

    @Test func countsAreMaximal() throws {
        for (target, z) in [(1.0, 8), (3.0, 4), (8.0, 2), (0.01, 3)] {
            let event = try gaussian(Rational(z))
            for accountant in AccountantKind.allCases.map(\.accountant) {
                let count = try Calibration.count(
                    epsilon: target, delta: 1e-6, accountant: accountant, of: event)
                if count > 0 {
                    #expect(
                        try accountant.epsilon(of: EventTally(event, count: count), delta: 1e-6).upper
                            <= target)
                }
                #expect(
                    try accountant.epsilon(of: EventTally(event, count: count + 1), delta: 1e-6).upper
                        > target)
            }
        }
    }

    @Test func theSmallestIntegerVarianceIsFound() throws {
        func sum(_ sigmaLocalSquared: Int) throws(AccountingError) -> PrivacyEvent {
            try PrivacyEvent(
                unit: .record, adjacency: .zeroOut,
                kind: .poissonSampled(
                    rate: Rational(1, 20),
                    .discreteGaussianSum(
                        delta2Squared: 250_000, sigmaLocalSquared: Rational(sigmaLocalSquared),
                        honestShares: 6, dimension: 20_000)))
        }
        let found = try Calibration.smallestInteger(
            in: 16...1 << 40, epsilon: 4, delta: 1e-5, count: 60, accountant: RDPAccountant(), event: sum)
        let at = { (value: Int) in
            try RDPAccountant().epsilon(of: EventTally(sum(value), count: 60), delta: 1e-5).upper
        }
        #expect(try at(found) <= 4 && at(found - 1) > 4)
        #expect(try at(found) > 4 - 1e-3)
    }

    @Test func impossibleTargetsAreRefused() throws {
        #expect(throws: AccountingError.self) {
            try Calibration.noiseMultiplier(
                epsilon: 0, delta: 1e-5, accountant: GDPAccountant(), event: gaussian)
        }
        #expect(throws: AccountingError.self) {
            try Calibration.noiseMultiplier(
                epsilon: .nan, delta: 1e-5, accountant: GDPAccountant(), event: gaussian)
        }
        #expect(throws: AccountingError.self) {
            try Calibration.noiseMultiplier(
                epsilon: 1, delta: 0, accountant: GDPAccountant(), event: gaussian)
        }
        // A fixed other release already costs more than the target.
        #expect(throws: AccountingError.self) {
            try Calibration.noiseMultiplier(
                epsilon: 0.1, delta: 1e-6, accountant: GDPAccountant()
            ) { (multiplier: Rational) throws(AccountingError) -> PrivacyEvent in
                try PrivacyEvent(
                    unit: .client, adjacency: .zeroOut,
                    kind: .composed([.gaussian(noiseMultiplier: multiplier), .gaussian(noiseMultiplier: 1)]))
            }
        }
    }

    @Test func profilesFallAndBoundTheBestTest() throws {
        let events = try tally(.gaussian(noiseMultiplier: 4), count: 10)
        let profile = PrivacyProfile(of: events, by: GDPAccountant())
        let rows = try profile.epsilons(atDeltas: [1e-5, 1e-6, 1e-8, 1e-10])
        #expect(zip(rows, rows.dropFirst()).allSatisfy { $0.epsilon.upper < $1.epsilon.upper })
        let mu = try GDPAccountant().mu(of: events).mu
        for falseAlarm in [0.001, 0.01, 0.1, 0.5] {
            let bound = try profile.testPower(falseAlarm: falseAlarm)
            let exact = GaussianTradeOff.testPower(mu: mu, falseAlarm: falseAlarm)
            #expect(bound >= exact - 1e-12 && bound <= exact + 2e-3, "\(falseAlarm) \(bound) \(exact)")
        }
    }
}
