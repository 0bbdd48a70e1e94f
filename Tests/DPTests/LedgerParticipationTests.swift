import DP
import GMP
import Testing

/// Limit and gap: how often one client can have been charged, by its own ledger and by the run's.
@Suite struct LedgerParticipationTests {
    /// The largest subset of `rounds` that a client may have been in, by trying all of them.
    private func most(_ rounds: [Int], _ bounds: ParticipationBounds) -> Int {
        var best = 0
        for mask in 0..<(1 << rounds.count) {
            let chosen = rounds.indices.filter { mask >> $0 & 1 == 1 }.map { rounds[$0] }
            guard chosen.count <= bounds.limit ?? .max,
                zip(chosen, chosen.dropFirst()).allSatisfy({ $1 - $0 >= bounds.gap })
            else { continue }
            best = max(best, chosen.count)
        }
        return best
    }

    @Test func theCountIsTheLargestSetThatLimitAndGapAllow() {
        for limit in [nil, 1, 2, 3] {
            for gap in 1...4 {
                let bounds = ParticipationBounds(limit: limit, gap: gap)
                for mask in 0..<(1 << 9) {
                    let rounds = (1...9).filter { mask >> ($0 - 1) & 1 == 1 }
                    var count = ParticipationCount(bounds)
                    for round in rounds { _ = count.add(round) }
                    #expect(count.count == most(rounds, bounds), "\(rounds), \(bounds)")
                }
                for rounds in 1...12 {
                    let found = bounds.participations(in: rounds)
                    #expect(found == most(Array(1...rounds), bounds))
                    if let back = bounds.rounds(for: found) {
                        #expect(bounds.participations(in: back) == found)
                        #expect(bounds.participations(in: back + 1) == found + 1)
                    } else {
                        #expect(bounds.participations(in: 1 << 40) == found)
                    }
                }
            }
        }
    }

    @Test func theRunsLedgerChargesNoMoreThanOneClientCanHaveBeenIn() throws {
        let plan = try LedgerFixtures.plan(budget: 40, limit: 3, gap: 2)
        let storage = MemoryLedgerStorage()
        let file = try LedgerFile.create(in: storage, key: LedgerFixtures.key, plan: plan, at: 0)
        func spent() throws -> Double { try file.ledger.budget.epsilonSpent().upper }
        func price(_ count: Int) throws -> Double {
            try RDPAccountant().epsilon(of: EventTally(plan.event, count: count), delta: 1e-5).upper
        }
        // Rounds 1 and 2 cannot both be one client's; after three, the limit holds.
        for (round, count) in [(1, 1), (2, 1), (3, 2), (4, 2), (7, 3), (8, 3), (20, 3)] {
            _ = try file.reserve(round: round, at: 0)
            #expect(file.ledger.participations == count, "after round \(round)")
            #expect(try spent() == price(count))
        }
        // Without round 20 nothing changes; without round 1 there are still 2, 4 and 7.
        try file.abort(round: 20, beforeAnythingLeft: true, reason: "quorum", at: 0)
        try file.abort(round: 1, beforeAnythingLeft: true, reason: "quorum", at: 0)
        #expect(try spent() == price(3))
        // 2, 4 and 8 are left; then 4 and 8.
        try file.abort(round: 7, beforeAnythingLeft: true, reason: "quorum", at: 0)
        #expect(try spent() == price(3))
        try file.abort(round: 2, beforeAnythingLeft: true, reason: "quorum", at: 0)
        #expect(try spent() == price(2))
        #expect(try Ledger.verify(storage.log).budget.epsilonSpent().upper == price(2))
    }

    @Test func withBoundsTheRunsLedgerTakesOnlyThePlannedEvent() throws {
        let plan = try LedgerFixtures.plan(accountant: .gdp, rate: nil, gap: 2)
        let file = try LedgerFile.create(
            in: MemoryLedgerStorage(), key: LedgerFixtures.key, plan: plan, at: 0)
        #expect(throws: LedgerError.self) {
            _ = try file.reserve(round: 1, event: LedgerFixtures.event(rate: nil, sigma: 160_000), at: 0)
        }
        _ = try file.reserve(round: 1, at: 0)
    }

    @Test func aClientsLedgerSaysBeforehandWhatItWouldRefuse() throws {
        let file = try LedgerFile.create(
            in: MemoryLedgerStorage(), key: LedgerFixtures.key,
            plan: LedgerFixtures.plan(budget: 40, role: .client, limit: 2, gap: 3), at: 0)
        #expect(file.ledger.admits(round: 1))
        _ = try file.reserve(round: 1, at: 0)
        for round in 2...9 {
            let admits = file.ledger.admits(round: round)
            #expect(admits == (round == 4), "\(round)")
            if admits {
                _ = try file.reserve(round: round, at: 0)
            } else {
                #expect(throws: LedgerError.self) { _ = try file.reserve(round: round, at: 0) }
            }
        }
        #expect(file.ledger.participations == 2)
    }
}
