import Foundation
import Models

/// A data set as a study uses it, and how it is scored.
public struct StudyTask: Sendable, Equatable {
    public enum Source: Sendable, Equatable {
        /// The generated notes; `natural` gives each client one site.
        case builtIn(sites: Int, recordsPerSite: Int, heldOut: Int, form: NoteTask.Form = .codes)
        /// Files under the study's data directory; empty lists are cut from the training files.
        case files(train: [String], validation: [String], test: [String])
    }

    public enum Metric: String, Sendable, CaseIterable {
        /// Mean cross-entropy over predicted tokens alone.
        case loss
        /// Also the share of greedy answers that equal the reference byte for byte.
        case exact
    }

    public var source: Source
    public var format: RecordFormat?
    public var fields: [String: String]
    /// Of the training files, where there are no others; of built-in notes the validation share.
    public var validationShare: Double
    public var testShare: Double
    /// Most training records that are used, a random choice; nil: all.
    public var recordsMax: Int?
    /// Most test records that are used.
    public var testMax: Int?
    public var allowsOverlap: Bool
    public var template: PromptTemplate
    public var tokensMax: Int
    public var overlong: OverlongPolicy
    public var metric: Metric

    init(reading section: inout ConfigurationSection) throws(ConfigurationError) {
        let train = try section.strings("train")
        if try section.optionalString("builtIn") != nil {
            guard train.isEmpty else { throw section.error("train", "does not go with built-in data") }
            let name = try section.string("builtIn")
            guard name == "notes" else { throw section.error("builtIn", "is `\(name)`; there is `notes`") }
            source = .builtIn(
                sites: try section.integer("sites", in: 3...10_000, default: 8),
                recordsPerSite: try section.integer("recordsPerSite", in: 1...100_000, default: 120),
                heldOut: try section.integer("heldOut", in: 12...100_000, default: 120),
                form: try section.choice("form", default: .codes))
        } else {
            guard !train.isEmpty else {
                throw section.error("train", "is missing: files of training records, or `builtIn: notes`")
            }
            source = .files(
                train: train, validation: try section.strings("validation"), test: try section.strings("test")
            )
        }
        if let name = try section.optionalString("format") {
            guard let format = RecordFormat(rawValue: name) else {
                throw section.error(
                    "format",
                    "is `\(name)`; it must be one of "
                        + RecordFormat.allCases.map(\.rawValue).joined(separator: ", "))
            }
            self.format = format
        }
        var fields: [String: String] = [:]
        for entry in try section.named("fields") {
            guard RecordReader.fieldNames.contains(entry.key), case .scalar(let own) = entry.value.content
            else {
                throw section.error(
                    "fields",
                    "maps \(RecordReader.fieldNames.joined(separator: ", ")) to names of columns or keys")
            }
            fields[entry.key] = own
        }
        self.fields = fields
        validationShare = try section.double("validationShare", above: -1e-12, upTo: 0.5, default: 0.1)
        testShare = try section.double("testShare", above: 0, upTo: 0.5, default: 0.1)
        recordsMax = try section.optionalInteger("recordsMax", in: 1...10_000_000)
        testMax = try section.optionalInteger("testMax", in: 1...10_000_000)
        allowsOverlap = try section.flag("allowOverlap", default: false)
        template = try section.choice("template", default: .plain)
        tokensMax = try section.integer("tokensMax", in: 8...1_000_000, default: 128)
        overlong = try section.choice("overlong", default: .truncate)
        metric = try section.choice("metric", default: .loss)
    }

    /// The task's part of a `federation.yaml`, but for the clients' files.
    var dataSettings: [(path: String, value: ConfigurationNode)] {
        func scalar(_ text: String) -> ConfigurationNode { ConfigurationNode(.scalar(text), at: nil) }
        return [
            ("data.template", scalar(template.rawValue)), ("data.tokensMax", scalar("\(tokensMax)")),
            ("data.overlong", scalar(overlong.rawValue)),
        ]
    }
}

