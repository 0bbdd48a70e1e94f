import DP
import FedTrain
import Foundation
import GMP
import Models
import Sodium

/// A small federation to audit: seconds, with every part real.
enum AuditFixture {
    /// Set for the tests that take minutes.
    static let isSlow = ProcessInfo.processInfo.environment["FEDTRAIN_SLOW_TESTS"] == "1"

    static func configuration(_ values: [String: String]) throws -> FederationConfiguration {
        var all = [
            "schema": "fedtrain/1", "name": "audit", "rounds.count": "6", "rounds.minSurvivors": "6",
            "privacy.unit": "record", "privacy.noiseMultiplier": "3/2", "privacy.epsilon": "100000",
            "privacy.colluders": "1", "privacy.samplingRate": "1/2", "training.algorithm": "dp-fedsgd",
            "secagg.allowTinyCohort": "true",
        ]
        all.merge(values) { $1 }
        if all["privacy.unit"] == "client" {
            all["privacy.noiseMultiplier"] = values["privacy.noiseMultiplier"] ?? "1"
            all["privacy.samplingRate"] = "1"
            all["training.algorithm"] = "fedavg"
        }
        let node = try all.sorted { $0.key < $1.key }.reduce(ConfigurationNode(.map([]), at: nil)) {
            try $0.setting(path: $1.key, to: ConfigurationNode(.scalar($1.value), at: nil))
        }
        return try FederationConfiguration(reading: node)
    }

    static func plan(
        _ values: [String: String] = [:], dimension: Int = 2048, clients: Int = 8,
        request: EmpiricalAudit.Request = .init()
    ) throws -> RoundPlan {
        try EmpiricalAudit.plan(
            try configuration(values), dimension: dimension,
            recordCounts: [Int](repeating: 50, count: clients), baseDigest: .of([1]), request: request)
    }

    /// Runs an audit of 1000 canaries of each kind on the small federation.
    static func audit(
        _ unit: PrivacyUnit, fault: PlantedFault? = nil, seed: UInt64
    ) throws -> AuditOutcome {
        // For canary clients the smallest cohort: every canary is a client, and rounds are what costs.
        let plan =
            unit == .record
            ? try plan()
            : try plan(
                ["privacy.unit": "client", "rounds.minSurvivors": "4", "privacy.colluders": "0"],
                dimension: 1024, clients: 4)
        var audit = try EmpiricalAudit(plan: plan, request: .init(), randomness: .seeded(seed))
        if let fault { audit.steps = fault.steps }
        return try audit.run()
    }
}

/// What a build can get wrong without failing: each leaves every plan, ledger and report as it was.
enum PlantedFault: String, CaseIterable, Sendable {
    case noiseOff, noiseOverThree, clipOff, noiseOnTheWrongTensor

    var steps: ProtectiveSteps {
        var steps = ProtectiveSteps.genuine
        switch self {
        case .noiseOff:
            steps.addNoise = { noise, _ in _ = consume noise }
        case .noiseOverThree:
            steps.drawNoise = { plan, _, random in
                let noise = try! DistributedDiscreteGaussian(
                    minSurvivors: plan.noise.minSurvivors, colluders: plan.noise.colluders,
                    localVariance: plan.noise.localVariance / 9)
                return noise.noiseShare(count: plan.length, using: random)
            }
        case .clipOff:
            // The same scale with room for a hundred times the norm.
            steps.makeEncoder = { plan, rotation in
                let loose = try! EncodingPlan(
                    dimension: plan.encoding.dimension, clipNorm: plan.encoding.clipNorm * 100,
                    clipSteps: plan.encoding.clipSteps * 100)
                return UpdateEncoder(plan: loose, rotation: rotation)
            }
        case .noiseOnTheWrongTensor:
            // What the second half of the vector should get lands on the first half as well.
            steps.addNoise = { noise, values in
                var drawn = [Int32](repeating: 0, count: values.count)
                noise.add(to: &drawn)
                let half = values.count / 2
                for index in values.indices { values[index % half] &+= drawn[index] }
            }
        }
        return steps
    }
}
