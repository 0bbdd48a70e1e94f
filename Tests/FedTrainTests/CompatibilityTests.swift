import FedTrain
import Foundation
import GMP
import Testing

/// Which algorithm may be combined with what: the code decides, the page shows it, refusals say why.
@Suite struct CompatibilityTests {
    private typealias Configuration = FederationConfiguration

    @Test func thePageShowsTheTableOfTheCode() throws {
        let page = try String(contentsOfFile: "docs/algorithms.md", encoding: .utf8)
        for line in Compatibility.table.split(separator: "\n") {
            #expect(page.contains(line), "docs/algorithms.md lacks: \(line)")
        }
        for algorithm in Configuration.Algorithm.allCases {
            #expect(page.contains("`\(algorithm.rawValue)`"))
        }
    }

    private func refusal(_ settings: [(String, String)]) throws -> ConfigurationError? {
        var values = [
            "schema": "fedtrain/1", "name": "table", "rounds.count": "2", "rounds.minSurvivors": "3",
            "privacy.unit": "client", "training.algorithm": "fedavg",
        ]
        values.merge(settings) { $1 }
        let node = try values.sorted { $0.key < $1.key }.reduce(ConfigurationNode(.map([]), at: nil)) {
            try $0.setting(path: $1.key, to: ConfigurationNode(.scalar($1.value), at: nil))
        }
        do throws(ConfigurationError) {
            _ = try Configuration(reading: node)
            return nil
        } catch { return error }
    }

    /// Every algorithm under every protection is read or refused exactly as the table says.
    @Test func aConfigurationIsReadWhereTheTableAllowsIt() throws {
        for algorithm in Configuration.Algorithm.allCases {
            for protection in Compatibility.Protection.allCases {
                let settings =
                    [
                        ("training.algorithm", algorithm.rawValue), ("privacy.unit", protection.rawValue),
                        ("training.aggregation", algorithm.sharesPart ? "fedit" : "ffa"),
                    ] + (algorithm.sharesPart ? [("training.share", "*.A")] : [])
                let error = try refusal(settings)
                if let reason = Compatibility.obstacle(algorithm, protection) {
                    let refused = try #require(error)
                    #expect(refused.message.contains(reason))
                    #expect(error?.suggestion != nil)
                } else {
                    #expect(error == nil, "\(algorithm) under \(protection): \(String(describing: error))")
                }
            }
        }
    }

    @Test(
        arguments: [
            ([("training.combine", "weighted")], "private"),
            ([("training.combine", "median")], "masks open nothing but the sum"),
            ([("training.combine", "krum")], "masks open nothing but the sum"),
            ([("training.combine", "krum"), ("privacy.unit", "none")], "not offered"),
            ([("training.share", "*.A")], "what should stay private would leave"),
            ([("training.algorithm", "fedrep")], "must be told which ones travel"),
            ([("training.scope", "local-only")], "nothing is aggregated"),
            ([("training.scope", "centralised")], "nothing is aggregated"),
            (
                [
                    ("training.scope", "local-only"), ("training.algorithm", "ditto"),
                    ("privacy.unit", "none"),
                ], "own"
            ),
            ([("model.adapter.kind", "prefix"), ("training.aggregation", "ffa")], "has none"),
            ([("training.aggregation", "all")], "fedit"),
            ([("training.algorithm", "ditto"), ("training.aggregation", "rolora")], "every other round"),
            ([("training.algorithm", "fedkseed"), ("training.aggregation", "rolora")], "directions"),
            ([("training.algorithm", "fedkseed"), ("model.start", "somewhere")], "model.start"),
            ([("training.algorithm", "pfedme"), ("training.lambda", "15")], "overshoot"),
        ] as [([(String, String)], String)])
    func whatCannotBeCombinedIsRefusedWithItsReason(settings: [(String, String)], reason: String) throws {
        let error = try #require(try refusal(settings))
        #expect(error.message.contains(reason), "\(error.message)")
        #expect(error.suggestion != nil)
    }

    @Test(arguments: ["weighted", "median"])
    func inClearContributionsMayBeCombinedOtherwise(combination: String) throws {
        let error = try refusal([("privacy.unit", "none"), ("training.combine", combination)])
        #expect(error == nil)
    }
}
