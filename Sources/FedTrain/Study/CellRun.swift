import DP
import Foundation
import GMP
import Models
import Sodium

/// Runs one cell: the same code as `simulate`, in a workspace of the cell's own, then every measurement.
///
/// The clock of a cell stands still and its keys follow from its seed, so its ledger, report and adapter are
/// the same bytes whenever and wherever it runs. The price is that whoever knows the seed knows the noise:
/// studies are for data that needs no protection, and say so.
struct CellRun {
    let cell: StudyCell
    let split: ClientSplit
    /// The study's directory, which holds `cells` and `data`.
    let root: String

    var directory: String { "\(root)/cells/\(cell.key)" }
    static let resultName = "result.json"
    static let configurationName = "federation.json"

    /// Where what stands in the base's place is kept, and what stands in for it until it is made, for prices.
    var emulatorPath: String { "\(root)/\(cell.emulatorDirectory ?? "")" }
    var standInPath: String { emulatorPath + ".plan" }

    /// The federation, priced and ready.
    ///
    /// - Parameter rehearsed: for prices, which do not wait for an emulator to be taught.
    func prepare(rehearsed: Bool = false) throws -> CellSubject {
        var configuration = try cell.configuration(root: root)
        if rehearsed, cell.emulator != nil, !FileManager.default.fileExists(atPath: emulatorPath) {
            configuration.model.baseDirectory = standInPath
        }
        let randomness = RunRandomness.seeded(cell.seed)
        if configuration.privacy.isInClear {
            return .inClear(try ClearFederation(configuration, randomness: randomness))
        }
        let alone = try PreparedFederation(
            configuration, prior: .none, randomness: randomness, holdsClientFiles: true)
        guard let budget = cell.budget, let prior = cell.prior else { return .priced(alone) }
        // On a common account: the noise stays what the cell asked for, the limit is what is left for all.
        configuration.privacy.noise = .multiplier(alone.plan.requestedMultiplier)
        configuration.privacy.epsilonMax = budget
        return .priced(
            try PreparedFederation(
                configuration, prior: PriorSpending(runs: prior > 0 ? 1 : 0, epsilon: prior),
                randomness: randomness, holdsClientFiles: true))
    }

    /// Makes what stands in the base's place, or finds that the one that is there is the right one.
    private func makeEmulator() throws {
        guard let (recipe, directory) = cell.emulator else { return }
        let full = try BaseModel.load(directory: directory)
        try recipe.make(at: emulatorPath, of: full)
        if recipe.isOfTheBase {
            let file = EmulatorOwnerRecord.path(for: emulatorPath)
            try EmulatorOwnerRecord.read(file)
                .check(full: full, emulator: BaseModel.load(directory: emulatorPath), file: file)
        }
        removeStandIn()
    }

    func removeStandIn() {
        for left in [standInPath, EmulatorOwnerRecord.path(for: standInPath)] {
            try? FileManager.default.removeItem(atPath: left)
        }
    }

    /// Runs and measures; the result is on disk when this returns.
    func run(observe: @escaping (FederationEvent) -> Void) throws -> CellResult {
        // What an earlier process left of this cell is not continued: the same seed gives the same bytes.
        try? FileManager.default.removeItem(atPath: directory)
        let workspace = Workspace(root: directory)
        try AtomicFile.makeDirectory(workspace.runsDirectory)
        try AtomicFile.write(
            cell.source.json.text(.indented) + "\n", to: "\(directory)/\(Self.configurationName)")
        try makeEmulator()
        let subject = try prepare()
        let trained: TrainedCell
        switch subject {
        case .inClear(let federation):
            let rounds = federation.configuration.rounds.count
            let outcome = try federation.execute(in: workspace, source: cell.source) { _, round in
                observe(.roundStarted(round, of: rounds))
            }
            trained = TrainedCell(federation, outcome)
        case .priced(let prepared):
            try prepared.requireBudget()
            var keyRandom = prepared.randomness.stream("study/server-key")
            let outcome = try FederationRun(
                prepared: prepared, source: cell.source, workspace: workspace,
                serverKey: SigningKey(generatedBy: &keyRandom),
                clock: RunClock(epochSeconds: { 0 }, monotonic: { 0 })
            ).execute(observe: observe)
            trained = TrainedCell(prepared, outcome)
        }
        let result = try CellMeasurement(
            cell: cell, split: split, base: subject.base, configuration: subject.configuration,
            trained: trained, emulatorPath: emulatorPath
        ).result()
        try AtomicFile.write(result.json.text() + "\n", to: "\(directory)/\(Self.resultName)")
        return result
    }

