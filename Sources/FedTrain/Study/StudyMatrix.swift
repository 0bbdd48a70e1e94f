import Foundation
import GMP
import Models
import SecureAgg
import Sodium

/// A study resolved: every cell's federation read and checked, its data dealt, its key known.
public struct StudyMatrix: Sendable {
    public let definition: StudyDefinition
    /// What each point of the matrix is, seeds among them, in the order of the file.
    public let cells: [StudyCell]
    /// The splits by data directory; cells share them.
    public let splits: [String: ClientSplit]
    /// What preparing each task's files found.
    public let reports: [(task: String, what: String, report: PreparationReport)]
    /// Points that were left out, with reasons.
    public let excluded: [(labels: [StudyAxis: String], because: String)]

    /// - Parameter root: the directory that data and base paths start from.
    /// - Throws: `ConfigurationError` with the place in the study's file, `StudyDataError`, `RecordFileError`.
    public init(_ definition: StudyDefinition, root: String) throws {
        self.definition = definition
        var cells: [StudyCell] = []
        var splits: [String: ClientSplit] = [:]
        var excluded: [(labels: [StudyAxis: String], because: String)] = []
        var reports: [(task: String, what: String, report: PreparationReport)] = []
        var bases: [String: (digest: Digest, configuration: ModelConfiguration)] = [:]

        for task in definition.tasks {
            let data = try StudyData(
                task.name, task.value, root: root, isCompatible: definition.isCompatible)
            reports += data.reports.map { (task.name, $0.what, $0.report) }
            for split in definition.splits {
                for seed in definition.seeds {
                    var dealt: (split: ClientSplit, digest: Digest)?
                    for point in definition.points(task: task.name, split: split.name) {
                        if let exclusion = definition.exclusion(of: point.labels) {
                            if seed == definition.seeds[0] {
                                excluded.append((point.labels, exclusion.because))
                            }
                            continue
                        }
                        if dealt == nil {
                            var clients = try data.split(split.value, named: split.name, seed: seed)
                            if definition.measures.canaries > 0 {
                                clients = StudyCanaries(definition.measures, seed: seed).planted(in: clients)
                            }
                            dealt = (clients, clients.digest)
                            splits[StudyCell.directory(of: clients.digest)] = clients
                        }
                        let source = try definition.source(
                            point, task: task, split: split, clients: dealt!.split.clients.count,
                            data: dealt!.digest, root: root)
                        let configuration = try FederationConfiguration(reading: source)
                        let directory = try configuration.model.baseDirectory ?? BuiltInModel.directory()
                        if bases[directory] == nil {
                            let base = try BaseModel.load(directory: directory)
                            bases[directory] = (base.digest, base.model.configuration)
                        }
                        let base = bases[directory]!
                        try point.check(configuration, base: base.configuration)
                        let home = point.emulator.map { $0.directory(base: base.digest) }
                        cells.append(
                            StudyCell(
                                labels: point.labels, seed: seed,
                                source: try home.map {
                                    try source.setting(
                                        path: "model.base", to: ConfigurationNode(.scalar($0), at: nil))
                                } ?? source,
                                task: task.value, emulator: point.emulator.map { ($0, of: directory) },
                                measures: definition.measures, data: dealt!.digest, base: base.digest,
                                budget: definition.budget))
                    }
                }
            }
        }
        self.cells = cells
        self.splits = splits
        self.reports = reports
        self.excluded = excluded
    }
}

/// One combination of variants.
struct StudyPoint {
    let labels: [StudyAxis: String]
    let settings: StudyDefinition.Settings
    let dropout: StudyDefinition.Dropout
    let emulator: StudyEmulator?

