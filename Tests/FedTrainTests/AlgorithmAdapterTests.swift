import DP
import FedTrain
import Foundation
import GMP
import Models
import Testing

/// Every algorithm and every kind of adapter through whole federations: real masks, noise, ledgers and files.
@Suite(.serialized) struct AlgorithmAdapterTests {
    private static let epoch = 1_800_000_000

    private func configuration(_ settings: [String: String]) throws -> (
        FederationConfiguration, ConfigurationNode
    ) {
        var values = [
            "schema": "fedtrain/1", "name": "kinds", "rounds.count": "2", "rounds.minSurvivors": "3",
            "model.adapter.kind": "lora", "data.sites": "4", "data.recordsPerSite": "12",
            "data.heldOutCount": "2", "data.siteHeldOutCount": "3", "data.tokensMax": "96",
            "training.algorithm": "fedavg", "training.localSteps": "2", "training.learningRate": "0.01",
            "privacy.unit": "client", "privacy.noiseMultiplier": "1/100", "privacy.epsilon": "1000000",
            "secagg.allowTinyCohort": "true",
        ]
        values.merge(settings) { $1 }
        let node = try values.sorted { $0.key < $1.key }.reduce(ConfigurationNode(.map([]), at: nil)) {
            try $0.setting(path: $1.key, to: ConfigurationNode(.scalar($1.value), at: nil))
        }
        return (try FederationConfiguration(reading: node), node)
    }

    private func workspace() -> Workspace {
        Workspace(root: "\(NSTemporaryDirectory())/algorithms-\(UUID().uuidString)")
    }

    private func simulate(
        _ settings: [String: String], in workspace: Workspace
    ) throws -> FederationRun.Outcome {
        let (configuration, node) = try configuration(settings)
        let prepared = try PreparedFederation(
            configuration, workspace: workspace, randomness: .seeded(5))
        return try FederationRun(
            prepared: prepared, source: node, workspace: workspace,
            serverKey: try ServerKeyFile.loadOrCreate(in: workspace),
            clock: RunClock(epochSeconds: { Self.epoch }, monotonic: { 0 })
        ).execute()
    }

    @Test(arguments: [
        ["model.adapter.kind": "lora", "model.adapter.rslora": "true"],
        ["model.adapter.kind": "prompt", "model.adapter.tokens": "3"],
        ["model.adapter.kind": "p-tuning", "model.adapter.tokens": "3", "model.adapter.encoderWidth": "8"],
        ["model.adapter.kind": "prefix", "model.adapter.tokens": "3"],
        ["model.adapter.kind": "ia3"],
        ["model.adapter.kind": "bottleneck", "model.adapter.reduction": "32"],
        ["model.adapter.kind": "ia3", "privacy.unit": "record", "training.algorithm": "dp-fedsgd"],
        ["training.aggregation": "rolora"], ["training.aggregation": "fedit"],
    ])
    func anAdapterOfAnyKindIsFederated(settings: [String: String]) throws {
        let workspace = workspace()
        defer { try? FileManager.default.removeItem(atPath: workspace.root) }
        let outcome = try simulate(settings, in: workspace)
        #expect(outcome.rounds.count { $0.isReleased } == 2)
        let base = try BaseModel.load(directory: try BuiltInModel.directory())
        let start = try PreparedFederation(
            try configuration(settings).0, prior: .none, randomness: .seeded(5), holdsClientFiles: true
        ).initialModel.adapter
        #expect(outcome.adapter != start)
        // What is on disk is what was trained; P-tuning's encoder lies beside what peft reads.
        let read = try PeftAdapter.readAny(outcome.run.adapter, base: base.model.configuration)
        #expect(read.values == outcome.adapter.values)
        #expect(try RunAudit(outcome.run).findings.isEmpty)
        #expect(outcome.siteScores.count == 4 && outcome.siteScores.allSatisfy { $0.personal == nil })
    }

