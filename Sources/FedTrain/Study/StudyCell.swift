import Foundation
import GMP
import Models
import Sodium

/// One point of a study's matrix: a federation, the data it runs on, and a seed.
public struct StudyCell: Sendable {
    /// The names along the axes; an axis without names is left out.
    public let labels: [StudyAxis: String]
    public let seed: UInt64
    /// Which trial of a search this is, and its values; nil outside searches.
    public var trial: String?
    /// The federation's file, every variant applied; paths start from the study's directory.
    public let source: ConfigurationNode
    public let task: StudyTask
    /// What stands in the base's place, and the directory of the base that it is made of.
    let emulator: (recipe: StudyEmulator, of: String)?
    public let measures: StudyDefinition.Measures
    /// Directory of the cell's data files inside the study's, named after their digest.
    public let dataDirectory: String
    /// ε that earlier cells charged to the same account; nil without a common budget.
    public var prior: Rational?
    public var budget: Rational?
    let dataDigest: Digest
    let baseDigest: Digest
    /// Over everything that determines the cell's result.
    public let key: String

    /// A version of what a result holds; raising it makes every cached cell anew.
    static let format = "1"

    init(
        labels: [StudyAxis: String], seed: UInt64, trial: String? = nil, source: ConfigurationNode,
        task: StudyTask, emulator: (recipe: StudyEmulator, of: String)? = nil,
        measures: StudyDefinition.Measures, data: Digest, base: Digest,
        prior: Rational? = nil, budget: Rational? = nil
    ) {
        self.labels = labels
        self.seed = seed
        self.trial = trial
        self.source = source
        self.task = task
        self.emulator = emulator
        self.measures = measures
        self.prior = prior
        self.budget = budget
        dataDigest = data
        baseDigest = base
        dataDirectory = Self.directory(of: data)
        let parts = [
            Self.format, FedTrainVersion.text, source.json.sorted.text(), "\(seed)", data.hex, base.hex,
            "\(measures.membership) \(measures.canaries) \(measures.canaryRepeats)", task.metric.rawValue,
            prior.map { "\($0)" } ?? "alone", budget.map { "\($0)" } ?? "none",
        ]
        key = String(
            Digest.labelled("fedtrain/v1/study-cell", parts.map { Array($0.utf8) }).hex.prefix(24))
    }

    static func directory(of data: Digest) -> String { "data/\(data.hex.prefix(24))" }

    /// The federation to run, its paths under `root`.
    /// - Throws: `ConfigurationError` with the place in the study's file.
    func configuration(root: String) throws -> FederationConfiguration {
        var configuration = try FederationConfiguration(reading: source)
        if case .files(let patterns) = configuration.data.clients {
            configuration.data.clients = .files(patterns.map { "\(root)/\($0)" })
        }
        if let own = emulatorDirectory {
            // By the name it has in every study, so that an adapter is the same bytes wherever its cell is run.
            configuration.model.baseLabel = own
            configuration.model.baseDirectory = "\(root)/\(own)"
        }
        return configuration
    }

    /// Of what stands in the base's place, inside the study's directory; nil for the base itself.
    var emulatorDirectory: String? {
        guard emulator != nil, case .scalar(let path)? = source.value(at: ["model", "base"])?.content
        else { return nil }
        return path
    }

    /// A name for people: `code · iid · lora · fedavg · seed 1`.
    public var title: String {
        let names = StudyAxis.allCases.compactMap { labels[$0] }.filter { !$0.isEmpty }
        return (names + ["seed \(seed)"] + (trial.map { [$0] } ?? [])).joined(separator: " · ")
    }
}

extension JSON {
    /// The same document with the keys of every object in the order of their bytes.
    var sorted: JSON {
        switch self {
        case .object(let members):
            .object(
                members.map { Member($0.key, $0.value.sorted) }
                    .sorted { Array($0.key.utf8).lexicographicallyPrecedes(Array($1.key.utf8)) })
        case .array(let elements): .array(elements.map(\.sorted))
        default: self
        }
    }
}
