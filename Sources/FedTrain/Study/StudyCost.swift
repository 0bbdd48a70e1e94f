import DP
import Foundation
import Models
import Sodium

/// How long a cell will take, from what this machine did a moment ago: a short measurement of training,
/// scoring and one masked round, multiplied by what the cell asks for.
///
/// The first finished cells then correct it. Times are for people; no result depends on them.
struct StudyCost {
    private let clock: () -> Double
    private var rates: [String: (train: Double, score: Double, generate: Double)] = [:]
    private var rounds: [String: Double] = [:]
    private var made: Set<String> = []

    init(clock: @escaping () -> Double) {
        self.clock = clock
    }

    /// Seconds that the cell is expected to take.
    mutating func seconds(_ cell: StudyCell, _ subject: CellSubject, _ split: ClientSplit) throws -> Double {
        let configuration = subject.configuration
        let training = configuration.training
        let tokenizer = try RecordTokenizer(configuration, base: subject.base)
        let tests = tokenizer.examples(split.all(.test) + split.all(.validation)).examples
        let testTokens = Double(tests.reduce(0) { $0 + $1.tokens.count })
        let rates = try rates(subject, tests)
        let sites = subject.data.sites.map(\.examples)
        let tokens = Double(sites.joined().reduce(0) { $0 + $1.tokens.count })
        let meanLength = tokens / Double(max(1, sites.joined().count))
        let parties = training.scope == .centralised ? 1 : sites.count
        var perRound =
            configuration.privacy.unit == .record
            ? configuration.privacy.samplingRate.asDouble * tokens
            : Double(parties * training.localSteps * training.batchSize) * meanLength
        switch training.algorithm {
        case .ditto, .fedRep:
            perRound += Double(parties * training.personalSteps * training.batchSize) * meanLength
        case .pFedMe: perRound *= Double(training.innerSteps)
        case .fedAvg, .fedProx, .dpFedSGD, .partial, .fedKSeed: break
        }
        let models = training.algorithm.isPersonal || training.scope == .localOnly ? sites.count : 1
        var scored = Double(1 + models) * testTokens
        scored += 2 * Double(2 * cell.measures.membership) * meanLength
        scored += Double(2 * cell.measures.canaries * (StudyCanaries.alternatives + 1)) * 40
        let answers =
            cell.task.metric == .exact
            ? Double((1 + models) * split.all(.test).count * HeldOutTest.answerTokensMax) / 2 : 0
        let protocolSeconds = try subject.plan.map { try roundSeconds($0) } ?? 0
        return Double(configuration.rounds.count) * (perRound / rates.train + protocolSeconds)
            + scored / rates.score + answers / rates.generate + Self.fixedSeconds
    }

    /// What it takes to make what stands in the base's place, for the first cell that needs it. A stand-in of the
    /// same shape, barely taught, is left for pricing.
    mutating func making(_ run: CellRun) throws -> (seconds: Double, memory: Int) {
        guard let (recipe, directory) = run.cell.emulator else { return (0, 0) }
        let base = try BaseModel.load(directory: directory)
        guard made.insert(run.emulatorPath).inserted,
            !FileManager.default.fileExists(atPath: run.emulatorPath)
        else { return (0, recipe.memory(base: base)) }
        run.removeStandIn()
        let stepSeconds = try recipe.make(
            at: run.standInPath, of: base, stepsMax: Self.rehearsedSteps, clock: clock)
        return (Double(recipe.steps) * (stepSeconds ?? 0), recipe.memory(base: base))
    }

    private static let rehearsedSteps = 4

    /// Loading, writing and reporting.
    private static let fixedSeconds = 0.3

    /// Tokens a second, measured on a few of the cell's own records.
    private mutating func rates(
        _ subject: CellSubject, _ tests: [TokenizedExample]
    ) throws -> (train: Double, score: Double, generate: Double) {
        let base = subject.base
        let name = "\(base.digest.hex) \(subject.configuration.model.adapter)"
        if let known = rates[name] { return known }
        let sample = Array(subject.data.sites.flatMap(\.examples).prefix(32))
        let tokens = Double(sample.reduce(0) { $0 + $1.tokens.count })
        var generator = SplitMix64(seed: 1)
        let shared = try SharedVector(subject.configuration, base: base.model.configuration)
        let adapter = shared.adapter.adapter(base: base.model.configuration, generator: &generator)
        let engine = TrainingEngine(model: base.model)
        let evaluator = try Evaluator(model: base.model)
        func measured(_ work: () throws -> Void) throws -> Double {
            // Once for the caches, then as often as a fifth of a second holds.
            try work()
            let started = clock()
            var times = 0.0
            repeat {
                try work()
                times += 1
            } while clock() - started < 0.2
            return max(1e-6, (clock() - started) / times)
        }
        let train = try measured {
            try engine.perRecordGradients(of: sample, adapter: adapter, part: shared.part(round: 1)) {
                _, _, _ in
            }
        }
        let score = try measured { _ = try evaluator.losses(sample) }
        let generate = try measured {
            _ = try evaluator.generate(prompts: tests.prefix(8).map { [$0.tokens[0]] }, maxNewTokens: 16)
        }
        let found = (tokens / train, tokens / score, 128 / generate)
        rates[name] = found
        return found
    }

    /// A round without training: noise of every client and the whole protocol.
    private mutating func roundSeconds(_ plan: RoundPlan) throws -> Double {
        let terms = [plan.clients, plan.minSurvivors, plan.aggregation.length, plan.aggregation.modulusBits]
        let name = "\(terms) \(plan.aggregation.noise.localVariance)"
        if let known = rounds[name] { return known }
        let parties = try AuditRounds(plan: plan, randomness: .seeded(1))
        let rotation = parties.rotation
        let started = clock()
        let random = RunRandomness.seeded(1).stream("study/cost")
        let seeds = plan.noiseSeeds(using: random)
        let values = ProtectiveSteps.genuine.contribution(
            plan.aggregation, rotation: rotation, noiseSeeds: seeds, random: random
        ) { encoder, values in
            encoder.encode(
                [Float](repeating: 0, count: plan.aggregation.encoding.dimension), addingTo: &values,
                random: random)
        }
        let contribution = clock() - started
        let before = clock()
        _ = try parties.open(
            [Contribution](
                repeating: Contribution(values: values, noiseSeeds: seeds), count: plan.minSurvivors))
        // The parties of the measurement beyond the floor are lost before their vectors.
        let round = (clock() - before) * Double(plan.clients) / Double(plan.minSurvivors)
        let found = round + Double(plan.clients) * (contribution + Self.ledgerSeconds)
        rounds[name] = found
        return found
    }

    /// A client's two ledger entries a round, each on disk before anything goes on.
    private static let ledgerSeconds = 0.004
}
