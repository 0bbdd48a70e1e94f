import Foundation
import Testing

/// A server's workspace with its sites beside it, all in one test's directory, and what their ledgers say.
struct NetworkWorkspace {
    let command: CommandRunner
    private let port = Int.random(in: 20_000..<60_000)
    /// Everything follows from it, so that a simulation can recompute every sum.
    private let seed = "7"

    init(_ command: CommandRunner) { self.command = command }

    func enrol(_ sites: Int) throws {
        _ = try command.run("keys", "new", "authority")
        for site in 1...sites {
            _ = try command.run("keys", "new", "site-\(site)")
            _ = try command.run("roster", "request", "site-\(site)", "--key", "keys/site-\(site).key")
        }
        let approved = try command.run(["roster", "approve"] + (1...sites).map { "site-\($0).request" })
        #expect(approved.status == 0, "\(approved.errors)")
    }

    func configure(sites: Int, rounds: Int, stageSeconds: Int, graceSeconds: Int) throws {
        _ = try command.write(
            configuration(sites: sites, rounds: rounds)
                + "network: {listen: \"127.0.0.1:\(port)\", gatherSeconds: 90, trainSeconds: 60, "
                + "stageSeconds: \(stageSeconds), graceSeconds: \(graceSeconds)}\n", to: "federation.yaml")
    }

    private func configuration(sites: Int, rounds: Int) -> String {
        """
        schema: fedtrain/1
        name: crashes
        model: {adapter: {rank: 2, alpha: 4}}
        data: {clients: built-in, sites: \(sites), recordsPerSite: 8, heldOutCount: 2}
        rounds: {count: \(rounds), minSurvivors: 3, minCohort: 3}
        training: {algorithm: dp-fedsgd, server: {optimizer: adam, learningRate: 0.01, momentum: 0.9}}
        privacy: {unit: record, epsilon: 8, delta: 0.00001, samplingRate: 1/2}
        secagg: {allowTinyCohort: true}

        """
    }

    /// - Parameters:
    ///   - file: the federation's file; its directory is the workspace.
    ///   - options: further ones.
    func serve(
        _ file: String = "federation.yaml", options: [String] = [], crashAt point: String? = nil
    ) throws -> RunningCommand {
        try command.start(["serve", file, "--seed", seed, "-v"] + options, crashAt: point)
    }

    func join(_ site: Int, crashAt point: String? = nil) throws -> RunningCommand {
        try command.start(
            [
                "join", "enrolment.json", "--key", "keys/site-\(site).key", "--built-in-site",
                "site-\(site)", "--seed", seed, "--patience", "120", "-v",
            ], crashAt: point)
    }

    // MARK: Ledgers

    private struct Record: Decodable {
        let kind: String
        let round: String?
        let payload: [String: String]?
    }

    private func records(_ run: String) throws -> [Record] {
        try String(contentsOfFile: command.path("\(run)/ledger.jsonl"), encoding: .utf8)
            .split(separator: "\n").compactMap {
                // Only the plan's payload holds more than words.
                try? JSONDecoder().decode(Record.self, from: Data($0.utf8))
            }
    }

    /// What became of each round: open, committed, released, spent or returned.
    func ledger(_ run: String) throws -> [Int: String] {
        var rounds: [Int: String] = [:]
        for record in try records(run) {
            guard let round = record.round.flatMap({ Int($0) }) else { continue }
            switch record.kind {
            case "reserve": rounds[round] = "open"
            case "commit": rounds[round] = "committed"
            case "release": rounds[round] = "released"
            case "abort":
                rounds[round] = record.payload?.values.contains("true") == true ? "returned" : "spent"
            default: break
            }
        }
        return rounds
    }

    /// Whatever a client's own ledger counts, the server's counts too; and every ledger verifies.
    func expectNothingUnderCounted(_ server: [Int: String], sites: Int) throws {
        for site in 1...sites {
            for (round, state) in try ledger("fedtrain-site-\(site)/runs/0001") where state == "committed" {
                #expect(server[round] != "returned", "site \(site), round \(round)")
            }
        }
        let audit = try command.run("audit", "runs/0001")
        #expect(audit.status == 0, "\(audit.errors)")
    }

    /// Every opened sum is the one that a simulation gives when the same clients take part: the adapters
    /// after each released round have the same digests.
    func expectSumsOfTheSimulation(_ server: [Int: String], sites: Int) throws {
        let aborted = server.filter { $0.value != "released" }.keys.sorted()
        let losses = aborted.map { "{round: \($0), stage: mask, clients: 1}" }.joined(separator: ", ")
        try FileManager.default.createDirectory(
            atPath: command.path("simulated"), withIntermediateDirectories: true)
        _ = try command.write(
            configuration(sites: sites, rounds: server.count) + "simulation: {lose: [\(losses)]}\n",
            to: "simulated/federation.yaml")
        let simulated = try command.run("simulate", "simulated/federation.yaml", "--seed", seed)
        #expect(simulated.status == 0, "\(simulated.errors)")
        func adapters(_ run: String) throws -> [String: String] {
            Dictionary(
                uniqueKeysWithValues: try records(run).filter { $0.kind == "release" }
                    .map { ($0.round!, $0.payload!["adapter"]!) })
        }
        let (real, expected) = (try adapters("runs/0001"), try adapters("simulated/runs/0001"))
        #expect(!real.isEmpty && real == expected)
    }
}
