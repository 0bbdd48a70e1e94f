import DP
import GMP
import Sodium
import Testing

@Suite struct LedgerRuleTests {
    private func make(_ plan: PlanStatement) throws -> LedgerFile {
        try LedgerFile.create(in: MemoryLedgerStorage(), key: LedgerFixtures.key, plan: plan, at: 0)
    }

    @Test func theFilterStopsBeforeTheBudgetIsPassedAndNotEarlier() throws {
        for accountant in [AccountantKind.rdp, .zcdp, .gdp] {
            let rate: Rational? = accountant == .rdp ? Rational(1, 10) : nil
            let plan = try LedgerFixtures.plan(budget: 12, accountant: accountant, rate: rate)
            let file = try make(plan)
            let limit = try Calibration.count(
                epsilon: 12, delta: 1e-5, accountant: accountant.accountant, of: plan.event)
            #expect(limit >= 2, "\(limit)")
            for round in 1...limit { _ = try file.reserve(round: round, at: 0) }
            let before = file.ledger.head
            do throws(LedgerError) {
                _ = try file.reserve(round: limit + 1, at: 0)
                Issue.record("round \(limit + 1) passed the budget")
            } catch .budgetExceeded {
            }
            #expect(file.ledger.head == before, "a refusal leaves no record")
            let spent = try file.ledger.budget.epsilonSpent()
            #expect(spent.upper <= 12 && file.ledger.rounds.count == limit)
        }
    }