    /// Refuses an emulator that cannot be made or tuned, before anything is.
    func check(
        _ configuration: FederationConfiguration, base: ModelConfiguration
    ) throws(ConfigurationError) {
        guard let emulator else { return }
        func refused(_ path: String, _ message: String) -> ConfigurationError {
            ConfigurationError(position: nil, path: path, message: message)
        }
        let path = "emulators.\(labels[.emulator] ?? "")"
        do { try emulator.check(base) } catch { throw refused(path, error.description) }
        guard case .lora = configuration.model.adapter else {
            throw refused(
                path, "needs adapters of the kind lora: others cannot be plugged into the full model")
        }
        guard configuration.model.store == nil else {
            throw refused(
                "federation.model.store",
                "does not go with emulators: what travels is compared as it is stored")
        }
    }
}

extension StudyDefinition {
    /// Every combination of the axes that do not concern data.
    func points(task: String, split: String) -> [StudyPoint] {
        var points: [StudyPoint] = []
        for adapter in adapters {
            for algorithm in algorithms {
                for privacy in privacy {
                    for dropout in dropouts {
                        for emulator in emulators {
                            points.append(
                                StudyPoint(
                                    labels: [
                                        .task: task, .split: split, .adapter: adapter.name,
                                        .algorithm: algorithm.name, .privacy: privacy.name,
                                        .dropout: dropout.name, .emulator: emulator.name,
                                    ],
                                    settings: adapter.settings + algorithm.settings + privacy.settings
                                        + dropout.settings + emulator.settings,
                                    dropout: dropout.value, emulator: emulator.value))
                        }
                    }
                }
            }
        }
        return points
    }

    func exclusion(of labels: [StudyAxis: String]) -> Exclusion? {
        exclusions.first { exclusion in exclusion.labels.allSatisfy { labels[$0.key] == $0.value } }
    }

    /// The federation's file of one point. Later settings win: task, split, adapter, algorithm, privacy,
    /// dropout, emulator.
    func source(
        _ point: StudyPoint, task: Variant<StudyTask>, split: Variant<StudySplit>, clients: Int, data: Digest,
        root: String
    ) throws(ConfigurationError) -> ConfigurationNode {
        var node = federation
        let files = ConfigurationNode(
            .list([
                ConfigurationNode(
                    .scalar("\(StudyCell.directory(of: data))/*.\(DataPart.train.rawValue).jsonl"), at: nil)
            ]), at: nil)
        let settings =
            task.value.dataSettings + [("data.clients", files)] + task.settings + split.settings
            + point.settings
        for (path, value) in settings { node = try node.setting(path: path, to: value) }
        if point.dropout.fraction > 0 {
            let rounds = try FederationConfiguration(reading: node).rounds.count
            let lost = Int((point.dropout.fraction * Double(clients)).rounded(.down))
            guard lost > 0 else {
                throw ConfigurationError(
                    position: nil, path: "dropouts",
                    message: "a share of \(point.dropout.fraction) of \(clients) clients is not one client")
            }
            let losses = (1...rounds).map { round in
                ConfigurationNode.map([
                    ("round", "\(round)"), ("stage", point.dropout.stage), ("clients", "\(lost)"),
                ])
            }
            node = try node.setting(path: "simulation.lose", to: ConfigurationNode(.list(losses), at: nil))
        }
        return try node.resolvingBase(root: root)
    }
}

extension ConfigurationNode {
    static func map(_ values: [(key: String, value: String)]) -> ConfigurationNode {
        ConfigurationNode(
            .map(
                values.map {
                    Entry(key: $0.key, keyPosition: nil, value: ConfigurationNode(.scalar($0.value), at: nil))
                }), at: nil)
    }

    /// The tree with a relative `model.base` put under the data directory.
    fileprivate func resolvingBase(root: String) throws(ConfigurationError) -> ConfigurationNode {
        guard let base = value(at: ["model", "base"]), case .scalar(let path) = base.content,
            path != "built-in", !path.hasPrefix("/"), !root.isEmpty
        else { return self }
        return try setting(
            path: "model.base", to: ConfigurationNode(.scalar("\(root)/\(path)"), at: base.position))
    }

    func value(at keys: [String]) -> ConfigurationNode? {
        guard let key = keys.first else { return self }
        guard case .map(let entries) = content else { return nil }
        return entries.first { $0.key == key }?.value.value(at: Array(keys.dropFirst()))
    }
}
