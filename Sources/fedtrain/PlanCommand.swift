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

    @Option(
        help:
            "Solve for one of the file's values: \(PlanUnknown.allCases.map(\.rawValue).joined(separator: ", "))."
    )
    var solve: PlanUnknown?

    @Option(help: "With --solve: the target ε; what is left of the budget when not given.")
    var epsilon: String?

    struct Payload: Encodable {
        struct Epsilon: Encodable {
            let planned: Double
            let worst: Double
        }

        /// What a sum carries when nobody and when as many as allowed are lost, and what removing noise costs.
        struct DropoutNoiseFigures: Encodable {
            /// `floor` or `exact`.
            let mode: String
            /// Numbers of lost clients at which noise levels stand.
            let levels: [Int]
            /// Deviations in integer steps: what the guarantee counts on, what a sum carries.
            let required: Double
            let deliveredAllSurvive: Double
            let deliveredFewestSurvive: Double
            /// Variance in a sum over all clients, with every noise share left in, over what is delivered.
            let varianceSaved: Double
            let bytesUpPerClient: Int
        }

        /// Why the sum fits its modulus, in integer steps.
        struct WrapFigures: Encodable {
            let window: Double
            let signalMax: Double
            let signalStd: Double
            let noiseStd: Double
            let margin: Double
            let failureLog2: Double
        }

        /// How often a client takes part at most; its own ledger enforces it.
        struct Participation: Encodable {
            /// All clients; `clients` of them take their turn in a round.
            let population: Int
            let limit: Int?
            let gap: Int
            /// Rounds of this run that one client can be in, for which ε is computed.
            let most: Int
        }

        let epsilon: Epsilon
        let budget: Double
        let spentBefore: Double
        let delta: Double
        let unit: String
        let accountant: String
        let rounds: Int
        let clients: Int
        let participation: Participation
        let minSurvivors: Int
        let colluders: Int
        let profile: String
        let dimension: Int
        let noiseMultiplier: Double
        let noisePerClient: Double
        let mechanism: String
        let dropoutNoise: DropoutNoiseFigures
        let clipSteps: Int
        let modulusBits: Int
        let wrapProbability: Double
        let wrapArgument: String
        let wrapProof: WrapFigures
        let neighbours: Int
        let threshold: Int
        let bytesUpPerClient: Int
        let bytesDownPerClient: Int
        let peakMemory: Int
        /// Of a simulated run on this machine, from rates measured now; nil where nothing is simulated.
        var seconds: Double?
        let tinyCohort: Bool
        let data: [String]
        /// With `--solve`: what was solved for, and what to put into the file.
        var solved: Solved?

        struct Solved: Encodable {
            struct Setting: Encodable {
                let path: String
                let value: String
            }

            let unknown: String
            let target: Double
            let settings: [Setting]
        }
    }

    func validate() throws {
        if epsilon != nil, solve == nil {
            throw ValidationError("--epsilon belongs to --solve noise, rounds or cohort.")
        }
    }

    func execute(_ console: Console) throws -> Payload {
        let (configuration, _) = try YAMLFile.configuration(source.file, overrides: source.overrides)
        let prepared = try PreparedFederation(
            configuration, workspace: Workspace(configurationFile: source.file),
            randomness: run.randomness)
        guard let solve else {
            var payload = try Self.payload(prepared, plan: prepared.plan)
            if !prepared.data.sites.isEmpty {
                payload.seconds = try RunTiming(prepared, stopwatch: monotonicSeconds).total
            }
            return payload
        }
        let target = try epsilon.map { try MechanismOptions.number($0, "--epsilon") }
        let solution = try prepared.solution(for: solve, epsilon: target)
        var payload = try Self.payload(prepared, plan: solution.plan)
        payload.solved = Payload.Solved(
            unknown: solve.rawValue,
            target: (target ?? prepared.configuration.privacy.epsilonMax).asDouble,
            settings: solution.settings.map { Payload.Solved.Setting(path: $0.path, value: $0.value) })
        return payload
    }

    static func payload(_ prepared: PreparedFederation) throws -> Payload {
        try payload(prepared, plan: prepared.plan)
    }

    private static func payload(_ prepared: PreparedFederation, plan: RoundPlan) throws -> Payload {
        let epsilon = try plan.epsilon(rounds: plan.rounds)
        return Payload(
            // The ledger charges the survivor floor whoever survives, so planned and worst are one.
            epsilon: .init(planned: epsilon, worst: epsilon),
            budget: plan.epsilonMax.asDouble, spentBefore: prepared.prior.epsilon.asDouble,
            delta: plan.delta.asDouble, unit: plan.unit.rawValue,
            accountant: plan.accountantKind.rawValue, rounds: plan.rounds, clients: plan.clients,
            participation: .init(
                population: plan.population, limit: plan.participation.limit, gap: plan.participation.gap,
                most: plan.participationsMax),
            minSurvivors: plan.minSurvivors, colluders: plan.colluders, profile: plan.profile.name,
            dimension: plan.aggregation.length,
            noiseMultiplier: plan.aggregation.noiseMultiplierSquared.asDouble.squareRoot(),
            noisePerClient: plan.aggregation.noise.localVariance.asDouble.squareRoot(),
            mechanism: plan.aggregation.noise.name, dropoutNoise: try dropoutNoise(plan),
            clipSteps: plan.aggregation.encoding.clipSteps, modulusBits: plan.aggregation.modulusBits,
            wrapProbability: plan.wrapProbability.asDouble,
            wrapArgument: plan.aggregation.wrap.argument.rawValue, wrapProof: wrapProof(plan),
            neighbours: plan.topology.neighbours, threshold: plan.topology.threshold,
            bytesUpPerClient: prepared.prediction.bytesUpPerClient,
            bytesDownPerClient: prepared.prediction.bytesDownPerClient,
            peakMemory: prepared.prediction.peakMemory, tinyCohort: plan.isTinyCohort,
            data: prepared.data.sites.map { "\($0.name): \($0.summary)" })
    }

    private static func dropoutNoise(_ plan: RoundPlan) throws -> Payload.DropoutNoiseFigures {
        let noise = plan.aggregation.noise
        func deviation(_ survivors: Int) -> Double {
            noise.deliveredVariance(survivors: survivors).asDouble.squareRoot()
        }
        let everything = noise.localVariance.asDouble * Double(plan.clients)
        return Payload.DropoutNoiseFigures(
            mode: noise.levels == nil ? "floor" : "exact", levels: noise.levels?.dropouts ?? [],
            required: noise.guaranteedVariance.asDouble.squareRoot(),
            deliveredAllSurvive: deviation(plan.clients),
            deliveredFewestSurvive: deviation(plan.minSurvivors),
            varianceSaved: everything / noise.deliveredVariance(survivors: plan.clients).asDouble,
            bytesUpPerClient: try RunPrediction.removableNoiseBytesUp(plan))
    }

    private static func wrapProof(_ plan: RoundPlan) -> Payload.WrapFigures {
        let wrap = plan.aggregation.wrap
        return Payload.WrapFigures(
            window: Double(sign: .plus, exponent: wrap.modulusBits - 1, significand: 1) - 1,
            signalMax: wrap.signalMax, signalStd: wrap.signalStd, noiseStd: wrap.noiseStd,
            margin: wrap.margin, failureLog2: wrap.failureLog2)
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

    func describe(_ payload: Payload) -> String {
        Self.describe(payload, file: source.file, overrides: source.overrides)
    }

    static func describe(_ payload: Payload, file: String, overrides: [String] = []) -> String {
        var lines = [
            "ε = \(decimal(payload.epsilon.planned, 4)) at δ = \(payload.delta) for one \(payload.unit) after "
                + "\(payload.rounds) rounds (budget \(decimal(payload.budget, 4)), accountant \(payload.accountant))",
            "noise multiplier \(decimal(payload.noiseMultiplier, 4)); each client adds noise of "
                + "\(decimal(payload.noisePerClient, 1)) integer steps, the clip norm spans \(payload.clipSteps)",
            describe(payload.participation, clients: payload.clients)
                + "at least \(payload.minSurvivors) must survive, "
                + "\(payload.colluders) may collude; \(payload.profile)",
            "\(payload.dimension) coordinates of \(payload.modulusBits) bits; a round's sum wraps with "
                + "probability at most \(scientific(payload.wrapProbability)) (\(payload.wrapArgument) bound)",
            describe(payload.wrapProof),
            describe(payload.dropoutNoise),
            "\(payload.neighbours) neighbours, threshold \(payload.threshold)",
            "each client sends \(bytes(payload.bytesUpPerClient)) and receives "
                + "\(bytes(payload.bytesDownPerClient)) a round; peak memory of this process about "
                + "\(bytes(payload.peakMemory))",
        ]
        if let seconds = payload.seconds {
            lines.append(
                "simulated on this machine it takes about \(decimal(seconds, 0)) s, by rates measured just now"
            )
        }
        if payload.spentBefore > 0 {
            lines.append("earlier runs of this workspace spent ε = \(decimal(payload.spentBefore, 4))")
        }
        if payload.tinyCohort {
            lines.append(
                "tiny cohort: each member can subtract itself; differential privacy is the only protection")
        }
        guard let solved = payload.solved else {
            lines.append("next: fedtrain simulate \(file)")
            return lines.joined(separator: "\n")
        }
        lines.append(
            "solved for \(solved.unknown) at ε = \(decimal(solved.target, 4)), and planned again; put into \(file):"
        )
        lines += solved.settings.map { "  \($0.path): \($0.value)" }
        if solved.unknown == PlanUnknown.cohort.rawValue {
            lines.append("  and bring \(payload.participation.population) clients")
        }
        let kept = overrides.filter { override in
            !solved.settings.contains { override.hasPrefix("\($0.path)=") }
        }
        let options = (kept + solved.settings.map { "\($0.path)=\($0.value)" })
            .map { "--set \($0)" }.joined(separator: " ")
        lines.append("next: fedtrain plan \(file) \(options)")
        return lines.joined(separator: "\n")
    }

    private static func describe(_ participation: Payload.Participation, clients: Int) -> String {
        guard participation.gap > 1 || participation.limit != nil else { return "\(clients) clients, " }
        return "\(clients) of \(participation.population) clients a round, none in two rounds less than "
            + "\(participation.gap) apart or in more than \(participation.most); "
    }

    private static func describe(_ wrap: Payload.WrapFigures) -> String {
        "  proof: a coordinate holds ±\(decimal(wrap.window, 0)) steps; signal up to \(decimal(wrap.signalMax, 0))"
            + (wrap.signalStd > 0 ? " and a deviation of \(decimal(wrap.signalStd, 0))" : "")
            + ", noise of deviation \(decimal(wrap.noiseStd, 0)); beyond the margin of "
            + "\(decimal(wrap.margin, 0)) lies 2^\(decimal(wrap.failureLog2, 1))"
    }

    private static func describe(_ noise: Payload.DropoutNoiseFigures) -> String {
        let figures =
            "noise in a sum: \(decimal(noise.deliveredAllSurvive, 0)) steps if all survive, "
            + "\(decimal(noise.deliveredFewestSurvive, 0)) if the fewest do; the guarantee counts on "
            + decimal(noise.required, 0)
        guard noise.mode == "exact" else {
            return figures + " (privacy.dropoutNoise: exact would remove what is too much)"
        }
        return figures + "; \(noise.levels.count) levels of removable noise save "
            + "\(decimal(noise.varianceSaved, 2)) times the variance for \(bytes(noise.bytesUpPerClient)) more "
            + "sent by each client"
    }
}

extension PlanUnknown: ExpressibleByArgument {}