    @Test func onlyAnAbortBeforeAnythingLeftReturnsTheCost() throws {
        let file = try make(LedgerFixtures.plan())
        _ = try file.reserve(round: 1, at: 0)
        let one = try file.ledger.budget.epsilonSpent().upper
        try file.abort(round: 1, beforeAnythingLeft: true, reason: "quorum", at: 0)
        #expect(try file.ledger.budget.epsilonSpent().upper == 0)
        _ = try file.reserve(round: 2, at: 0)
        try file.abort(round: 2, beforeAnythingLeft: false, reason: "lost", at: 0)
        #expect(try file.ledger.budget.epsilonSpent().upper == one)
        _ = try file.reserve(round: 3, at: 0)
        try file.commit(round: 3, survivors: 6, at: 0)
        #expect(throws: LedgerError.self) {
            try file.abort(round: 3, beforeAnythingLeft: true, reason: "regret", at: 0)
        }
        try file.abort(round: 3, beforeAnythingLeft: false, reason: "decoder failed", at: 0)
        #expect(file.ledger.participations == 2)
    }

    @Test func stepsOutOfOrderAreRefusedAndLeaveNoTrace() throws {
        let file = try make(LedgerFixtures.plan())
        func refused(_ step: () throws -> Void) {
            let before = (file.ledger.head, file.ledger.budget.spent, file.ledger.rounds)
            #expect(throws: LedgerError.self) { try step() }
            #expect(before.0 == file.ledger.head && before.1 == file.ledger.budget.spent)
            #expect(before.2 == file.ledger.rounds)
        }
        refused { try file.commit(round: 1, survivors: 7, at: 0) }
        refused { try file.release(round: 1, at: 0) }
        refused { try file.abort(round: 1, beforeAnythingLeft: true, reason: "", at: 0) }
        refused { _ = try file.reserve(round: -1, at: 0) }
        _ = try file.reserve(round: 5, at: 10)
        refused { _ = try file.reserve(round: 5, at: 10) }
        refused { _ = try file.reserve(round: 4, at: 10) }
        refused { _ = try file.reserve(round: 6, at: 9) }
        refused { try file.release(round: 5, at: 10) }
        refused { try file.commit(round: 5, survivors: 5, at: 10) }
        refused { try file.commit(round: 5, survivors: 9, at: 10) }
        refused { try file.commit(round: 5, at: 10) }
        refused { try file.close(at: 10) }
        try file.commit(round: 5, survivors: 6, at: 10)
        refused { try file.commit(round: 5, survivors: 6, at: 10) }
        try file.release(round: 5, at: 10)
        refused { try file.release(round: 5, at: 10) }
        refused { try file.abort(round: 5, beforeAnythingLeft: false, reason: "", at: 10) }
        try file.close(at: 11)
        refused { try file.note(at: 12, payload: [:]) }
        refused { _ = try file.reserve(round: 6, at: 12) }
    }

    @Test func rdpAdmitsOnlyThePlannedEventAndGDPAdmitsOthers() throws {
        let other = try LedgerFixtures.event(sigma: 160_000)
        let rdp = try make(LedgerFixtures.plan())
        #expect(throws: LedgerError.self) { _ = try rdp.reserve(round: 1, event: other, at: 0) }
        #expect(throws: LedgerError.self) { try rdp.score(event: other, at: 0, payload: [:]) }
        try rdp.score(event: LedgerFixtures.event(), at: 0, payload: ["metric": "loss"])
        #expect(try rdp.ledger.budget.epsilonSpent().upper > 0)

        let gdp = try make(LedgerFixtures.plan(accountant: .gdp, rate: nil))
        _ = try gdp.reserve(round: 1, event: LedgerFixtures.event(rate: nil, sigma: 160_000), at: 0)
        let sampled = try PrivacyEvent(
            unit: .client, adjacency: .zeroOut,
            kind: .poissonSampled(rate: Rational(1, 2), .gaussian(noiseMultiplier: 1)))
        #expect(throws: LedgerError.self) { _ = try gdp.reserve(round: 2, event: sampled, at: 0) }
        let otherUnit = try LedgerFixtures.event()
        #expect(throws: LedgerError.self) { _ = try gdp.reserve(round: 2, event: otherUnit, at: 0) }
    }

    @Test func aClockThatGoesBackIsRefusedAndNothingIsForgotten() throws {
        let storage = MemoryLedgerStorage()
        let file = try LedgerFile.create(
            in: storage, key: LedgerFixtures.key, plan: LedgerFixtures.plan(), at: 1000)
        _ = try file.reserve(round: 1, at: 2000)
        let before = storage.log
        for time in [1999, 0, -5, Int.min] {
            #expect(throws: LedgerError.self) { try file.commit(round: 1, survivors: 7, at: time) }
            #expect(throws: LedgerError.self) { try file.note(at: time, payload: ["text": "late"]) }
        }
        #expect(storage.log == before, "the ledger is intact")
        #expect(file.ledger.participations == 1, "and the reservation stays spent")
        // A clock that leaps ahead is believed: times are the operator's word, budgets do not use them.
        try file.commit(round: 1, survivors: 7, at: 1 << 40)
        _ = try file.reserve(round: 2, at: 1 << 40)
        #expect(try Ledger.verify(storage.log).participations == 2)
    }

    @Test func aClientRefusesPastItsOwnLimitAndGap() throws {
        let file = try make(
            LedgerFixtures.plan(accountant: .gdp, rate: nil, role: .client, limit: 2, gap: 3))
        _ = try file.reserve(round: 2, at: 0)
        try file.commit(round: 2, at: 0)
        #expect(throws: LedgerError.participationGap(required: 3, actual: 2)) {
            _ = try file.reserve(round: 4, at: 0)
        }
        _ = try file.reserve(round: 5, at: 0)
        try file.abort(round: 5, beforeAnythingLeft: true, reason: "server left", at: 0)
        // Nothing left the client in round 5, so neither limit nor gap counts it.
        _ = try file.reserve(round: 6, at: 0)
        #expect(throws: LedgerError.participationLimit(2)) { _ = try file.reserve(round: 9, at: 0) }
    }

    @Test func plansThatContradictThemselvesAreRefused() throws {
        func refused(_ change: (inout PlanStatement) throws -> Void) throws {
            var plan = try LedgerFixtures.plan()
            try change(&plan)
            #expect(throws: LedgerError.self) { try make(plan) }
        }
        try refused { $0.minSurvivors = 7 }
        try refused { $0.colluders = 2 }
        try refused { $0.colluders = 6 }
        try refused { $0.dimension = 4097 }
        try refused { $0.samplingRate = Rational(1, 5) }
        try refused { $0.samplingRate = nil }
        try refused { $0.delta = 0 }
        try refused { $0.delta = 1 }
        try refused { $0.budgetEpsilon = 0 }
        try refused { $0.clients = 5 }
        try refused { $0.run = "" }
        try refused { $0.roundsPlanned = 0 }
        try refused { $0.wrapProbability = 2 }
        try refused { $0.clipNormMax = 0 }
    }

    @Test func plansReadBackExactlyAndRefuseStrangeFields() throws {
        for plan in [
            try LedgerFixtures.plan(),
            try LedgerFixtures.plan(accountant: .gdp, rate: nil, role: .client, limit: 3, gap: 2),
        ] {
            #expect(try PlanStatement(payload: plan.payload, event: plan.event) == plan)
            for name in plan.payload.keys where !name.hasPrefix("fact.") {
                var payload = plan.payload
                payload[name] = nil
                let optional = ["participationLimit", "participationGap"].contains(name)
                #expect(
                    ((try? PlanStatement(payload: payload, event: plan.event)) != nil) == optional, "\(name)")
            }
            var payload = plan.payload
            payload["surprise"] = "1"
            #expect(throws: AccountingError.self) { try PlanStatement(payload: payload, event: plan.event) }
            payload = plan.payload
            payload["clients"] = "08"
            #expect(throws: AccountingError.self) { try PlanStatement(payload: payload, event: plan.event) }
        }
    }

    @Test func aThousandRoundsVerifyQuickly() throws {
        let storage = MemoryLedgerStorage()
        let file = try LedgerFile.create(
            in: storage, key: LedgerFixtures.key, plan: LedgerFixtures.plan(budget: 500), at: 0)
        for round in 1...1000 {
            _ = try file.reserve(round: round, at: round)
            try file.commit(round: round, survivors: 7, at: round)
            try file.release(round: round, at: round)
        }
        let clock = ContinuousClock()
        let taken = try clock.measure { _ = try Ledger.verify(storage.log) }
        #expect(taken < .seconds(4), "3,001 records took \(taken)")
    }
}
