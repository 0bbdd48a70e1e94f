import DP
import Foundation
import Models
import Sodium

/// The same federation with the noise and the masks left out: the yardsticks that a private run is compared
/// with, and what a study shows in its columns without privacy.
///
/// Clients compute what they compute in a private run, in the same code; their vectors are clipped if the
/// configuration names a bound, and then added up in clear. Not private in any sense: no ledger, no report,
/// and nothing that `serve` or `join` can reach.
public struct ClearFederation {
    /// Said wherever a result of this type is shown.
    public static let label = "IN CLEAR: no noise, no masks, no claim; every client's update is in the open"

    public let configuration: FederationConfiguration
    public let base: BaseModel
    public let data: FederationData
    let shared: SharedVector
    let randomness: RunRandomness
    /// What public constants of a run in clear follow from.
    private let digest: Digest
    private let engine: TrainingEngine

    /// Loads base and data of a configuration in clear.
    ///
    /// - Precondition: `configuration.privacy.isInClear`.
    public init(_ configuration: FederationConfiguration, randomness: RunRandomness) throws {
        precondition(configuration.privacy.isInClear, "a private configuration is run with its protection")
        base = try BaseModel.load(
            directory: try configuration.model.baseDirectory ?? BuiltInModel.directory(),
            store: configuration.model.store)
        self.configuration = try configuration.settled(on: base)
        data = try FederationData(
            self.configuration, base: base, seed: PreparedFederation.dataSeed(randomness))
        shared = try SharedVector(self.configuration, base: base.model.configuration)
        self.randomness = randomness
        digest = Digest.labelled("fedtrain/v1/clear", [Array(configuration.name.utf8), base.digest.bytes])
        engine = TrainingEngine(model: base.model)
    }

    /// The yardsticks of a private run, whose clients are known not to need protection.
    public init(of prepared: PreparedFederation) {
        configuration = prepared.configuration
        base = prepared.base
        data = prepared.data
        shared = prepared.shared
        randomness = prepared.randomness
        digest = prepared.plan.digest
        engine = TrainingEngine(model: base.model)
    }

    public struct Result: Sendable {
        /// What the clients share after the last round.
        public let adapter: Adapter
        /// The clients' own adapters, in their order; nil for those without one.
        public let personal: [Adapter?]
    }

    // MARK: Training

    /// Trains as `training.scope` says.
    ///
    /// - Parameter progress: told each round; throws to stop.
    public func train(
        progress: (_ site: String?, _ round: Int) throws -> Void = { _, _ in }
    ) throws -> Result {
        switch configuration.training.scope {
        case .federated:
            return try train(data.sites, purpose: "clear") { try progress(nil, $0) }
        case .centralised:
            return try trainCentrally { try progress(nil, $0) }
        case .localOnly:
            let alone = try data.sites.map { site in
                try trainAlone(site) { try progress(site.name, $0) }
            }
            return Result(adapter: initialModel.adapter, personal: alone)
        }
    }

    /// One client on its own.
    public func trainAlone(
        _ site: SiteData, progress: (_ round: Int) throws -> Void = { _ in }
    ) throws -> Adapter {
        try train([site], purpose: "alone/\(site.name)", progress: progress).adapter
    }

    /// All records in one place.
    public func trainCentrally(progress: (_ round: Int) throws -> Void = { _ in }) throws -> Result {
        let pooled = SiteData(
            name: "centre", examples: data.sites.flatMap(\.examples), summary: "all records")
        return Result(
            adapter: try train([pooled], purpose: "centre", progress: progress).adapter,
            personal: data.sites.map { _ in nil })
    }

    private var initialModel: GlobalModel {
        GlobalModel(
            configuration, shared: shared, plan: digest, generator: randomness.generator("adapter"))
    }

    private func train(
        _ sites: [SiteData], purpose: String, progress: (Int) throws -> Void
    ) throws -> Result {
        let training = configuration.training
        let unit = configuration.privacy.unit
        let rate = unit == .record ? configuration.privacy.samplingRate.asDouble : 1
        let records = sites.reduce(0) { $0 + $1.examples.count }
        // The private run divides by the expected number of records too.
        let denominator = unit == .record ? max(1, rate * Double(records)) : Double(sites.count)
        var model = initialModel
        var optimizers = GlobalModel.optimizers(training.server, shared)
        var personal = [[Float]?](repeating: nil, count: sites.count)
        for round in 1...configuration.rounds.count {
            try progress(round)
            var sum = ClearSum(training.combination, count: shared.count(round: round))
            for (index, site) in sites.enumerated() {
                let random = randomness.stream("\(purpose)/round \(round)/\(site.name)")
                let work = model.work(
                    of: site.examples, training: training, engine: engine, round: round)
                var generator = SplitMix64(seed: random.nextUInt64())
                if unit == .record {
                    let sampled = site.examples.indices.filter { _ in uniform(&generator) < rate }
                    try work.eachGradient(of: Array(sampled)) { sum.add(clipped(Array($0)), weight: 1) }
                    try work.movePersonal(&personal[index], generator: &generator)
                } else {
                    let update = try work.update(personal: &personal[index], generator: &generator)
                    let share = Double(site.examples.count * sites.count) / Double(records)
                    sum.add(clipped(update), weight: training.combination == .weighted ? Float(share) : 1)
                }
            }
            model.advance(
                sum.total, denominator: denominator, unit: unit, round: round, optimizers: &optimizers)
        }
        return Result(
            adapter: model.adapter,
            personal: personal.map { own in own.map { model.personalised(by: $0, round: 1) } })
    }

