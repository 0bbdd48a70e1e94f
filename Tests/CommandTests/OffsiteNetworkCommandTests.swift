import Foundation
import Testing

/// Offsite tuning over the network: what reaches the sites' processes, watched from outside.
@Suite(.serialized) struct OffsiteNetworkCommandTests {
    let runner: CommandRunner

    init() throws { runner = try CommandRunner() }

    @Test(
        "no withheld tensor reaches a site: no file of the full model is opened, no message carries a piece")
    func withheldTensorsReachNoSite() throws {
        let full = runner.path("full")
        try FileManager.default.copyItem(atPath: CommandRunner.builtInBase.path, toPath: full)
        let made = try runner.run(
            "emulator", "make", "--base", full, "--output", "emulator", "--keep", "1", "--steps", "0",
            "--json")
        #expect(made.data["sources"] as? [Int] == [0, 1, 3], "\(made.errors)")
        let withheld = try Withheld(model: URL(fileURLWithPath: full + "/model.safetensors"), block: 2)
        // What a site gets: a copy of the directory, without the owner's record.
        try FileManager.default.copyItem(atPath: runner.path("emulator"), toPath: runner.path("copy"))
        let watch = try OpenWatch(directory: full)

        try enrol(3)
        let port = Int.random(in: 20_000..<60_000)
        _ = try runner.write(
            """
            schema: fedtrain/1
            name: offsite
            model: {base: emulator, adapter: {kind: lora, rank: 2, alpha: 4, targets: [down_proj]}}
            data: {clients: built-in, sites: 3, recordsPerSite: 12, heldOutCount: 2}
            rounds: {count: 2, minSurvivors: 3, minCohort: 3}
            training: {algorithm: dp-fedsgd}
            privacy: {unit: record, epsilon: 8, delta: 0.00001, samplingRate: 1/2}
            secagg: {allowTinyCohort: true}
            network: {listen: "127.0.0.1:\(port)", gatherSeconds: 60, trainSeconds: 60, stageSeconds: 20, graceSeconds: 3}
            """, to: "federation.yaml")
        let server = try runner.start("serve", "federation.yaml", "--insecure-http", "-v")
        try server.wait(for: "listening on", seconds: 30)
        // The sites reach the server through a relay that reads everything.
        let relay = try Relay(to: port)
        defer { relay.stop() }
        let enrolment = try String(contentsOfFile: runner.path("enrolment.json"), encoding: .utf8)
        #expect(enrolment.contains(":\(port)"))
        _ = try runner.write(
            enrolment.replacingOccurrences(of: ":\(port)", with: ":\(relay.port)"), to: "relayed.json")
        let sites = try (1...3).map { site in
            try runner.start(
                "join", "relayed.json", "--key", "keys/site-\(site).key", "--built-in-site", "site-\(site)",
                "--base", "copy", "--patience", "60", "--insecure-http", "-v")
        }
        for site in sites { #expect(site.finish(seconds: 120) == 0, "\(site.errors)") }
        #expect(server.finish(seconds: 60) == 0, "\(server.errors)")

        #expect(watch.opened() == [])
        let (toServer, toClients) = relay.seen
        // The relay saw the federation: masked vectors go up, the adapter comes down.
        #expect(toServer.count > 10_000 && toClients.count > 10_000)
        #expect(withheld.found(in: toServer) == [] && withheld.found(in: toClients) == [])
        for site in 1...3 {
            let workspace = runner.directory.appendingPathComponent("fedtrain-site-\(site)")
            let files = FileManager.default.enumerator(atPath: workspace.path)?.allObjects as? [String] ?? []
            #expect(!files.isEmpty)
            for file in files {
                guard let data = try? Data(contentsOf: workspace.appendingPathComponent(file)) else {
                    continue
                }
                #expect(withheld.found(in: data) == [], "\(file)")
            }
        }

        // The owner plugs in what came over the network.
        let plugged = try runner.run(
            "emulator", "plug-in", "--base", full, "--emulator", "emulator", "--adapter",
            "runs/0001/adapter", "--output", "plugged-in", "--json")
        #expect(plugged.status == 0, "\(plugged.errors)")
        #expect(plugged.data["blocks"] as? [Int] == [0, 3])
        #expect(watch.opened().contains("model.safetensors"))
    }

    private func enrol(_ sites: Int) throws {
        _ = try runner.run("keys", "new", "authority")
        for site in 1...sites {
            _ = try runner.run("keys", "new", "site-\(site)")
            _ = try runner.run("roster", "request", "site-\(site)", "--key", "keys/site-\(site).key")
        }
        let approved = try runner.run(["roster", "approve"] + (1...sites).map { "site-\($0).request" })
        #expect(approved.status == 0, "\(approved.errors)")
    }
}
