import DP
import GMP
import Models
import SecureAgg
import Sodium

/// How long a simulated run will take on this machine, put together from rates that are measured now, in this
/// process, on the run's own model, data, vector and graph.
public struct RunTiming: Sendable, Equatable {
    /// Seconds of each round: all clients' training, noise and encoding; the protocol; server's opening.
    public let trainingPerRound: Double
    public let protocolPerRound: Double
    public let openingPerRound: Double
    /// Scores before and after.
    public let scoring: Double
    public let rounds: Int

    public var total: Double {
        Double(rounds) * (trainingPerRound + protocolPerRound + openingPerRound) + scoring
    }

    /// Takes some seconds, more with many clients.
    ///
    /// - Parameter stopwatch: seconds of a clock that never jumps.
    public init(_ prepared: PreparedFederation, stopwatch: @escaping Stopwatch) throws {
        let plan = prepared.plan
        rounds = plan.rounds
        func seconds(_ body: () throws -> Void) rethrows -> Double {
            let start = stopwatch()
            try body()
            return stopwatch() - start
        }
        // As the simulation shares its cores out among clients.
        let lanes = prepared.data.sites.count >= 4 * concurrency ? concurrency : 1
        let clients = Double(plan.clients)
        let engine = TrainingEngine(model: prepared.base.model, threads: lanes > 1 ? 1 : nil)

        let training = try Self.trainingSeconds(prepared, engine: engine, seconds)
        let encoding = seconds {
            _ = ProtectiveSteps.genuine.contribution(
                plan.aggregation, rotation: plan.rotation(round: 1, incoming: prepared.base.digest),
                noiseSeeds: plan.noiseSeeds(using: StreamRandom(seed: 1, label: "timing")),
                random: StreamRandom(seed: 2, label: "timing")
            ) { encoder, values in
                let vector = [Float](repeating: 1e-3, count: plan.aggregation.encoding.dimension)
                encoder.encode(vector, addingTo: &values, random: StreamRandom(seed: 3, label: "timing"))
            }
        }
        trainingPerRound = (training + clients * encoding) / Double(lanes)

        // Keys, shares and signatures of one client among all, without the cohort's, which a simulation
        // checks once; then its masks.
        let (degree, threshold) = (plan.topology.neighbours, plan.topology.threshold)
        let keys = try KeyWorkload(try plan.keyRound(), seed: 1)
        let cache = CohortCache()
        let firstKeys = try keys.seconds(threads: 1, cohortCache: cache, stopwatch).values.reduce(0, +)
        let laterKeys = try keys.seconds(threads: 1, cohortCache: cache, stopwatch).values.reduce(0, +)
        let length = plan.aggregation.length
        let bits = plan.aggregation.modulusBits
        let masks = MaskWorkload(maskCount: min(64, degree + 1), dimension: length, modulusBits: bits)
        let mask = seconds { masks.run(threads: 1) } / Double(masks.maskCount)
        let perClient = laterKeys + Double(degree + 1) * mask
        protocolPerRound = clients * perClient / Double(concurrency) + max(0, firstKeys - laterKeys)

        let recovery = RecoveryWorkload(threshold: threshold, holders: degree + 1, seed: 1)
        let recover = seconds { _ = recovery.run(offset: 0) }
        openingPerRound = clients * (recover + mask) / Double(concurrency)

        scoring = try Self.scoringSeconds(prepared, seconds)
    }

    /// All clients' training of one round, one after the other: the middle client's steps, or a few records'
    /// gradients, scaled to all.
    private static func trainingSeconds(
        _ prepared: PreparedFederation, engine: TrainingEngine,
        _ seconds: (() throws -> Void) throws -> Double
    ) throws -> Double {
        let sites = prepared.data.sites.sorted { $0.examples.count < $1.examples.count }
        guard !sites.isEmpty else { return 0 }
        let site = sites[sites.count / 2]
        let model = prepared.initialModel
        var training = prepared.configuration.training
        let whole = training
        var generator = SplitMix64(seed: 1)
        var own: [Float]?
        let work = { (training: FederationConfiguration.Training) in
            model.work(of: site.examples, training: training, engine: engine, round: 1)
        }
        var total = 0.0
        if prepared.plan.unit == .record {
            let records = Array(site.examples.indices.prefix(32))
            let once = { try work(training).eachGradient(of: records) { _ in } }
            try once()
            let rate = prepared.plan.samplingRate.asDouble
            let sampled = Double(sites.reduce(0) { $0 + $1.examples.count }) * rate
            total = try seconds(once) / Double(records.count) * sampled
            guard training.algorithm == .ditto else { return total }
        }
        training.localSteps = 1
        training.personalSteps = 1
        let once = { [training] in
            if prepared.plan.unit == .record {
                try work(training).movePersonal(&own, generator: &generator)
            } else {
                _ = try work(training).update(personal: &own, generator: &generator)
            }
        }
        try once()
        let repetitions = 4
        let step = try seconds { for _ in 0..<repetitions { try once() } } / Double(repetitions)
        let steps: Double =
            switch whole.algorithm {
            case .ditto where prepared.plan.unit == .record: Double(whole.personalSteps)
            case .ditto, .fedRep: Double(whole.localSteps + whole.personalSteps) / 2
            default: Double(whole.localSteps)
            }
        return total + step * steps * Double(sites.count)
    }

    /// Scores before and after, from those of a few records.
    private static func scoringSeconds(
        _ prepared: PreparedFederation, _ seconds: (() throws -> Void) throws -> Double
    ) throws -> Double {
        guard let heldOut = prepared.data.heldOut else { return 0 }
        let few: HeldOutTest
        let share: Double
        switch heldOut {
        case .exactMatch(let prompts, let references):
            let count = min(48, prompts.count)
            few = .exactMatch(
                prompts: Array(prompts.prefix(count)), references: Array(references.prefix(count)))
            share = Double(prompts.count) / Double(max(1, count))
        case .loss(let examples):
            few = .loss(Array(examples.prefix(48)))
            share = Double(examples.count) / Double(min(48, examples.count))
        }
        return try 2 * share * seconds { _ = try few.score(base: prepared.base, adapter: nil) }
    }
}

extension RoundPlan {
    /// A round of the plan's graph with a vector of no weight.
    fileprivate func keyRound() throws(ParameterError) -> AggregationParameters {
        try AggregationParameters(
            task: name, round: 1, context: digest, vectorLength: 64, modulusBits: aggregation.modulusBits,
            cohort: clients...clients, minSurvivors: minSurvivors, profile: .maliciousServer,
            colluderFraction: Rational(colluders) / Rational(clients), dropoutFraction: dropoutFraction,
            allowTinyCohort: allowTinyCohort)
    }
}
