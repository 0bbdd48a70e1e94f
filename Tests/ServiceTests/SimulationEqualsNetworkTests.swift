import DP
import FedTrain
import Foundation
import SecureAgg
import Service
import Synchronization
import Testing

/// The network carries the same federation as the simulation: the same bytes of masks, sums, adapters and
/// transcripts.
@Suite(.serialized) struct SimulationEqualsNetworkTests {
    /// Gradients of records, a client's own model beside the shared one, and a few numbers instead of a model.
    @Test(arguments: [
        ("dp-fedsgd", NetworkFixture.gradients.training, NetworkFixture.gradients.privacy),
        (
            "ditto",
            #"""
            "algorithm": "ditto", "localSteps": "2", "batchSize": "4", "learningRate": "0.01",
            "lambda": "0.5", "personalSteps": "2", "personalLearningRate": "0.01"
            """#, #""unit": "client""#
        ),
        (
            "fedkseed",
            #"""
            "algorithm": "fedkseed", "localSteps": "2", "batchSize": "4", "learningRate": "0.01",
            "directions": "64", "perturbation": "0.001"
            """#, #""unit": "client""#
        ),
    ])
    func sim_equals_net(algorithm: String, training: String, privacy: String) async throws {
        let fixture = try NetworkFixture(work: (training, privacy))
        let simulated = try fixture.simulate()
        let (outcome, run) = try await fixture.serve { port, _ in
            let outcomes = try await withThrowingTaskGroup(of: FederationClient.Outcome.self) { group in
                for site in 1...fixture.sites {
                    group.addTask { try await fixture.client(site, port: port).run() }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            for outcome in outcomes {
                #expect(outcome.rounds == 2 && outcome.released == 2)
                #expect(outcome.contributed == 2 && outcome.verified == 2)
                #expect(!outcome.stopped)
            }
        }
        #expect(outcome.released == 2)
        try expectEqualRuns(simulated.run, run)
        #expect(outcome.epsilon == simulated.epsilon)
        #expect(outcome.after == simulated.after)
        let own = try (1...fixture.sites).map { site in
            let simulated = try files("\(simulated.run.path)/personal/site-\(site)")
            let real = try files(
                "\(Workspace(root: "\(fixture.directory)/site-\(site)").runs()[0].path)/personal")
            #expect(simulated == real)
            return real
        }
        #expect(own.allSatisfy { $0.isEmpty == (algorithm != "ditto") })
    }

    /// Every file under a directory, by its name; none if there is no directory.
    private func files(_ directory: String) throws -> [String: Data] {
        let names = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String } ?? []
        return Dictionary(
            uniqueKeysWithValues: names.compactMap { name in
                FileManager.default.contents(atPath: "\(directory)/\(name)")
                    .map { ((name as NSString).lastPathComponent, $0) }
            })
    }

    @Test func aClientLostInTheSameStageLeavesTheSameSum() async throws {
        let fixture = try NetworkFixture(
            lose: #"[{"round": "1", "stage": "mask", "clients": "1"}]"#, stageSeconds: 4)
        let simulated = try fixture.simulate()
        #expect(simulated.rounds.map(\.survivors) == [4, 5])
        let lost = try lostSite(fixture, simulated.run)
        let (outcome, run) = try await fixture.serve { port, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for site in 1...fixture.sites where site != lost {
                    group.addTask { _ = try await fixture.client(site, port: port).run() }
                }
                group.addTask {
                    // Killed after its shares left; a new process then takes part in the second round.
                    let killed = Task { () throws -> Void in
                        let client = try fixture.client(lost, port: port) { event in
                            if case .stageAnswered(.shareKeys, round: 1) = event {
                                withUnsafeCurrentTask { $0?.cancel() }
                            }
                        }
                        _ = try await client.run()
                    }
                    await #expect(throws: CancellationError.self) { try await killed.value }
                    _ = try await fixture.client(lost, port: port).run()
                }
                try await group.waitForAll()
            }
        }
        #expect(outcome.released == 2)
        try expectEqualRuns(simulated.run, run)
    }

    /// The one whose own ledger says that it left before its masked vector did.
    private func lostSite(_ fixture: NetworkFixture, _ run: RunDirectory) throws -> Int {
        for site in 1...fixture.sites {
            let bytes = FileManager.default.contents(atPath: run.clientLedger("site-\(site)"))!
            let ledger = try Ledger.verify(Array(bytes))
            if ledger.rounds[1]?.state == .abortedReturned { return site }
        }
        throw NetworkFixture.FixtureError.runIsOver
    }

    private func expectEqualRuns(_ left: RunDirectory, _ right: RunDirectory) throws {
        func releases(_ run: RunDirectory) throws -> [[String: String]] {
            let bytes = FileManager.default.contents(atPath: run.ledger)!
            return try Ledger.verify(Array(bytes)).records.filter { $0.kind == .release }.map(\.payload)
        }
        let (first, second) = (try releases(left), try releases(right))
        #expect(first.count == 2 && first == second)
        #expect(first.allSatisfy { $0["transcript"] != nil && $0["adapter"] != nil })
        for round in 1...2 {
            let name = "adapter_model.safetensors"
            let files = [left, right].map {
                FileManager.default.contents(atPath: "\($0.globalAdapter(round: round))/\(name)")
            }
            #expect(files[0] != nil && files[0] == files[1])
        }
    }
}
