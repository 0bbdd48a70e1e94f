import Foundation
import Testing

/// A networked federation as people run it: one process for each party, some of them killed.
@Suite(.serialized) struct NetworkCommandTests {
    let command: CommandRunner

    init() throws { command = try CommandRunner() }

    private func enrol(_ sites: Int) throws {
        _ = try command.run("keys", "new", "authority")
        for site in 1...sites {
            #expect(try command.run("keys", "new", "site-\(site)").status == 0)
            #expect(
                try command.run("roster", "request", "site-\(site)", "--key", "keys/site-\(site).key").status
                    == 0)
        }
        let approved = try command.run(["roster", "approve"] + (1...sites).map { "site-\($0).request" })
        #expect(approved.status == 0, "\(approved.errors)")
    }

    private func configuration(sites: Int, rounds: Int, port: Int) throws {
        _ = try command.write(
            """
            schema: fedtrain/1
            name: processes
            model: {adapter: {rank: 2, alpha: 4}}
            data: {clients: built-in, sites: \(sites), recordsPerSite: 12, heldOutCount: 2}
            rounds: {count: \(rounds), minSurvivors: 3, minCohort: 3}
            training: {algorithm: dp-fedsgd}
            privacy: {unit: record, epsilon: 8, delta: 0.00001, samplingRate: 1/2}
            secagg: {allowTinyCohort: true}
            network: {listen: "127.0.0.1:\(port)", gatherSeconds: 60, trainSeconds: 60, stageSeconds: 6, graceSeconds: 3}
            """, to: "federation.yaml")
    }

    private func port() -> Int { Int.random(in: 20_000..<60_000) }

    @Test func keysStayPrivateAndRequestsAreCompared() throws {
        let made = try command.run("keys", "new", "clinic-7", "--json")
        #expect(made.status == 0)
        let mode = try FileManager.default.attributesOfItem(atPath: command.path("keys/clinic-7.key"))
        #expect((mode[.posixPermissions] as? Int) == 0o600)
        let words = try #require(made.data["words"] as? String)
        #expect(
            !made.output.contains(
                try String(contentsOfFile: command.path("keys/clinic-7.key"), encoding: .utf8).prefix(20)))
        // A key is never replaced.
        #expect(try command.run("keys", "new", "clinic-7").status == 74)

        _ = try command.run("keys", "new", "authority")
        _ = try command.run("roster", "request", "clinic-7", "--key", "keys/clinic-7.key")
        let wrong = try command.run(
            "roster", "approve", "clinic-7.request", "--fingerprint", "0000 0000 0000 0000 0000")
        #expect(wrong.status == 12)
        #expect(!FileManager.default.fileExists(atPath: command.path("roster.json")))
        #expect(try command.run("roster", "approve", "clinic-7.request", "--fingerprint", words).status == 0)
        #expect(try command.run("roster", "approve", "clinic-7.request").status == 16)
        #expect(try command.run("roster", "revoke", "clinic-7").status == 0)
        let list = try command.run("roster", "list", "--json")
        let clients = list.data["clients"] as? [[String: Any]]
        #expect(clients?.first?["state"] as? String == "revoked")
        #expect(try command.run("roster", "revoke", "clinic-7").status == 66)
    }

    /// The server is killed once its first round is released and one site in the middle of a round; both
    /// come back with the same command.
    @Test func aServerAndASiteThatAreKilledComeBack() throws {
        try enrol(4)
        let port = port()
        try configuration(sites: 4, rounds: 4, port: port)
        var server = try command.start("serve", "federation.yaml", "-v")
        try server.wait(for: "listening on", seconds: 30)
        var sites = try (1...4).map { try join($0) }

        try sites[2].wait(for: "stage share answered", seconds: 60)
        sites[2].kill()
        try server.wait(for: "round 1/4  released", seconds: 60)
        server.kill()
        sites[2] = try join(3)
        server = try command.start("serve", "federation.yaml", "-v")

        #expect(server.finish(seconds: 120) == 0, "\(server.errors)")
        for site in sites { #expect(site.finish(seconds: 30) == 0, "\(site.errors)") }
        let audit = try command.run("audit", "runs/0001")
        #expect(audit.status == 0, "\(audit.errors)")
        // When the run is over, the same command starts nothing.
        #expect(try command.run("serve", "federation.yaml").status == 16)
        #expect(try command.run("serve", "federation.yaml").errors.contains("the latest run is over"))
        let ledger = try String(contentsOfFile: command.path("runs/0001/ledger.jsonl"), encoding: .utf8)
        #expect(!ledger.contains("site-3"))
    }

    @Test func whatCannotWorkEndsWithItsOwnCode() throws {
        try enrol(3)
        let port = port()
        try configuration(sites: 3, rounds: 1, port: port)
        let server = try command.start("serve", "federation.yaml", "--insecure-http")
        try server.wait(for: "listening on", seconds: 30)
        #expect(server.errors.contains("NOT ENCRYPTED"))
        // Two processes on one workspace.
        #expect(try command.run("serve", "federation.yaml").status == 16)
        // Plain HTTP without an explicit wish.
        let plain = try command.run(
            "join", "enrolment.json", "--key", "keys/site-1.key", "--built-in-site", "site-1")
        #expect(plain.status == 12 && plain.errors.contains("without encryption"))
        // An identity that nobody approved.
        _ = try command.run("keys", "new", "stranger")
        let stranger = try command.run(
            "join", "enrolment.json", "--key", "keys/stranger.key", "--built-in-site", "site-1",
            "--insecure-http")
        #expect(stranger.status == 12, "\(stranger.errors)")
        // A limit of its own below what the run would cost.
        let thrifty = try command.run(
            "join", "enrolment.json", "--key", "keys/site-1.key", "--built-in-site", "site-1",
            "--insecure-http", "--epsilon-limit", "1/10")
        #expect(thrifty.status == 10, "\(thrifty.errors)")
        server.kill()
        // Nobody there.
        let alone = try command.run(
            "join", "enrolment.json", "--key", "keys/site-1.key", "--built-in-site", "site-1",
            "--insecure-http", "--patience", "1")
        #expect(alone.status == 69, "\(alone.errors)")
        // A pinned certificate that is none.
        _ = try command.write("{}", to: "broken.json")
        #expect(
            try command.run(
                "join", "broken.json", "--key", "keys/site-1.key", "--built-in-site", "site-1"
            ).status == 65)
    }

    private func join(_ site: Int) throws -> RunningCommand {
        try command.start(
            "join", "enrolment.json", "--key", "keys/site-\(site).key", "--built-in-site", "site-\(site)",
            "--patience", "60", "-v")
    }
}
