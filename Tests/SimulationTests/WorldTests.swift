import Simulation
import Testing

@Suite("Whole federations under faults and lies")
struct WorldTests {
    /// Worlds with libsodium, small enough to run always: about 6 s.
    private static func campaign(seeds: ClosedRange<UInt64>, clients: Int) -> (Campaign, [Violation]) {
        var options = World.Options()
        options.clients = clients
        var campaign = Campaign()
        var violations: [Violation] = []
        for seed in seeds {
            let report = World(seed: seed, options: options).run()
            campaign.add(report)
            if !report.violations.isEmpty {
                print("seed \(seed), \(clients) clients: \(report.violations[0])")
            }
            violations += report.violations
        }
        return (campaign, violations)
    }

    @Test("No invariant breaks in a few hundred rounds, and every kind of fault was there")
    func holds() {
        let (campaign, violations) = Self.campaign(seeds: 1...70, clients: 7)
        #expect(violations.isEmpty, "replay with scripts/simulate-faults --real-crypto --clients 7 --trace")
        #expect(campaign.rounds == 70 * 8)
        let missing = Fault.allCases.filter { campaign.faults[$0] == nil }
        #expect(missing.isEmpty, "kinds that never happened")
        for name in ["released", "lied to: nothing opened", "lied to: only sums above the floor opened"] {
            #expect(campaign.outcomes[name, default: 0] > 20, "\(name)")
        }
    }

    @Test("Sixteen clients")
    func holdsForSixteen() {
        let (campaign, violations) = Self.campaign(seeds: 5000...5003, clients: 16)
        #expect(violations.isEmpty, "replay with scripts/simulate-faults --real-crypto --trace")
        #expect(campaign.rounds == 4 * 8)
    }

    @Test("A seed replays bit for bit, and another seed is another world", arguments: [3, 77] as [UInt64])
    func replays(seed: UInt64) {
        var options = World.Options()
        options.clients = 6
        options.traces = true
        let first = World(seed: seed, options: options).run()
        let second = World(seed: seed, options: options).run()
        #expect(first.digest == second.digest)
        #expect(first.lines == second.lines)
        #expect(first.outcomes == second.outcomes)
        #expect(first.faults == second.faults)
        #expect(World(seed: seed + 1, options: options).run().digest != first.digest)
    }

    @Test("Keeping a trace changes nothing")
    func tracesAreFree() {
        var options = World.Options()
        options.clients = 5
        let quiet = World(seed: 9, options: options).run()
        options.traces = true
        #expect(World(seed: 9, options: options).run().digest == quiet.digest)
        #expect(quiet.lines.isEmpty)
    }
}
