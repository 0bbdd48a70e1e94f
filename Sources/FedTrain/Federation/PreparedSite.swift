import DP
import Models
import Sodium

/// One client's own view of a federation: the plan that it worked out itself from the server's terms,
/// its base model and its records. Nothing is spent yet.
package struct PreparedSite: Sendable {
    /// Where a client's records come from.
    package enum DataSource: Sendable, Equatable {
        /// JSONL files.
        case files([String])
        /// One of the built-in sites, by name: for trying things out.
        case builtIn(site: String)
    }

    package let configuration: FederationConfiguration
    package let base: BaseModel
    package let shared: SharedVector
    package let plan: RoundPlan
    package let examples: [TokenizedExample]
    /// How many records are usable, in words.
    package let summary: String
    package let data: RoundPlan.DataStatement

    /// - Parameters:
    ///   - configuration: the server's, as signed.
    ///   - prior: what earlier runs of the federation spent, by the server's account.
    ///   - baseDirectory: this client's copy of the base model; nil: where the configuration says.
    ///   - trainer: this client's own program to train with; what the server's configuration says is not run.
    ///   - randomness: a seeded federation's built-in notes follow the seed.
    package init(
        _ configuration: FederationConfiguration, prior: PriorSpending, baseDirectory: String?,
        source: DataSource, trainer: ExternalTrainer.Command? = nil, randomness: RunRandomness
    ) throws {
        guard !configuration.privacy.isInClear else { throw FederationError.inClear }
        var configuration = try configuration.after(prior)
        // The server's files are not ours to read.
        configuration.data.heldOut = []
        configuration.model.startDirectory = nil
        // Nor are its programs ours to run.
        configuration.trainer = trainer
        if trainer != nil, let reason = configuration.trainerRefusal {
            throw FederationError.trainerHasNoUse(reason: reason)
        }
        if let baseDirectory { configuration.model.baseDirectory = baseDirectory }
        base = try BaseModel.load(
            directory: try configuration.model.baseDirectory ?? BuiltInModel.directory())
        configuration = try configuration.settled(on: base)
        let shared = try FederationData(
            configuration, base: base, seed: PreparedFederation.dataSeed(randomness),
            holdsClientFiles: false)
        let own = try Self.records(source, configuration, base: base, shared: shared)
        if let allowed = shared.recordCounts.max(), own.examples.count > allowed {
            throw FederationError.tooManyRecords(
                client: own.name, found: own.examples.count, allowed: allowed)
        }
        examples = own.examples
        summary = own.summary
        data = shared.planStatement
        self.shared = try SharedVector(configuration, base: base.model.configuration)
        plan = try RoundPlan(
            configuration, dimension: self.shared.dimension, recordCounts: shared.recordCounts,
            baseDigest: base.digest)
        self.configuration = configuration
    }

    /// One of the clients of a federation in this process.
    package init(_ site: SiteData, of prepared: PreparedFederation) {
        configuration = prepared.configuration
        base = prepared.base
        shared = prepared.shared
        plan = prepared.plan
        examples = site.examples
        summary = site.summary
        data = prepared.data.planStatement
    }

    private static func records(
        _ source: DataSource, _ configuration: FederationConfiguration, base: BaseModel,
        shared: FederationData
    ) throws -> SiteData {
        switch source {
        case .builtIn(let name):
            guard let site = shared.sites.first(where: { $0.name == name }) else {
                throw FederationError.noSuchSite(name)
            }
            return site
        case .files(let patterns):
            let records = try FederationData.expand(patterns).flatMap { try RecordFile.read($0) }
            let usable = try RecordTokenizer(configuration, base: base).examples(records)
            let name = patterns.joined(separator: ", ")
            guard !usable.examples.isEmpty else {
                throw FederationError.noUsableRecords(client: name, summary: usable.summary)
            }
            return SiteData(name: name, examples: usable.examples, summary: usable.summary)
        }
    }

    /// The model that these numbers stand for; nil when there are not as many as it takes.
    package func model(numbers: [Float]) -> GlobalModel? {
        GlobalModel(numbers: numbers, configuration, shared: shared, plan: plan.digest)
    }
}
