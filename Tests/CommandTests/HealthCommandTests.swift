import Foundation
import Testing

/// `explain`, `doctor`, `status`, `log` and `audit --empirical`, as a person runs them.
@Suite struct HealthCommandTests {
    let command: CommandRunner
    private let small = [
        "--set", "rounds.count=3", "--set", "data.recordsPerSite=24", "--set", "data.heldOutCount=12",
        "--set", "model.adapter.rank=1",
        "--set", "simulation.lose=[{round: 2, stage: mask, clients: 3}]",
    ]

    init() throws { command = try CommandRunner() }

    @Test func everyCodeIsExplainedByCodeNumberAndName() throws {
        let all = try #require(try command.run("explain", "--json").data["codes"] as? [[String: Any]])
        // docs: exit codes have one meaning each.
        #expect(
            Set(all.compactMap { $0["status"] as? Int })
                == [0, 10, 11, 12, 13, 14, 15, 16, 64, 65, 66, 69, 70, 73, 74, 75, 78, 130])
        #expect(Set(all.compactMap { $0["name"] as? String }).count == all.count)
        for code in all {
            let text = try #require(code["code"] as? String)
            #expect(text.hasPrefix("FT0"))
            for field in ["meaning", "privacy"] {
                #expect((code[field] as? String)?.isEmpty == false, "\(text) \(field)")
            }
            if code["status"] as? Int != 0 {
                #expect((code["next"] as? [String])?.isEmpty == false, "\(text)")
            }
        }
        let byNumber = try command.run("explain", "13")
        #expect(byNumber.status == 0 && byNumber.output.hasPrefix("FT0013"))
        #expect(try command.run("explain", "ft0013").output == byNumber.output)
        #expect(try command.run("explain", "verification").output == byNumber.output)
        #expect(try command.run("explain", "FT9999").status == 64)
    }

    @Test func doctorNamesWhatIsWrongAndOneNextCommand() throws {
        let bare = try command.run("doctor", "--json")
        #expect(bare.status == 0)
        let names = (bare.data["checks"] as? [[String: Any]])?.compactMap { $0["name"] as? String } ?? []
        #expect(Set(["libraries", "processor", "memory", "disk", "clock"]).isSubset(of: names))

        _ = try command.run("init", "w")
        let fresh = try command.run("doctor", command.path("w"), "--json")
        #expect(fresh.status == 0 && fresh.data["failed"] as? Int == 0)

        let keys = command.path("w/keys")
        try FileManager.default.createDirectory(atPath: keys, withIntermediateDirectories: true)
        let key = try command.write(String(repeating: "ab", count: 32) + "\n", to: "w/keys/server.key")
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: key)
        let open = try command.run("doctor", command.path("w"), "--json")
        #expect(open.status == 16)
        #expect(open.error["code"] as? String == "FT0016")
        #expect((open.error["hint"] as? String)?.hasPrefix("chmod 600") == true)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
        #expect(try command.run("doctor", command.path("w")).status == 0)

        _ = try command.write("schema: fedtrain/1\nnme: x\n", to: "w/federation.yaml")
        let broken = try command.run("doctor", command.path("w"))
        #expect(broken.status == 16 && broken.output.contains("federation.yaml:1"))
    }

    @Test func statusAndLogOfAnEmptyWorkspace() throws {
        _ = try command.run("init", "w")
        let status = try command.run("status", command.path("w"))
        #expect(status.status == 0 && status.output.contains("no run yet"))
        #expect(try command.run("log", command.path("w")).status == 66)
        #expect(try command.run("status", command.path("nowhere")).status == 66)
    }

    /// One run, looked at in every way. About 6 s.
    @Test func aRunIsWatchedAndAttacked() throws {
        _ = try command.run("init", "w")
        let workspace = command.path("w")
        let run = "\(workspace)/runs/0001"
        #expect(
            try command.run(["simulate", "\(workspace)/federation.yaml", "--seed", "5"] + small).status == 0)

        let status = try command.run("status", workspace, "--json")
        let runs = try #require(status.data["runs"] as? [[String: Any]])
        #expect(runs.count == 1)
        #expect(runs[0]["state"] as? String == "finished")
        #expect(runs[0]["lastRound"] as? Int == 3 && runs[0]["roundsReleased"] as? Int == 2)
        #expect(runs[0]["epsilon"] as? Double == status.data["epsilonTotal"] as? Double)

        let log = try command.run("log", workspace, "--run", "1", "--json")
        let rounds = try #require(log.data["rounds"] as? [[String: Any]])
        #expect(rounds.map { $0["outcome"] as? String } == ["released", "aborted", "released"])
        #expect(rounds[1]["survivors"] as? Int == 5)
        #expect(try command.run("log", workspace, "--run", "9").status == 66)
        #expect(try command.run("doctor", workspace).status == 0)

        // A file that the ledger names by digest: any flipped byte is exit 13.
        for name in [
            "configuration.json", "events.jsonl", "global/000001/adapter_model.safetensors",
            "global/000003/adapter_config.json", "clients/site-3.ledger.jsonl",
        ] {
            let url = URL(fileURLWithPath: "\(run)/\(name)")
            let original = try Data(contentsOf: url)
            for place in [0, original.count / 2, original.count - 1] {
                var changed = original
                changed[place] ^= 1
                try changed.write(to: url)
                #expect(try command.run("audit", run).status == 13, "\(name) byte \(place)")
            }
            try original.write(to: url)
        }
        #expect(try command.run("audit", run).status == 0)

        let attack = try command.run(
            "audit", "--empirical", run, "--canaries", "200", "--seed", "7", "--json")
        #expect(attack.status == 0)
        let found = try #require(attack.data["empirical"] as? [String: Any])
        #expect(found["recorded"] as? Bool == true && found["contradictsClaim"] as? Bool == false)
        let bound = try #require(found["epsilonLowerBound"] as? Double)
        #expect(try bound <= #require(found["epsilonClaimed"] as? Double))
        // On the record: ledger and report still verify, and the report shows the bound beside the claim.
        #expect(try command.run("audit", run).status == 0)
        let report = try String(contentsOfFile: "\(run)/reports/privacy-report.json", encoding: .utf8)
        #expect(report.contains("does not contradict the claim"))

        // The same without a run: nothing to record it in.
        let file = try command.run(
            "audit", "--empirical", workspace, "--canaries", "100", "--seed", "7", "--json")
        // It charges nothing, so a spent budget does not stop it.
        #expect(file.status == 0)
        #expect((file.data["empirical"] as? [String: Any])?["recorded"] as? Bool == false)
        #expect(try command.run("audit", "--empirical", run, "--canaries", "3").status == 64)
        #expect(try command.run("audit", "--empirical", command.path("nowhere")).status == 66)
    }
}
