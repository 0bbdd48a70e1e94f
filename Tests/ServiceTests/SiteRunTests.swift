import DP
import FedTrain
import Foundation
import GMP
import Models
import SecureAgg
import Service
import Sodium
import Testing

/// What a client decides for itself, and what both sides know after a crash between any two steps.
@Suite(.serialized) struct SiteRunTests {
    private func terms(_ fixture: NetworkFixture, seed: UInt64?) throws -> (HostTerms, RosterFile) {
        let workspace = try fixture.workspace("terms-\(seed ?? 0)")
        let roster = try fixture.rosterFile()
        try fixture.writeRoster(roster, to: "\(workspace.root)/roster.json")
        guard
            case .ready(let setup) = try ServerSetup.open(
                fixture.configuration, source: fixture.source, workspace: workspace,
                rosterFile: "\(workspace.root)/roster.json", randomness: fixture.randomness,
                startsNewRun: false, clock: NetworkFixture.clock)
        else { throw NetworkFixture.FixtureError.runIsOver }
        var terms = setup.host().terms
        terms.seed = seed
        return (terms, roster)
    }

    private func host(
        _ fixture: NetworkFixture, _ name: String, limit: Rational = 100, seed: UInt64? = nil,
        trainer: ExternalTrainer.Command? = nil
    ) -> SiteRunHost {
        SiteRunHost(
            workspace: Workspace(root: "\(fixture.directory)/\(name)"),
            choices: SiteRunHost.Choices(
                name: "site-1", data: .builtIn(site: "site-1"), base: nil, trainer: trainer,
                epsilonLimit: limit, seed: seed),
            server: fixture.serverKey.verifyingKey, epochSeconds: { NetworkFixture.epoch }, monotonic: { 0 },
            announce: { _, _ in })
    }

    private func adapter(_ fixture: NetworkFixture) throws -> Adapter {
        try PreparedFederation(
            fixture.configuration, prior: .none, randomness: fixture.randomness, holdsClientFiles: true
        ).initialModel.adapter
    }

    @Test func aServersSeedDoesNotMakeAClientsNoiseKnown() throws {
        let fixture = try NetworkFixture()
        let (terms, roster) = try terms(fixture, seed: fixture.seed)
        let adapter = try adapter(fixture)
        let identity = ClientIdentity(id: ClientID(1), signingKey: fixture.key(1))
        func contribution(_ name: String, seed: UInt64?) throws -> [Int32] {
            let host = host(fixture, name, seed: seed)
            try host.enter(terms, identity: identity, roster: try roster.roster())
            return try host.contribution(
                round: 1, adapter: adapter.values.littleEndianBytes, digest: adapter.digest)
        }
        let replayed = try contribution("a", seed: fixture.seed)
        #expect(try contribution("b", seed: fixture.seed) == replayed)
        let own = try contribution("c", seed: nil)
        #expect(own != replayed)
        #expect(try contribution("d", seed: nil) != own)
    }