    @Test(arguments: [
        ["training.algorithm": "ditto"], ["training.algorithm": "pfedme"],
        ["training.algorithm": "fedrep", "training.aggregation": "fedit", "training.share": "*.A"],
        ["training.algorithm": "partial", "training.share": "0.*"],
        ["training.algorithm": "ditto", "privacy.unit": "record"],
    ])
    func whatIsPersonalStaysWithItsClient(settings: [String: String]) throws {
        let workspace = workspace()
        defer { try? FileManager.default.removeItem(atPath: workspace.root) }
        let outcome = try simulate(settings, in: workspace)
        #expect(outcome.siteScores.allSatisfy { $0.personal != nil && $0.personal != $0.shared })
        var files: Set<[Float]> = []
        for site in 1...4 {
            let file = PersonalFile(path: "\(outcome.run.path)/personal/site-\(site)/numbers")
            files.insert(try #require(try file.read()))
        }
        #expect(files.count == 4)
        // Tensors that are not shared never moved in the adapter that everyone holds.
        let (configuration, _) = try configuration(settings)
        let prepared = try PreparedFederation(
            configuration, prior: .none, randomness: .seeded(5), holdsClientFiles: true)
        if let ranges = prepared.shared.ranges {
            let part = prepared.shared.part(round: 1)
            let before = prepared.initialModel.adapter.extract(part)
            let after = outcome.adapter.extract(part)
            for index in before.indices where !ranges.contains(where: { $0.contains(index) }) {
                #expect(before[index] == after[index])
            }
        }
    }

    @Test func aDamagedPersonalFileIsNotReplaced() throws {
        let path = "\(NSTemporaryDirectory())/personal-\(UUID().uuidString)/numbers"
        let file = PersonalFile(path: path)
        #expect(try file.read() == nil)
        try file.write([1, 2, 3], round: 4)
        #expect(try file.read() == [1, 2, 3])
        var bytes = Array(FileManager.default.contents(atPath: path)!)
        for index in bytes.indices {
            bytes[index] ^= 1
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            #expect(throws: CheckpointError.self) { try file.read() }
            bytes[index] ^= 1
        }
    }

    /// A client that holds K numbers holds the server's adapter, bit for bit.
    @Test func kSeedsModelIsMadeFromItsScalars() throws {
        let (configuration, _) = try configuration([
            "training.algorithm": "fedkseed", "training.directions": "32",
        ])
        let prepared = try PreparedFederation(
            configuration, prior: .none, randomness: .seeded(5), holdsClientFiles: true)
        #expect(prepared.shared.dimension == 32)
        var model = prepared.initialModel
        for round in 1...5 {
            model.move(by: (0..<32).map { Float($0 * round) * 1e-3 }, round: round)
        }
        #expect(model.numbers.count == 32)
        let elsewhere = try #require(
            GlobalModel(
                numbers: model.numbers, configuration, shared: prepared.shared, plan: prepared.plan.digest))
        #expect(elsewhere.digest == model.digest)
        #expect(elsewhere.adapter != prepared.initialModel.adapter)
        #expect(
            GlobalModel(
                numbers: [1], configuration, shared: prepared.shared, plan: prepared.plan.digest) == nil)
    }

    @Test func whatClientsMustAgreeOnIsInThePlansDigest() throws {
        var digests: Set<String> = []
        let variants: [[String: String]] = [
            [:], ["training.optimizer": "sgd"], ["training.algorithm": "fedprox"],
            ["training.algorithm": "fedprox", "training.mu": "3"], ["training.algorithm": "ditto"],
            ["training.algorithm": "ditto", "training.lambda": "3"], ["training.algorithm": "pfedme"],
            ["training.algorithm": "fedkseed"], ["training.aggregation": "fedit"],
            ["training.aggregation": "rolora"], ["model.adapter.kind": "ia3"],
            ["training.algorithm": "partial", "training.share": "0.*"],
            ["training.algorithm": "partial", "training.share": "1.*"],
        ]
        for settings in variants {
            let prepared = try PreparedFederation(
                try configuration(settings).0, prior: .none, randomness: .seeded(5), holdsClientFiles: true)
            digests.insert(prepared.plan.digest.hex)
        }
        #expect(digests.count == variants.count)
    }

    // MARK: In clear

    @Test(arguments: ["federated", "local-only", "centralised"])
    func aFederationInClearTrainsWithoutLedgerOrReport(scope: String) throws {
        let workspace = workspace()
        defer { try? FileManager.default.removeItem(atPath: workspace.root) }
        let (configuration, node) = try configuration(["privacy.unit": "none", "training.scope": scope])
        let federation = try ClearFederation(configuration, randomness: .seeded(5))
        let outcome = try federation.execute(in: workspace, source: node)
        #expect(workspace.runs().isEmpty)
        #expect(outcome.siteScores.count == 4)
        #expect(outcome.siteScores.allSatisfy { ($0.personal != nil) == (scope == "local-only") })
        let mean = outcome.siteScores.reduce(0) { $0 + ($1.personal ?? $1.shared) } / 4
        #expect(mean < outcome.siteScores.reduce(0) { $0 + $1.base } / 4)
        #expect(
            try ClearFederation(configuration, randomness: .seeded(5)).train().adapter
                == outcome.result.adapter)
    }

    @Test func aPrivateRunSaysHowManyRunsInClearCameBefore() throws {
        let workspace = workspace()
        defer { try? FileManager.default.removeItem(atPath: workspace.root) }
        func stated(_ run: RunDirectory) throws -> String? {
            let ledger = try Data(contentsOf: URL(fileURLWithPath: run.ledger))
            return try Ledger.verify([UInt8](ledger)).plan.facts[LedgerFacts.runsInClear]
        }
        #expect(try stated(simulate(["rounds.count": "1"], in: workspace).run) == nil)
        let (configuration, node) = try configuration(["privacy.unit": "none", "rounds.count": "1"])
        for _ in 1...2 {
            _ = try ClearFederation(configuration, randomness: .seeded(5)).execute(
                in: workspace, source: node)
        }
        #expect(try stated(simulate(["rounds.count": "1"], in: workspace).run) == "2")
    }

    @Test func aConfigurationInClearReachesNeitherPlanNorNetwork() throws {
        let (configuration, _) = try configuration(["privacy.unit": "none"])
        #expect(throws: FederationError.inClear) {
            _ = try PreparedFederation(
                configuration, prior: .none, randomness: .seeded(5), holdsClientFiles: true)
        }
        #expect(throws: FederationError.inClear) {
            _ = try PreparedSite(
                configuration, prior: .none, baseDirectory: nil, source: .builtIn(site: "site-1"),
                randomness: .seeded(5))
        }
    }

    /// The clear sum and the private one agree but for noise and rounding: with next to no noise the adapters
    /// after a round lie close together, compared with how far they went.
    @Test func withoutNoiseTheTwoRoadsLeadToTheSamePlace() throws {
        let workspace = workspace()
        defer { try? FileManager.default.removeItem(atPath: workspace.root) }
        // All records in one batch, so that the order in which they come does not matter.
        let settings = [
            "rounds.count": "1", "training.batchSize": "12", "privacy.noiseMultiplier": "1/1000",
            "privacy.epsilon": "1000000", "privacy.clipNorm": "1",
        ]
        let masked = try simulate(settings, in: workspace).adapter
        let clear = try ClearFederation(
            try configuration(settings.merging(["privacy.unit": "none"]) { $1 }).0, randomness: .seeded(5)
        ).train().adapter
        let start = try PreparedFederation(
            try configuration(settings).0, prior: .none, randomness: .seeded(5), holdsClientFiles: true
        ).initialModel.adapter
        #expect(distance(masked.values, clear.values) < 0.05 * distance(clear.values, start.values))
    }
}
