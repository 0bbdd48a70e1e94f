import ArgumentParser
import DP
import FedTrain

/// `fedtrain plan`: what a run will cost, before it.
struct PlanCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show what a run will cost before it: ε, noise, bits, bytes and memory.",
        discussion: "Loads model and data, solves the noise, and spends nothing.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var source: ConfigurationOptions
    @OptionGroup var run: RunOptions

    struct Payload: Encodable {
        struct Epsilon: Encodable {
            let planned: Double
            let worst: Double
        }

        let epsilon: Epsilon
        let budget: Double
        let spentBefore: Double
        let delta: Double
        let unit: String
        let accountant: String
        let rounds: Int
        let clients: Int
        let minSurvivors: Int
        let colluders: Int
        let profile: String
        let dimension: Int
        let noiseMultiplier: Double
        let noisePerClient: Double
        let clipSteps: Int
        let modulusBits: Int
        let wrapProbability: Double
        let wrapArgument: String
        let neighbours: Int
        let threshold: Int
        let bytesUpPerClient: Int
        let bytesDownPerClient: Int
        let peakMemory: Int
        let tinyCohort: Bool
        let data: [String]
    }

    func execute(_ console: Console) throws -> Payload {
        let (configuration, _) = try YAMLFile.configuration(source.file, overrides: source.overrides)
        let prepared = try PreparedFederation(
            configuration, workspace: Workspace(configurationFile: source.file),
            randomness: run.randomness)
        return try Self.payload(prepared)
    }

    static func payload(_ prepared: PreparedFederation) throws -> Payload {
        let plan = prepared.plan
        let epsilon = try plan.epsilon(rounds: plan.rounds)
        return Payload(
            // The ledger charges the survivor floor whoever survives, so planned and worst are one.
            epsilon: .init(planned: epsilon, worst: epsilon),
            budget: plan.epsilonMax.asDouble, spentBefore: prepared.prior.epsilon.asDouble,
            delta: plan.delta.asDouble, unit: plan.unit.rawValue,
            accountant: plan.accountantKind.rawValue, rounds: plan.rounds, clients: plan.clients,
            minSurvivors: plan.minSurvivors, colluders: plan.colluders, profile: plan.profile.name,
            dimension: plan.aggregation.length,
            noiseMultiplier: plan.aggregation.noiseMultiplierSquared.asDouble.squareRoot(),
            noisePerClient: plan.aggregation.noise.localVariance.asDouble.squareRoot(),
            clipSteps: plan.aggregation.encoding.clipSteps, modulusBits: plan.aggregation.modulusBits,
            wrapProbability: plan.wrapProbability.asDouble,
            wrapArgument: plan.aggregation.wrap.argument.rawValue,
            neighbours: plan.topology.neighbours, threshold: plan.topology.threshold,
            bytesUpPerClient: prepared.prediction.bytesUpPerClient,
            bytesDownPerClient: prepared.prediction.bytesDownPerClient,
            peakMemory: prepared.prediction.peakMemory, tinyCohort: plan.isTinyCohort,
            data: prepared.data.sites.map { "\($0.name): \($0.summary)" })
    }

    func failure(in payload: Payload) -> CommandFailure? {
        guard payload.epsilon.planned > payload.budget else { return nil }
        return CommandFailure(
            .budget,
            "the planned rounds would cost ε = \(decimal(payload.epsilon.planned, 4)), the budget is ε = "
                + decimal(payload.budget, 4),
            at: source.file, privacy: "nothing was trained or spent",
            hint: "fewer rounds, more noise, or a larger privacy.epsilon")
    }

    func describe(_ payload: Payload) -> String { Self.describe(payload, file: source.file) }

    static func describe(_ payload: Payload, file: String) -> String {
        var lines = [
            "ε = \(decimal(payload.epsilon.planned, 4)) at δ = \(payload.delta) for one \(payload.unit) after "
                + "\(payload.rounds) rounds (budget \(decimal(payload.budget, 4)), accountant \(payload.accountant))",
            "noise multiplier \(decimal(payload.noiseMultiplier, 4)); each client adds noise of "
                + "\(decimal(payload.noisePerClient, 1)) integer steps, the clip norm spans \(payload.clipSteps)",
            "\(payload.clients) clients, at least \(payload.minSurvivors) must survive, "
                + "\(payload.colluders) may collude; \(payload.profile)",
            "\(payload.dimension) coordinates of \(payload.modulusBits) bits; a round's sum wraps with "
                + "probability at most \(scientific(payload.wrapProbability)) (\(payload.wrapArgument) bound)",
            "\(payload.neighbours) neighbours, threshold \(payload.threshold)",
            "each client sends \(bytes(payload.bytesUpPerClient)) and receives "
                + "\(bytes(payload.bytesDownPerClient)) a round; peak memory of this process about "
                + "\(bytes(payload.peakMemory))",
        ]
        if payload.spentBefore > 0 {
            lines.append("earlier runs of this workspace spent ε = \(decimal(payload.spentBefore, 4))")
        }
        if payload.tinyCohort {
            lines.append(
                "tiny cohort: each member can subtract itself; differential privacy is the only protection")
        }
        lines.append("next: fedtrain simulate \(file)")
        return lines.joined(separator: "\n")
    }
}