/// Why a task's data cannot be used.
public enum StudyDataError: Error, Equatable, Sendable {
    /// Test records that are trained on, by anyone.
    case overlap(task: String, records: Int, of: Int)
    /// The split cannot be made.
    case split(task: String, split: String, reason: String)
    case noRecords(task: String, part: DataPart)
}

/// A task's records, loaded and prepared once, dealt as often as a study needs.
struct StudyData: Sendable {
    let name: String
    let task: StudyTask
    let isCompatible: Bool
    /// Of files: the records by client, where files have clients.
    private let loaded: [DataPart: [(client: String, records: [Record])]]
    /// What preparing found, by file pattern; for people.
    let reports: [(what: String, report: PreparationReport)]

    /// - Parameter root: the directory that relative paths start from.
    init(_ name: String, _ task: StudyTask, root: String, isCompatible: Bool) throws {
        self.name = name
        self.task = task
        self.isCompatible = isCompatible
        var loaded: [DataPart: [(client: String, records: [Record])]] = [:]
        var reports: [(what: String, report: PreparationReport)] = []
        if case .files(let train, let validation, let test) = task.source {
            for (part, patterns) in [
                (DataPart.train, train), (.validation, validation), (.test, test),
            ] {
                let files = try FederationData.expand(patterns.map { Self.resolved($0, root) })
                var found: [(client: String, records: [Record])] = []
                var read: [Record] = []
                for file in files {
                    let bytes = try RecordFile.bytes(file)
                    let reader = RecordReader(
                        format: task.format ?? .guess(path: file, bytes), fields: task.fields,
                        writesNone: isCompatible)
                    let records = try reader.records(bytes, file: file)
                    found.append((FederationData.name(of: file), DataPreparation().prepare(records).records))
                    read += records
                }
                loaded[part] = found
                if !files.isEmpty { reports.append((part.rawValue, DataPreparation().prepare(read).report)) }
            }
            guard loaded[.train]?.contains(where: { !$0.records.isEmpty }) == true else {
                throw StudyDataError.noRecords(task: name, part: .train)
            }
        }
        self.loaded = loaded
        self.reports = reports
    }

    static func resolved(_ path: String, _ root: String) -> String {
        path.hasPrefix("/") || root.isEmpty ? path : "\(root)/\(path)"
    }

    /// The data dealt to clients.
    ///
    /// - Throws: `StudyDataError` for a client without records, and for tests that are trained on unless the
    ///   task allows it.
    func split(_ split: StudySplit, named splitName: String, seed: UInt64) throws -> ClientSplit {
        let result: ClientSplit
        do {
            result =
                split.kind == .natural
                ? try natural(seed: seed) : try dealt(split.recordSplit!, clients: split.clients!, seed: seed)
        } catch let error as RecordSplitError {
            throw StudyDataError.split(task: name, split: splitName, reason: error.description)
        } catch let error as ClientSplitError {
            throw StudyDataError.split(task: name, split: splitName, reason: error.description)
        }
        let tested = result.all(.test).count + result.all(.validation).count
        guard !result.all(.test).isEmpty else { throw StudyDataError.noRecords(task: name, part: .test) }
        let overlap = result.overlap
        guard overlap == 0 || task.allowsOverlap else {
            throw StudyDataError.overlap(task: name, records: overlap, of: tested)
        }
        return result
    }

    private func dealt(_ split: RecordSplit, clients: Int, seed: UInt64) throws -> ClientSplit {
        let (train, validation, test) = pooled(seed: seed)
        return try ClientSplit(
            train: train, validation: validation, test: test, by: split, clients: clients, seed: seed,
            redrawsEachPart: isCompatible && split == .byCategory)
    }

