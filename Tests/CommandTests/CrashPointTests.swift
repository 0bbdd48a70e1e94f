import Foundation
import Testing

/// Real processes, killed with SIGKILL after every named point and started again with the same command. One
/// federation carries all of them: each round, or each start of the server, has its own point.
@Suite(.serialized) struct CrashPointTests {
    let command: CommandRunner
    let network: NetworkWorkspace

    init() throws {
        command = try CommandRunner()
        network = NetworkWorkspace(command)
    }

    static let isSlow = ProcessInfo.processInfo.environment["FEDTRAIN_SLOW_TESTS"] == "1"

    /// Every point of a round and of the run's end at the server, in order.
    static let serverPoints: [String] = {
        var points = ["round reserved"]
        for stage in ["advertise", "share", "mask", "confirm", "unmask"] {
            if stage == "unmask" { points.append("sum committed") }
            for step in ["recorded", "sent", "answered", "closed"] { points.append("stage \(stage) \(step)") }
        }
        return points + ["adapter written", "state written", "round released"]
    }()

    /// Points that only the end of a run passes.
    static let endPoints = [
        "score recorded", "final adapter written", "adapter noted", "ledger closed", "report written",
    ]

    /// Every point at a client, in order.
    static let clientPoints: [String] = {
        var points = ["terms entered", "round entered", "adapter fetched", "contribution made"]
        for stage in ["advertise", "share", "mask", "confirm", "unmask"] {
            points.append("stage \(stage) recorded")
            if stage == "mask" { points += ["mask header sent", "mask chunk sent"] }
            points.append("stage \(stage) sent")
        }
        return points + ["result verified", "round settled"]
    }()

    @Test func thereAreEnoughPoints() {
        #expect(Set(Self.serverPoints + Self.endPoints).count >= 25)
        #expect(Set(Self.clientPoints).count >= 15)
    }

    /// About 20 s on an idle machine. The very last point has a federation of its own: whoever starts again
    /// after `ledger closed` is told that the run is over.
    @Test(
        .enabled(if: CrashPointTests.isSlow, "starts and kills many processes: minutes"),
        arguments: [serverPoints + endPoints.dropLast(), endPoints.suffix(1)])
    func aServerKilledAfterAnyPointReleasesTheRightSumOrNothing(points: [String]) throws {
        // A point costs the round it is in, and a round more follows the last one.
        let rounds = points.count + 1
        try network.configure(sites: 3, rounds: rounds, stageSeconds: 8, graceSeconds: 8)
        try network.enrol(3)
        var sites: [RunningCommand] = []
        for (index, point) in points.enumerated() {
            let server = try network.serve(crashAt: point)
            if index == 0 {
                try server.wait(for: "listening on", seconds: 60)
                sites = try (1...3).map { try network.join($0) }
            }
            #expect(server.finish(seconds: 120) == SIGKILL, "\(point): \(server.errors)")
        }
        let last = try network.serve()
        let status = last.finish(seconds: 120)
        // Once the ledger is closed, starting again only says that the run is over.
        #expect(status == 16, "\(last.errors)")
        for site in sites { site.kill() }

        let server = try network.ledger("runs/0001")
        for (index, point) in points.enumerated() {
            guard let order = Self.serverPoints.firstIndex(of: point) else { continue }
            let asked = Self.serverPoints.firstIndex(of: "stage mask recorded")!
            let opened = Self.serverPoints.firstIndex(of: "state written")!
            // Before the store knows of the round, the answer is the one that can only charge too much.
            let expected =
                order >= opened ? "released" : order >= asked || order == 0 ? "spent" : "returned"
            #expect(server[index + 1] == expected, "\(point): round \(index + 1)")
        }
        try network.expectNothingUnderCounted(server, sites: 3)
        try network.expectSumsOfTheSimulation(server, sites: 3)
    }

    /// About 130 s: each point waits for a stage's end.
    @Test(.enabled(if: CrashPointTests.isSlow, "starts and kills many processes: minutes"))
    func aClientKilledAfterAnyPointIsInTheSumOrOutOfIt() throws {
        let points = Self.clientPoints
        try network.configure(sites: 4, rounds: points.count, stageSeconds: 20, graceSeconds: 6)
        try network.enrol(4)
        let server = try network.serve()
        try server.wait(for: "listening on", seconds: 60)
        let steady = try (1...3).map { try network.join($0) }
        for point in points {
            let site = try network.join(4, crashAt: point)
            #expect(site.finish(seconds: 120) == SIGKILL, "\(point): \(site.errors)")
        }
        let last = try network.join(4)
        #expect(server.finish(seconds: 240) == 0, "\(server.errors)")
        for site in steady { #expect(site.finish(seconds: 60) == 0, "\(site.errors)") }
        _ = last.finish(seconds: 60)

        let rounds = try network.ledger("runs/0001")
        #expect(rounds.values.allSatisfy { $0 == "released" }, "\(rounds)")
        try network.expectNothingUnderCounted(rounds, sites: 4)
    }
}
