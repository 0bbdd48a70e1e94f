import Foundation
import Testing

/// A small federation through `init`, `plan`, `simulate`, `report` and `audit`, as a person runs them.
@Suite struct FederationCommandTests {
    let command: CommandRunner
    /// Four rounds of few records: seconds, with every part real.
    private let small = [
        "--set", "rounds.count=4", "--set", "data.recordsPerSite=24", "--set", "data.heldOutCount=12",
        "--set", "simulation.lose=[{round: 2, stage: mask, clients: 2}, {round: 3, stage: mask, clients: 3}]",
    ]

    init() throws { command = try CommandRunner() }

    private func workspace(_ name: String = "w") throws -> String {
        _ = try command.run("init", name)
        return command.path("\(name)/federation.yaml")
    }

    @Test func theRunAgreesWithThePlan() throws {
        let file = try workspace()
        let plan = try command.run(["plan", file, "--seed", "5", "--json"] + small)
        #expect(plan.status == 0)
        let run = try command.run(["simulate", file, "--seed", "5", "--json"] + small)
        #expect(run.status == 0)

        let planned = (plan.data["epsilon"] as? [String: Any])?["planned"] as? Double
        #expect(planned != nil && planned == run.data["epsilon"] as? Double)
        for field in ["bytesUpPerClient", "bytesDownPerClient"] {
            let predicted = try #require(plan.data[field] as? Double)
            let measured = try #require(run.data[field] as? Double)
            #expect(abs(predicted - measured) <= 0.02 * measured, "\(field)")
        }
        let memory = try #require(plan.data["peakMemory"] as? Double)
        let peak = try #require(run.data["peakMemory"] as? Double)
        #expect(abs(memory - peak) <= 0.25 * peak, "predicted \(memory), measured \(peak)")
        #expect(run.data["survivorsPerRound"] as? [Int] == [8, 6, 5, 8])
        #expect(run.data["outcomePerRound"] as? [String] == ["released", "released", "aborted", "released"])
    }

    @Test func theSameSeedGivesTheSameAdapterAndAnotherSeedAnother() throws {
        var adapters: [Data] = []
        for (name, seed) in [("a", "5"), ("b", "5"), ("c", "6")] {
            let file = try workspace(name)
            let run = try command.run(["simulate", file, "--seed", seed, "--json"] + small)
            #expect(run.status == 0)
            let path = command.path("\(name)/runs/0001/adapter/adapter_model.safetensors")
            adapters.append(try Data(contentsOf: URL(fileURLWithPath: path)))
        }
        #expect(adapters[0] == adapters[1])
        #expect(adapters[0] != adapters[2])
    }

    @Test func auditFindsAnyChangedByteOfLedgerReportAndAdapter() throws {
        let file = try workspace()
        _ = try command.run(["simulate", file, "--seed", "5"] + small)
        let run = command.path("w/runs/0001")
        let clean = try command.run("audit", run, "--json")
        #expect(clean.status == 0)
        #expect(clean.data["verified"] as? Bool == true)
        // The exhaustive flip of every byte is a unit test of the report; here each file once, for real.
        for name in [
            "ledger.jsonl", "ledger.jsonl.ack", "reports/privacy-report.json",
            "reports/privacy-report.html", "reports/privacy-report.sig", "reports/epsilon.svg",
            "adapter/adapter_model.safetensors", "adapter/adapter_config.json",
        ] {
            let url = URL(fileURLWithPath: "\(run)/\(name)")
            let original = try Data(contentsOf: url)
            var changed = original
            changed[changed.count * 2 / 3] ^= 1
            try changed.write(to: url)
            #expect(try command.run("audit", run).status == 13, "\(name)")
            try original.write(to: url)
        }
        #expect(try command.run("audit", run).status == 0)
    }

    @Test func reportIsMadeAgainByteForByte() throws {
        let file = try workspace()
        _ = try command.run(["simulate", file, "--seed", "5"] + small)
        let run = command.path("w/runs/0001")
        let html = URL(fileURLWithPath: "\(run)/reports/privacy-report.html")
        let before = try Data(contentsOf: html)
        try FileManager.default.removeItem(at: html)
        #expect(try command.run("report", run).status == 0)
        #expect(try Data(contentsOf: html) == before)
    }

    @Test func aSpentBudgetStopsTheNextRunBeforeItStarts() throws {
        let file = try workspace()
        #expect(try command.run(["simulate", file, "--seed", "5"] + small).status == 0)
        let again = try command.run(["simulate", file, "--seed", "5", "--json"] + small)
        #expect(again.status == 10)
        #expect(again.error["code"] as? String == "FT0010")
        #expect((again.error["privacy"] as? String)?.contains("nothing") == true)
        let runs = try FileManager.default.contentsOfDirectory(atPath: command.path("w/runs"))
        #expect(runs.filter { !$0.hasPrefix(".") } == ["0001"])
    }

    @Test func aRunWithoutEnoughSurvivorsOpensNothingAndExits11() throws {
        let file = try workspace()
        let lossy = [
            "--set", "rounds.count=1", "--set", "data.recordsPerSite=24", "--set", "data.heldOutCount=12",
            "--set", "simulation.lose=[{round: 1, stage: confirm, clients: 6}]",
        ]
        let run = try command.run(["simulate", file, "--seed", "5", "--json"] + lossy)
        #expect(run.status == 11)
        #expect(run.data["outcomePerRound"] as? [String] == ["aborted"])
        #expect(try command.run("audit", command.path("w/runs/0001")).status == 0)
    }