    /// All records by part; what has no files of its own is cut from the training files, every category in
    /// the same proportions. The cut does not depend on the cell's seed: a test set is one.
    private func pooled(seed: UInt64) -> (train: [Record], validation: [Record], test: [Record]) {
        switch task.source {
        case .builtIn(let sites, let perSite, let heldOut, let form):
            let notes = NoteTask(seed: seed, siteCount: sites, form: form)
            let records = (0..<sites).flatMap {
                notes.siteRecords(site: $0, count: perSite).map { Record($0) }
            }
            let unique = DataPreparation().prepare(records).records
            let test = notes.heldOut(count: heldOut).map { Record($0) }
            let parts = RecordSplit.cut(
                test, shares: [task.validationShare, 1 - task.validationShare], seed: Self.cutSeed)
            return (chosen(unique, task.recordsMax), parts[0].map { test[$0] }, parts[1].map { test[$0] })
        case .files:
            var train = loaded[.train]?.flatMap(\.records) ?? []
            var validation = loaded[.validation]?.flatMap(\.records) ?? []
            var test = loaded[.test]?.flatMap(\.records) ?? []
            train = DataPreparation().prepare(train).records
            let shares = [
                validation.isEmpty ? task.validationShare : 0, test.isEmpty ? task.testShare : 0,
            ]
            if shares.contains(where: { $0 > 0 }) {
                let parts = RecordSplit.cut(
                    train, shares: shares + [1 - shares[0] - shares[1]], seed: Self.cutSeed)
                if validation.isEmpty { validation = parts[0].map { train[$0] } }
                if test.isEmpty { test = parts[1].map { train[$0] } }
                train = parts[2].map { train[$0] }
            }
            return (
                chosen(train, task.recordsMax), chosen(validation, task.testMax), chosen(test, task.testMax)
            )
        }
    }

    private static let cutSeed: UInt64 = 1

    /// A random choice of at most `count` records, in their order.
    private func chosen(_ records: [Record], _ count: Int?) -> [Record] {
        guard let count, count < records.count else { return records }
        var generator = SplitMix64(seed: Self.cutSeed)
        return shuffledOrder(records.count, &generator).prefix(count).sorted().map { records[$0] }
    }

    /// One client a file or site, each with its own test.
    private func natural(seed: UInt64) throws -> ClientSplit {
        switch task.source {
        case .builtIn(let sites, let perSite, let heldOut, let form):
            let notes = NoteTask(seed: seed, siteCount: sites, form: form)
            let tests = notes.heldOut(count: heldOut).map { Record($0) }
            let clients = (0..<sites).map { site in
                let own = Set(notes.siteCategories[site].map { NoteTask.categoryNames[$0] })
                let mine = tests.filter { own.contains($0.category ?? "") }
                let parts = RecordSplit.cut(
                    mine, shares: [task.validationShare, 1 - task.validationShare], seed: Self.cutSeed)
                let train = notes.siteRecords(site: site, count: perSite).map { Record($0) }
                return ClientSplit.Client(
                    name: "site-\(site + 1)",
                    train: DataPreparation().prepare(train).records,
                    validation: parts[0].map { mine[$0] }, test: parts[1].map { mine[$0] })
            }
            return try ClientSplit(clients: clients)
        case .files:
            let train = loaded[.train] ?? []
            let names = Set(train.map(\.client))
            for part in [DataPart.validation, .test] {
                for (client, _) in loaded[part] ?? [] where !names.contains(client) {
                    throw ClientSplitError.strayFile(client)
                }
            }
            let clients = train.map { client, records in
                func own(_ part: DataPart) -> [Record] {
                    (loaded[part] ?? []).filter { $0.client == client }.flatMap(\.records)
                }
                var (validation, test) = (own(.validation), own(.test))
                var kept = records
                let shares = [
                    loaded[.validation]!.isEmpty ? task.validationShare : 0,
                    loaded[.test]!.isEmpty ? task.testShare : 0,
                ]
                if shares.contains(where: { $0 > 0 }) {
                    let parts = RecordSplit.cut(
                        records, shares: shares + [1 - shares[0] - shares[1]], seed: Self.cutSeed)
                    if shares[0] > 0 { validation = parts[0].map { records[$0] } }
                    if shares[1] > 0 { test = parts[1].map { records[$0] } }
                    kept = parts[2].map { records[$0] }
                }
                return ClientSplit.Client(
                    name: client, train: chosen(kept, task.recordsMax),
                    validation: chosen(validation, task.testMax),
                    test: chosen(test, task.testMax))
            }
            return try ClientSplit(clients: clients)
        }
    }
}
