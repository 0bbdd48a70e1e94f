import DP
import FedTrain
import Foundation
import Service
import Synchronization
import Testing

/// A server that dies after any named point of a round and is started again, with clients that notice nothing
/// but a lost connection.
@Suite(.serialized) struct ServerCrashTests {
    private struct Crash: Error {}

    /// Every point of a round and of the run's end, in order.
    static let points: [String] = {
        var points = ["round reserved"]
        for stage in ["advertise", "share", "mask", "confirm", "unmask"] {
            if stage == "unmask" { points.append("sum committed") }
            for step in ["recorded", "sent", "answered", "closed"] { points.append("stage \(stage) \(step)") }
        }
        return points + [
            "adapter written", "state written", "round released", "score recorded",
            "final adapter written", "adapter noted", "ledger closed", "report written",
        ]
    }()

    /// Only with FEDTRAIN_SLOW_TESTS=1: some seconds for each point.
    static let isSlow = ProcessInfo.processInfo.environment["FEDTRAIN_SLOW_TESTS"] == "1"

    @Test func thereAreEnoughPoints() { #expect(Set(Self.points).count >= 25) }

    @Test(.enabled(if: isSlow), arguments: points)
    func aCrashBetweenAnyTwoStepsNeverCountsTooLittle(point: String) async throws {
        let fixture = try NetworkFixture(
            sites: 3, rounds: 2, minCohort: 3, minSurvivors: 3, stageSeconds: 5, graceSeconds: 5)
        let port = Int.random(in: 20_000..<60_000)
        let clients = Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for site in 1...3 {
                    group.addTask { _ = try await fixture.client(site, port: port).run() }
                }
                try await group.waitForAll()
            }
        }
        let hasCrashed = Mutex(false)
        await #expect(throws: Crash.self) {
            try await fixture.serve(
                port: port,
                passing: { passed in
                    if passed == point, !hasCrashed.withLock({ $0 }) {
                        hasCrashed.withLock { $0 = true }
                        throw Crash()
                    }
                }, clients: { _, _ in })
        }
        let run: RunDirectory
        if ["ledger closed", "report written"].contains(point) {
            // Nothing is left but the report, which looking at the workspace completes.
            await #expect(throws: NetworkFixture.FixtureError.self) {
                try await fixture.serve(port: port, clients: { _, _ in })
            }
            run = try fixture.workspace("served").runs()[0]
            clients.cancel()
            _ = await clients.result
        } else {
            run = try await fixture.serve(port: port, clients: { _, _ in }).run
            try await clients.value
        }

        let audit = try RunAudit(run, expecting: fixture.serverKey.verifyingKey)
        #expect(audit.findings.isEmpty, "\(point): \(audit.findings)")
        let ledger = try Ledger.verify(Array(FileManager.default.contents(atPath: run.ledger)!))
        let (first, second) = (ledger.rounds[1]!.state, ledger.rounds[2]!.state)
        #expect(second == .released, "\(point)")
        let index = Self.points.firstIndex(of: point)!
        let asked = Self.points.firstIndex(of: "stage mask recorded")!
        let opened = Self.points.firstIndex(of: "state written")!
        // Before the store knows of the round, the answer is the one that can only charge too much.
        let isUnknown = point == "round reserved"
        let expected: Ledger.Round.State =
            index >= opened ? .released : index >= asked || isUnknown ? .abortedSpent : .abortedReturned
        #expect(first == expected, "\(point): \(first)")
        // Whatever a client counts, the server counts.
        for site in 1...3 {
            let directory = Workspace(root: "\(fixture.directory)/site-\(site)").runs()[0]
            let own = try Ledger.verify(Array(FileManager.default.contents(atPath: directory.ledger)!))
            for (round, entry) in own.rounds where entry.state == .committed {
                #expect(ledger.rounds[round]?.state != .abortedReturned, "\(point): round \(round)")
            }
        }
    }
}