    /// The result that is there already; nil if there is none, or none of this cell.
    func cached() -> CellResult? {
        guard let bytes = FileManager.default.contents(atPath: "\(directory)/\(Self.resultName)"),
            let json = try? JSON.parse(Array(bytes)), let result = CellResult(json: json),
            result.key == cell.key
        else { return nil }
        return result
    }
}

/// A cell's federation before it is run: with its protection and price, or in clear.
enum CellSubject {
    case priced(PreparedFederation)
    case inClear(ClearFederation)

    var base: BaseModel {
        switch self {
        case .priced(let prepared): prepared.base
        case .inClear(let federation): federation.base
        }
    }

    var configuration: FederationConfiguration {
        switch self {
        case .priced(let prepared): prepared.configuration
        case .inClear(let federation): federation.configuration
        }
    }

    var data: FederationData {
        switch self {
        case .priced(let prepared): prepared.data
        case .inClear(let federation): federation.data
        }
    }

    /// Nil for a run in clear, which has no price.
    var plan: RoundPlan? {
        if case .priced(let prepared) = self { prepared.plan } else { nil }
    }
}

/// What a cell's federation ended with, measured or not.
struct TrainedCell {
    /// The model that each client ends with: one for all, or one each.
    let models: [Adapter?]
    let unit: String
    let epsilon: Double?
    let delta: Double
    let noiseMultiplier: Double
    let rounds: Int
    let released: Int
    let fewestSurvivors: Int
    let coordinates: Int
    let bytesUp: Int
    let bytesDown: Int

    init(_ prepared: PreparedFederation, _ outcome: FederationRun.Outcome) {
        let plan = prepared.plan
        models = Self.models(shared: outcome.adapter, personal: outcome.personal)
        unit = plan.unit.rawValue
        epsilon = Figures.rounded(outcome.epsilon, .up)
        delta = plan.delta.asDouble
        noiseMultiplier = Figures.rounded(plan.aggregation.noiseMultiplierSquared.asDouble.squareRoot())
        rounds = outcome.rounds.count
        released = outcome.rounds.count(where: \.isReleased)
        fewestSurvivors = outcome.rounds.map(\.survivors).min() ?? 0
        coordinates = plan.aggregation.length
        bytesUp = outcome.bytesUpPerClient
        bytesDown = outcome.bytesDownPerClient
    }

    /// In clear numbers would travel as 32-bit floats; the yardsticks send nothing.
    init(_ federation: ClearFederation, _ outcome: ClearFederation.Outcome) {
        let configuration = federation.configuration
        models = Self.models(shared: outcome.result.adapter, personal: outcome.result.personal)
        unit = "none"
        epsilon = nil
        delta = 0
        noiseMultiplier = 0
        rounds = configuration.rounds.count
        released = rounds
        fewestSurvivors = federation.data.sites.count
        coordinates = federation.shared.count(round: 1)
        bytesUp = configuration.training.scope == .federated ? 4 * coordinates : 0
        bytesDown = bytesUp
    }

    private static func models(shared: Adapter, personal: [Adapter?]) -> [Adapter?] {
        personal.contains { $0 != nil } ? personal.map { $0 ?? shared } : [shared]
    }
}