    @Test func aClientRefusesWhatIsBeyondItsOwnLimit() throws {
        let fixture = try NetworkFixture()
        let (terms, roster) = try terms(fixture, seed: fixture.seed)
        let identity = ClientIdentity(id: ClientID(1), signingKey: fixture.key(1))
        #expect(throws: FederationError.self) {
            try host(fixture, "thrifty", limit: Rational(1, 100)).enter(
                terms, identity: identity, roster: try roster.roster())
        }
    }

    @Test func anAdapterWithOtherNumbersIsRefused() throws {
        let fixture = try NetworkFixture()
        let (terms, roster) = try terms(fixture, seed: fixture.seed)
        let host = host(fixture, "site")
        try host.enter(
            terms, identity: ClientIdentity(id: ClientID(1), signingKey: fixture.key(1)),
            roster: try roster.roster())
        let adapter = try adapter(fixture)
        var bytes = adapter.values.littleEndianBytes
        bytes[5] ^= 1
        #expect(throws: ClientFailure.self) {
            try host.contribution(round: 1, adapter: bytes, digest: adapter.digest)
        }
        #expect(throws: ClientFailure.self) {
            try host.contribution(round: 1, adapter: Array(bytes.dropLast()), digest: adapter.digest)
        }
        #expect(try host.spent?.participations == 0)
    }

    @Test func aTrainerThatFailsCostsNothing() throws {
        let fixture = try NetworkFixture()
        let (terms, roster) = try terms(fixture, seed: fixture.seed)
        let adapter = try adapter(fixture)
        let host = host(
            fixture, "crashing", seed: fixture.seed,
            trainer: ExternalTrainer.Command(arguments: ["/bin/sh", "-c", "exit 3"]))
        try host.enter(
            terms, identity: ClientIdentity(id: ClientID(1), signingKey: fixture.key(1)),
            roster: try roster.roster())
        #expect(throws: ExternalTrainerError.ended(status: 3)) {
            try host.contribution(
                round: 1, adapter: adapter.values.littleEndianBytes, digest: adapter.digest)
        }
        #expect(try host.spent?.participations == 1)
        try host.settle(1)
        #expect(try host.spent?.participations == 0)
        #expect(host.mayEnter(2))
    }

    @Test func aServerNamesNoProgramOfAClient() throws {
        let fixture = try NetworkFixture()
        var configuration = fixture.configuration
        configuration.trainer = ExternalTrainer.Command(arguments: ["/bin/false"])
        func site(_ trainer: ExternalTrainer.Command?) throws -> PreparedSite {
            try PreparedSite(
                configuration, prior: .none, baseDirectory: nil, source: .builtIn(site: "site-1"),
                trainer: trainer, randomness: fixture.randomness)
        }
        #expect(try site(nil).configuration.trainer == nil)
        let own = ExternalTrainer.Command(arguments: ["/bin/true"])
        #expect(try site(own).configuration.trainer == own)
        configuration.training.algorithm = .fedProx
        #expect(
            throws: FederationError.trainerHasNoUse(
                reason: "another program trains under fedavg or dp-fedsgd; this is fedprox")
        ) { try site(own) }
    }

    @Test func theServersPlanNeedsNoRecordCounts() throws {
        let text = """
            {"schema": "fedtrain/1", "name": "files", "model": {"adapter": {"rank": "2"}},
             "data": {"clients": ["/nowhere/*.jsonl"]},
             "rounds": {"count": "1", "minSurvivors": "3"}, "training": {},
             "privacy": {"unit": "record", "epsilon": "50", "samplingRate": "1/2"},
             "secagg": {"allowTinyCohort": "true"},
             "network": {"clients": "5", "recordsPerClient": "40"}}
            """
        let node = try #require(ConfigurationNode(json: try JSON.parse(Array(text.utf8))))
        let prepared = try PreparedFederation(
            try FederationConfiguration(reading: node), prior: .none, randomness: .system,
            holdsClientFiles: false)
        #expect(prepared.plan.clients == 5 && prepared.data.sites.isEmpty)
        #expect(prepared.data.recordCounts == [40, 40, 40, 40, 40])
    }

    /// The named points of a round at the client, each followed by a crash: what the ledger says then.
    @Test(arguments: ["entered", "paid", "advertised", "committed", "finished"])
    func aClientThatCrashesKnowsWhatItSpent(point: String) throws {
        let fixture = try NetworkFixture()
        let (terms, roster) = try terms(fixture, seed: fixture.seed)
        let adapter = try adapter(fixture)
        let identity = ClientIdentity(id: ClientID(1), signingKey: fixture.key(1))
        do {
            let host = host(fixture, "site")
            try host.enter(terms, identity: identity, roster: try roster.roster())
            if point != "entered" {
                _ = try host.contribution(
                    round: 1, adapter: adapter.values.littleEndianBytes, digest: adapter.digest)
            }
            if ["committed", "finished"].contains(point) { try host.commit(1) }
            if point == "finished" { try host.settle(1) }
        }
        let again = host(fixture, "site")
        try again.enter(terms, identity: identity, roster: try roster.roster())
        let mustCount = ["committed", "finished"].contains(point)
        #expect(try again.spent?.participations == (mustCount ? 1 : 0))
        #expect(again.mayEnter(1) == (point == "entered"))
        #expect(again.mayEnter(2))
    }
}