    /// Bounded as in the private run, if the configuration names a bound.
    private func clipped(_ vector: [Float]) -> [Float] {
        guard configuration.privacy.clips else { return vector }
        var squares: Float = 0
        for value in vector { squares += value * value }
        let bound = Float(configuration.privacy.clipNorm.asDouble)
        let scale = min(1, bound / max(squares.squareRoot(), .leastNormalMagnitude))
        return scale < 1 ? vector.map { scale * $0 } : vector
    }

    // MARK: A whole run

    public struct Outcome: Sendable {
        public let directory: String
        public let before: HeldOutTest.Score?
        /// Under `local-only` the mean of the clients' own adapters.
        public let after: HeldOutTest.Score?
        public let siteScores: [SiteScore]
        public let result: Result
    }

    /// Trains, scores, and writes adapters and `scores.json` under `clear/NNNN` of the workspace: not among
    /// its runs, which have ledgers.
    public func execute(
        in workspace: Workspace, source: ConfigurationNode,
        progress: (_ site: String?, _ round: Int) throws -> Void = { _, _ in }
    ) throws -> Outcome {
        let directory = try workspace.makeClearDirectory()
        try AtomicFile.write(source.json.text(.indented) + "\n", to: "\(directory)/configuration.json")
        try AtomicFile.write(Self.label + "\n", to: "\(directory)/IN-CLEAR")
        let before = try data.heldOut?.score(base: base, adapter: nil)
        let result = try train(progress: progress)
        let after = try score(result)
        let siteScores = try siteScores(result)
        let name = configuration.model.baseName
        if configuration.training.scope != .localOnly {
            try PeftAdapter.write(result.adapter, to: "\(directory)/adapter", baseModelName: name)
        }
        for (site, own) in zip(data.sites, result.personal) {
            guard let own else { continue }
            try PeftAdapter.write(own, to: "\(directory)/personal/\(site.name)", baseModelName: name)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        try AtomicFile.write(
            Array(try encoder.encode(siteScores)) + [UInt8(ascii: "\n")],
            to: "\(directory)/site-scores.json")
        return Outcome(
            directory: directory, before: before, after: after, siteScores: siteScores, result: result)
    }

    /// The common held-out test of what was trained.
    public func score(_ result: Result) throws -> HeldOutTest.Score? {
        guard let heldOut = data.heldOut else { return nil }
        guard configuration.training.scope == .localOnly else {
            return try heldOut.score(base: base, adapter: result.adapter)
        }
        let scores = try result.personal.compactMap { $0 }.map {
            try heldOut.score(base: base, adapter: $0)
        }
        let mean = scores.reduce(0) { $0 + $1.value } / Double(scores.count)
        return HeldOutTest.Score(
            metric: scores[0].metric, value: mean, count: scores[0].count,
            higherIsBetter: scores[0].higherIsBetter)
    }

    // MARK: Scores of the clients

    /// What each client's own held-out records say of a result.
    public func siteScores(_ result: Result) throws -> [SiteScore] {
        try zip(data.sites, result.personal).filter { !$0.0.heldOut.isEmpty }.map { site, own in
            try SiteScore(site, base: base, shared: result.adapter, personal: own)
        }
    }
}

/// Vectors in clear on their way to one: their sum, or as many times their median as there are of them.
private struct ClearSum {
    private let combination: FederationConfiguration.Combination
    private var sum: [Float]
    private var all: [[Float]] = []

    init(_ combination: FederationConfiguration.Combination, count: Int) {
        self.combination = combination
        sum = [Float](repeating: 0, count: count)
    }

    mutating func add(_ vector: [Float], weight: Float) {
        if combination == .median {
            all.append(vector)
        } else {
            for index in sum.indices { sum[index] += weight * vector[index] }
        }
    }

    var total: [Float] {
        guard combination == .median, let count = all.first?.count else { return sum }
        return (0..<count).map { index in
            let sorted = all.map { $0[index] }.sorted()
            let middle = sorted.count / 2
            let median =
                sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
            return median * Float(sorted.count)
        }
    }
}