/// Scores what a cell's federation ended with.
struct CellMeasurement {
    let cell: StudyCell
    let split: ClientSplit
    let base: BaseModel
    let configuration: FederationConfiguration
    let trained: TrainedCell
    private let emulatorPath: String

    private let tokenizer: RecordTokenizer

    /// - Throws: `CheckpointError` if the records are to be chats and the base has no chat template.
    init(
        cell: StudyCell, split: ClientSplit, base: BaseModel, configuration: FederationConfiguration,
        trained: TrainedCell, emulatorPath: String
    ) throws {
        self.cell = cell
        self.split = split
        self.base = base
        self.configuration = configuration
        self.trained = trained
        self.emulatorPath = emulatorPath
        tokenizer = try RecordTokenizer(configuration, base: base)
    }

    func result() throws -> CellResult {
        let tests = split.clients.map { tokenizer.examples($0.test).examples }
        let models = trained.models
        let exact =
            cell.task.metric == .exact ? try FederationData.exactMatch(split.all(.test), tokenizer) : nil
        return CellResult(
            key: cell.key, clients: split.clients.map(\.name), base: try losses([nil], tests),
            trained: try losses(models, tests), validation: try validation(models),
            exactBefore: try exact?.score(base: base, adapter: nil as Adapter?).value,
            exactAfter: try exact.map { test in
                let scores = try models.map { try test.score(base: base, adapter: $0).value }
                return scores.reduce(0, +) / Double(scores.count)
            },
            unit: trained.unit, epsilon: trained.epsilon, delta: trained.delta,
            noiseMultiplier: trained.noiseMultiplier, rounds: trained.rounds, released: trained.released,
            fewestSurvivors: trained.fewestSurvivors, coordinates: trained.coordinates,
            bytesUp: trained.bytesUp, bytesDown: trained.bytesDown, membership: try membership(models),
            canaries: try canaries(models), offsite: try offsite(models, tests, exact),
            adapter: Digest.labelled(
                "fedtrain/v1/cell-models", models.map { $0!.digest.bytes }
            ).hex)
    }

    /// - Parameter models: one for all clients, or one each.
    private func losses(
        _ models: [Adapter?], _ tests: [[TokenizedExample]], of owner: BaseModel? = nil
    ) throws -> CellResult.Losses {
        let base = owner ?? self.base
        let pool = Array(tests.joined())
        var pooled: [Double] = []
        var own = [Double](repeating: 0, count: tests.count)
        var byTest = own
        for (index, model) in models.enumerated() {
            let scores = try Evaluator(model: base.model, adapter: model).losses(pool)
            pooled.append(Self.mean(scores[...]))
            var start = 0
            for (client, test) in tests.enumerated() {
                let end = start + test.count
                let mean = Self.mean(scores[start..<end])
                if models.count == 1 || client == index { own[client] = mean }
                byTest[client] += mean / Double(models.count)
                start = end
            }
        }
        return CellResult.Losses(
            pooled: Figures.rounded(pooled.reduce(0, +) / Double(pooled.count), digits: 9),
            own: own.map { Figures.rounded($0, digits: 9) },
            byTest: byTest.map { Figures.rounded($0, digits: 9) })
    }

    private static func mean(_ scores: ArraySlice<(loss: Double, tokens: Int)>) -> Double {
        let tokens = scores.reduce(0) { $0 + $1.tokens }
        return scores.reduce(0) { $0 + $1.loss * Double($1.tokens) } / Double(max(1, tokens))
    }

