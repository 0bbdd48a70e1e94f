import DP
import FedTrain
import Foundation
import Sodium
import Testing

/// The one-run audit through the real rounds: clip, rotate, round, noise, mask, sum.
@Suite("Empirical audit")
struct AuditEmpiricalTests {
    /// A correct build is refuted with probability at most 0.05 by construction, in fact far less: the
    /// bounds stay well below the truth. Seeds are fixed.
    @Test("a correct build is not refuted", arguments: [1, 2] as [UInt64])
    func correctRecords(seed: UInt64) throws {
        let outcome = try AuditFixture.audit(.record, seed: seed)
        print("seed \(seed): \(outcome)")
        #expect(!outcome.refutesClaim)
        #expect(outcome.epsilonLowerBound < outcome.epsilonClaimed)
        #expect(outcome.tests.map(\.kind) == CanaryKind.allCases)
        // A test that sees nothing would pass as well: this one sees noise of a third.
        #expect(outcome.noiseFactorNoticed >= 0.333)
        #expect(outcome.limits.contains("of the claimed deviation"))
    }

    @Test("every planted fault is caught", arguments: PlantedFault.allCases)
    func faultsRecords(fault: PlantedFault) throws {
        let outcome = try AuditFixture.audit(.record, fault: fault, seed: 11)
        print("\(fault): \(outcome)")
        #expect(outcome.refutesClaim)
    }

    /// Canary clients: each a client of its own with all five stages.
    @Test("canary clients see what canary records see")
    func clients() throws {
        let correct = try AuditFixture.audit(.client, seed: 21)
        print("\(correct)")
        #expect(!correct.refutesClaim)
        #expect(correct.participations == 1)
        let fault = try AuditFixture.audit(.client, fault: .noiseOverThree, seed: 22)
        print("\(fault)")
        #expect(fault.refutesClaim)
    }

    /// About two minutes: more seeds, and every fault for canary clients.
    @Test("many seeds", .enabled(if: AuditFixture.isSlow))
    func many() throws {
        var refuted = 0
        for seed in 100..<120 as Range<UInt64> {
            if try AuditFixture.audit(.record, seed: seed).refutesClaim { refuted += 1 }
        }
        // At 0.05 each, more than 5 of 20 has probability 0.0003.
        #expect(refuted <= 5)
        print("refuted \(refuted) of 20 correct builds")
        for fault in PlantedFault.allCases {
            #expect(try AuditFixture.audit(.client, fault: fault, seed: 31).refutesClaim, "\(fault)")
        }
    }

    @Test("the same seed gives the same outcome, and it survives the ledger")
    func replay() throws {
        var request = EmpiricalAudit.Request()
        request.canaries = 100
        let plan = try AuditFixture.plan(request: request)
        let first = try EmpiricalAudit(plan: plan, request: request, randomness: .seeded(5)).run()
        let second = try EmpiricalAudit(plan: plan, request: request, randomness: .seeded(5)).run()
        #expect(first == second)
        #expect(AuditOutcome(payload: first.payload) == first)
        var changed = first.payload
        changed["direction.oneRun"] = "3.5"
        #expect(AuditOutcome(payload: changed) == nil)
        changed = first.payload
        changed["coordinate.guesses"] = nil
        #expect(AuditOutcome(payload: changed) == nil)
    }

    @Test("noise that is removed after dropouts is audited at the floor, where none is removed")
    func removableNoise() throws {
        var request = EmpiricalAudit.Request()
        request.canaries = 200
        let plan = try AuditFixture.plan(
            ["privacy.mechanism": "skellam", "privacy.dropoutNoise": "exact"], request: request)
        #expect(plan.removableNoise != nil)
        var audit = try EmpiricalAudit(plan: plan, request: request, randomness: .seeded(6))
        let outcome = try audit.run()
        #expect(!outcome.refutesClaim)
        #expect(outcome.epsilonLowerBound > 0)
        audit.steps = PlantedFault.noiseOff.steps
        #expect(try audit.run().epsilonLowerBound > outcome.epsilonLowerBound)
    }

    @Test("the audit's plan makes the claim of the run's plan")
    func samePlan() throws {
        for unit in ["record", "client"] {
            let configuration = try AuditFixture.configuration(["privacy.unit": unit])
            let plan = try RoundPlan(
                configuration, dimension: 2048, recordCounts: [Int](repeating: 50, count: 8),
                baseDigest: .of([1]))
            #expect(try AuditFixture.plan(["privacy.unit": unit]).event == plan.event)
        }
    }

    @Test("requests out of range are refused by name")
    func refusals() throws {
        let plan = try AuditFixture.plan()
        func refused(_ change: (inout EmpiricalAudit.Request) -> Void) {
            var request = EmpiricalAudit.Request()
            change(&request)
            #expect(throws: AccountingError.self) {
                try EmpiricalAudit(plan: plan, request: request, randomness: .seeded(1))
            }
        }
        refused { $0.canaries = 10 }
        refused { $0.canaries = 2_000_000 }
        refused { $0.confidence = 1 }
        refused { $0.confidence = .nan }
        refused { $0.participations = 0 }
        refused { $0.participations = 7 }
    }
}
