import Foundation
import Testing

/// A server's disk is lost in the middle of a run, and a copy from before takes its place.
@Suite(.serialized) struct BackupCommandTests {
    let command: CommandRunner
    let network: NetworkWorkspace

    init() throws {
        command = try CommandRunner()
        network = NetworkWorkspace(command)
    }

    private func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: command.path(name))
    }

    @Test func aRestoredServerCountsWhatItCannotRememberAndGoesOn() throws {
        try network.configure(sites: 3, rounds: 4, stageSeconds: 8, graceSeconds: 8)
        try network.enrol(3)
        let first = try network.serve(crashAt: "round released")
        try first.wait(for: "listening on", seconds: 60)
        let sites = try (1...3).map { try network.join($0) }
        #expect(first.finish(seconds: 60) == SIGKILL)
        let copied = try command.run("backup", ".", "copy")
        #expect(copied.status == 0, "\(copied.errors)")
        // One round more, of which the copy knows nothing.
        #expect(try network.serve(crashAt: "round released").finish(seconds: 60) == SIGKILL)
        #expect(try network.ledger("runs/0001") == [1: "released", 2: "released"])

        func restore(_ target: String, _ options: String...) throws -> CommandRunner.Result {
            try command.run(["restore", "copy", target] + options)
        }
        #expect(try restore("restored").status == 64)
        #expect(try restore("restored", "--latest-round", "0").status == 64)
        #expect(try restore(".", "--latest-round", "2").status == 16)
        #expect(try network.ledger("runs/0001") == [1: "released", 2: "released"])
        // One changed byte in any file, and nothing is put back.
        let roster = command.path("copy/roster.json")
        let whole = try #require(FileManager.default.contents(atPath: roster))
        var changed = whole
        changed[changed.count / 2] ^= 1
        try changed.write(to: URL(fileURLWithPath: roster))
        let damaged = try restore("restored", "--latest-round", "2")
        #expect(damaged.status == 13 && damaged.errors.contains("roster.json"), "\(damaged.errors)")
        #expect(!exists("restored"))
        try whole.write(to: URL(fileURLWithPath: roster))

        let restored = try restore("restored", "--latest-round", "2")
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(try network.ledger("restored/runs/0001") == [1: "released", 2: "spent"])
        // The sites never learn of it: the same key, certificate and address serve the rounds that are left.
        let last = try network.serve("restored/federation.yaml")
        #expect(last.finish(seconds: 120) == 0, "\(last.errors)")
        for site in sites { #expect(site.finish(seconds: 60) == 0, "\(site.errors)") }
        #expect(
            try network.ledger("restored/runs/0001")
                == [1: "released", 2: "spent", 3: "released", 4: "released"])
        let audit = try command.run("audit", "restored/runs/0001")
        #expect(audit.status == 0, "\(audit.errors)")
    }

    /// Whoever holds an older roster could bring back a client that was taken out.
    @Test func aSiteRefusesAnEarlierOrAnotherEditionOfTheRoster() throws {
        try network.configure(sites: 4, rounds: 2, stageSeconds: 8, graceSeconds: 8)
        try network.enrol(4)
        try FileManager.default.copyItem(
            atPath: command.path("roster.json"), toPath: command.path("old.json"))
        #expect(try command.run("roster", "revoke", "site-4").status == 0)
        try enter(roster: "roster.json", expecting: SIGKILL)
        try enter(roster: "old.json", expecting: 13)
        // The authority's own signature does not help: an edition is one list.
        try FileManager.default.removeItem(atPath: command.path("roster.json"))
        let requests = (1...4).map { "site-\($0).request" }
        #expect(try command.run(["roster", "approve"] + requests).status == 0)
        #expect(try command.run("roster", "revoke", "site-3").status == 0)
        try enter(roster: "roster.json", expecting: 13)
    }

    /// A server starts with a roster, and site 1 gets as far as its terms.
    private func enter(roster: String, expecting status: Int32) throws {
        try? FileManager.default.removeItem(atPath: command.path("runs"))
        let server = try network.serve(options: ["--roster", roster])
        try server.wait(for: "listening on", seconds: 60)
        let site = try network.join(1, crashAt: "terms entered")
        #expect(site.finish(seconds: 60) == status, "\(roster): \(site.errors)")
        server.kill()
    }
}