    /// What the owner's model makes of the adapters; nil for a cell without an emulator of it.
    private func offsite(
        _ models: [Adapter?], _ tests: [[TokenizedExample]], _ exact: HeldOutTest?
    ) throws -> OffsiteCellResult? {
        guard let (recipe, directory) = cell.emulator, recipe.isOfTheBase else { return nil }
        let full = try BaseModel.load(directory: directory)
        let record = EmulatorOwnerRecord.path(for: emulatorPath)
        let shape = try EmulatorOwnerRecord.read(record).shape
        let plugged: [Adapter?] = try models.map { model in
            guard case .lora(let adapter)? = model else {
                preconditionFailure("an emulator's federation trains LoRA alone")
            }
            return .lora(try shape.plugIn(adapter, into: full.model.configuration))
        }
        func meanExact(_ adapters: [Adapter?]) throws -> Double? {
            try exact.map { test in
                try adapters.map { try test.score(base: full, adapter: $0).value }.reduce(0, +)
                    / Double(adapters.count)
            }
        }
        let text = try PublicText(file: nil, base: full).heldOut
        let known = try Evaluator(model: full.model).meanLoss(text).loss
        let emulated = try Evaluator(model: base.model).meanLoss(text).loss
        return OffsiteCellResult(
            fullLoss: try losses([nil], tests, of: full).pooled,
            plugInLoss: try losses(plugged, tests, of: full).pooled,
            fullExact: try meanExact([nil]), plugInExact: try meanExact(plugged),
            exactFraction: Figures.rounded(
                Disclosure(full: full.model, emulator: base.model, middle: shape.withheld).exactFraction),
            recovery: Figures.rounded(exp(known - emulated)))
    }

    private func validation(_ models: [Adapter?]) throws -> Double? {
        let sets = split.clients.map { tokenizer.examples($0.validation).examples }
        guard !sets.allSatisfy(\.isEmpty) else { return nil }
        return try losses(models, sets).pooled
    }

    /// Each record under the model of its own client.
    private func membership(_ models: [Adapter?]) throws -> MembershipTest? {
        let count = cell.measures.membership
        guard count > 0 else { return nil }
        func scores(_ part: DataPart, _ purpose: UInt64) throws -> [(base: Double, adapter: Double)] {
            var chosen: [(client: Int, example: TokenizedExample)] = []
            for (client, records) in split.clients.enumerated() {
                chosen += tokenizer.examples(records[part]).examples.map { (client, $0) }
            }
            var generator = SplitMix64(seed: cell.seed ^ purpose)
            let order = shuffledOrder(chosen.count, &generator).prefix(count).sorted()
            let base = try Evaluator(model: self.base.model).losses(order.map { chosen[$0].example })
            var adapted = [Double](repeating: 0, count: order.count)
            for (index, model) in models.enumerated() {
                let places = order.indices.filter { models.count == 1 || chosen[order[$0]].client == index }
                guard !places.isEmpty else { continue }
                let found = try Evaluator(model: self.base.model, adapter: model)
                    .losses(places.map { chosen[order[$0]].example })
                for (place, score) in zip(places, found) { adapted[place] = score.loss }
            }
            return zip(base, adapted).map { ($0.loss, $1) }
        }
        return MembershipTest(
            members: try scores(.train, 0x6D65_6D62), others: try scores(.test, 0x6F74_6865))
    }

    private func canaries(_ models: [Adapter?]) throws -> CellResult.Canaries? {
        guard cell.measures.canaries > 0 else { return nil }
        let canaries = StudyCanaries(cell.measures, seed: cell.seed)
        let evaluators = try models.map { try Evaluator(model: base.model, adapter: $0) }
        func exposures(_ some: [StudyCanaries.Canary]) throws -> [Double] {
            try canaries.exposures(
                some,
                losses: { records, client in
                    let evaluator = evaluators[evaluators.count == 1 ? 0 : client]
                    return try evaluator.losses(tokenizer.examples(records).examples).map(\.loss)
                }, clients: split.clients.count
            ).map { Figures.rounded($0) }
        }
        return CellResult.Canaries(
            planted: try exposures(canaries.planted), controls: try exposures(canaries.controls))
    }
}