    @Test func theUnitClientRunsFederatedAveraging() throws {
        let file = try workspace()
        let run = try command.run(
            ["simulate", file, "--seed", "5", "--json"] + small + [
                "--set", "privacy.unit=client", "--set", "training.algorithm=fedavg",
                "--set", "training.localSteps=2", "--set", "privacy.samplingRate=1",
                "--set", "training.server.learningRate=1", "--set", "privacy.clipNorm=1",
            ])
        #expect(run.status == 0)
        #expect(run.data["unit"] as? String == "client")
    }

    @Test func clientsTakeTurnsAndTheirLedgersEnforceTheGap() throws {
        let file = try workspace()
        let turns = [
            "--set", "rounds.count=4", "--set", "rounds.minSurvivors=3", "--set", "privacy.colluders=0",
            "--set", "data.recordsPerSite=24", "--set", "data.heldOutCount=12", "--set", "simulation.lose=[]",
            "--set", "privacy.noiseMultiplier=1", "--set", "privacy.epsilon=50",
            "--set", "report.operator=Clinic", "--set", "report.contact=dpo@clinic.example",
        ]
        let gap = turns + ["--set", "privacy.participationGap=2", "--set", "privacy.participationLimit=2"]
        let plan = try command.run(["plan", file, "--json"] + gap)
        #expect(plan.status == 0, "\(plan.errors)")
        let participation = try #require(plan.data["participation"] as? [String: Int])
        #expect(participation == ["population": 8, "limit": 2, "gap": 2, "most": 2])
        #expect(plan.data["clients"] as? Int == 4)
        let run = try command.run(["simulate", file, "--seed", "5", "--json"] + gap)
        #expect(run.status == 0, "\(run.errors)")
        #expect(run.data["survivorsPerRound"] as? [Int] == [4, 4, 4, 4])
        // Two rounds of four are charged: as many as one client can have been in.
        let half = try command.run(["plan", file, "--json"] + turns + ["--set", "rounds.count=2"])
        let epsilon = (half.data["epsilon"] as? [String: Double])?["planned"]
        #expect(run.data["epsilon"] as? Double == epsilon && epsilon != nil)
        let path = command.path("w/runs/0001")
        let ledgers = try FileManager.default.subpathsOfDirectory(atPath: path)
            .filter { $0.hasPrefix("clients/") && $0.hasSuffix(".jsonl") }
        #expect(ledgers.count == 8)
        for ledger in ledgers {
            let text = try String(contentsOfFile: "\(path)/\(ledger)", encoding: .utf8)
            #expect(
                text.split(separator: "\n").count { $0.contains("\"kind\":\"reserve\"") } == 2, "\(ledger)")
        }
        let report = try String(contentsOfFile: "\(path)/reports/privacy-report.json", encoding: .utf8)
        #expect(report.contains("\"participationGap\": 2") && report.contains("\"participationLimit\": 2"))
        #expect(report.contains("\"participations\": 2"))
        #expect(report.contains("\"operator\": \"Clinic\"") && report.contains("dpo@clinic.example"))
        #expect(try command.run("audit", path).status == 0)
        // A limit that leaves nobody for the last rounds is refused where it is written.
        let empty = try command.run(
            ["plan", file, "--json", "--set", "privacy.participationLimit=1"] + turns)
        #expect(empty.status == 78)
        #expect((empty.error["message"] as? String)?.contains("nobody may take part after round 1") == true)
    }

    @Test func planSolvesForNoiseRoundsAndCohort() throws {
        #expect(try command.run("init", "solve").status == 0)
        let file = "solve/federation.yaml"
        for unknown in ["noise", "rounds", "cohort"] {
            let fixed = unknown == "noise" ? [] : ["--set", "privacy.noiseMultiplier=1"]
            let solved = try command.run(
                ["plan", file, "--solve", unknown, "--epsilon", "3", "--json"] + fixed)
            #expect(solved.status == 0, "\(unknown): \(solved.errors)")
            let epsilon = try #require(solved.data["epsilon"] as? [String: Double])
            #expect(epsilon["planned"]! <= 3 && epsilon["planned"]! > 2.5, "\(unknown) \(epsilon)")
            let answer = try #require(solved.data["solved"] as? [String: Any])
            let settings = try #require(answer["settings"] as? [[String: String]])
            guard unknown != "cohort" else { continue }
            // What it says to put into the file plans to the same ε.
            let options = settings.flatMap { ["--set", "\($0["path"]!)=\($0["value"]!)"] }
            let again = try command.run(["plan", file, "--json"] + fixed + options)
            #expect(again.status == 0, "\(unknown): \(again.errors)")
            #expect((again.data["epsilon"] as? [String: Double])?["planned"] == epsilon["planned"])
        }
        let follows = try command.run("plan", file, "--solve", "rounds", "--epsilon", "3", "--json")
        #expect(follows.status == 78)
        let hopeless = try command.run(
            "plan", file, "--solve", "rounds", "--epsilon", "0.001", "--set", "privacy.noiseMultiplier=1",
            "--json")
        #expect(hopeless.status == 10)
        #expect(try command.run("plan", file, "--epsilon", "3").status == 64)
    }
}
