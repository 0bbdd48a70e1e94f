import GMP
import Models

/// A study as its author wrote it down: a matrix of tasks, splits, adapters, algorithms, privacy settings,
/// dropouts and seeds over one federation, what is measured in each cell, and the budget of all of them.
///
/// Everything but tasks and splits is a `federation.yaml` with values replaced, so whatever a federation can be
/// told, a study can vary (`docs/studies.md`).
public struct StudyDefinition: Sendable {
    public static let schema = "fedtrain-study/1"

    /// Values of the federation's file that a variant replaces, by dotted path.
    public typealias Settings = [(path: String, value: ConfigurationNode)]

    /// One choice along an axis.
    public struct Variant<Value: Sendable>: Sendable {
        public let name: String
        public let value: Value
        public let settings: Settings
    }

    /// A share of the clients lost at one stage of every round.
    public struct Dropout: Sendable, Equatable {
        public var stage = "mask"
        public var fraction = 0.0
    }

    /// Combinations that are not run, and why. An axis that is not named matches everything.
    public struct Exclusion: Sendable, Equatable {
        public let labels: [StudyAxis: String]
        public let because: String
    }

    /// What is measured beside losses.
    public struct Measures: Sendable, Equatable {
        /// Records on each side of the membership test; 0: none.
        public var membership = 0
        /// Canaries put into training data; 0: none.
        public var canaries = 0
        /// How often each canary occurs in its client's data.
        public var canaryRepeats = 4

        package init() {}
    }

    public var name: String
    public var about: String
    public var federation: ConfigurationNode
    public var tasks: [Variant<StudyTask>]
    public var splits: [Variant<StudySplit>]
    public var adapters: [Variant<Void>]
    public var algorithms: [Variant<Void>]
    public var privacy: [Variant<Void>]
    public var dropouts: [Variant<Dropout>]
    /// Nil stands for the base itself.
    public var emulators: [Variant<StudyEmulator?>]
    public var seeds: [UInt64]
    public var exclusions: [Exclusion]
    public var measures: Measures
    /// ε that all cells on one task's data may cost together; nil: cells are alternatives, each charged alone.
    public var budget: Rational?
    public var search: StudySearch?
    /// The algorithm that the others are compared with, client by client.
    public var reference: String?
    /// Reproduces what FS-LLM does to data, defects included; for comparison only.
    public var isCompatible: Bool
}

/// An axis of a study's matrix.
public enum StudyAxis: String, Sendable, CaseIterable {
    case task
    case split
    case adapter
    case algorithm
    case privacy
    case dropout
    case emulator
}

extension StudyDefinition {
    /// Reads and checks a study's tree; the federation itself is checked cell by cell.
    /// - Throws: `ConfigurationError` for the first thing that is wrong.
    public init(reading node: ConfigurationNode) throws(ConfigurationError) {
        var root = try ConfigurationSection(node, path: "")
        let schema = try root.string("schema")
        guard schema == Self.schema else {
            throw root.error("schema", "is `\(schema)`; this version reads `\(Self.schema)`")
        }
        name = try root.string("name")
        guard !name.isEmpty, name.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" }) else {
            throw root.error(
                "name", "is `\(name)`; letters, digits, - and _ only: directories are named after it")
        }
        about = try root.optionalString("about") ?? ""
        _ = try root.section("federation")
        guard root.has("federation"),
            let entry = try ConfigurationNode.entries(of: node).first(where: { $0.key == "federation" })
        else { throw root.error("federation", "is missing: the federation.yaml that the cells vary") }
        federation = entry.value
        isCompatible = try root.optionalCompatibility("compat")

        tasks = try Self.variants("tasks", &root) { (section) throws(ConfigurationError) in
            try StudyTask(reading: &section)
        }
        splits = try Self.variants("splits", &root) { (section) throws(ConfigurationError) in
            try StudySplit(reading: &section)
        }
        guard !tasks.isEmpty else { throw root.error("tasks", "is missing: name at least one task") }
        guard !splits.isEmpty else { throw root.error("splits", "is missing: name at least one split") }
        adapters = try Self.plainVariants("adapters", &root)
        algorithms = try Self.plainVariants("algorithms", &root)
        privacy = try Self.plainVariants("privacy", &root)
        dropouts = try Self.variants("dropouts", &root) { (section) throws(ConfigurationError) in
            try Dropout(reading: &section)
        }
        if dropouts.isEmpty { dropouts = [Variant(name: "", value: Dropout(), settings: [])] }

        emulators = try Self.variants("emulators", &root) { (section) throws(ConfigurationError) in
            try StudyEmulator.read(&section)
        }
        if emulators.isEmpty { emulators = [Variant(name: "", value: nil, settings: [])] }

        var seeds: [UInt64] = []
        for text in try root.strings("seeds") {
            guard let seed = UInt64(text), !seeds.contains(seed) else {
                throw root.error("seeds", "must be whole numbers, each once, not `\(text)`")
            }
            seeds.append(seed)
        }
        self.seeds = seeds.isEmpty ? [1] : seeds
        exclusions = try Self.exclusions(&root)
        var section = try root.section("measure")
        measures = Measures()
        measures.membership = try section.integer("membership", in: 0...100_000, default: 0)
        measures.canaries = try section.integer("canaries", in: 0...1000, default: 0)
        measures.canaryRepeats = try section.integer("canaryRepeats", in: 1...1000, default: 4)
        try section.finish()
        if root.has("budget") {
            section = try root.section("budget")
            budget = try section.rational("epsilon", upTo: 1_000_000)
            try section.finish()
        }
        if root.has("search") {
            section = try root.section("search")
            search = try StudySearch(reading: &section)
        }
        reference = try root.optionalString("reference")
        if let reference, !algorithms.contains(where: { $0.name == reference }) {
            throw root.error(
                "reference", "is `\(reference)`, which is none of the algorithms",
                suggestion: closest(to: reference, among: algorithms.map(\.name)).map {
                    "did you mean `\($0)`?"
                })
        }
        try root.finish()
    }

    private static func plainVariants(
        _ key: String, _ root: inout ConfigurationSection
    ) throws(ConfigurationError) -> [Variant<Void>] {
        var variants: [Variant<Void>] = []
        for entry in try root.named(key) {
            let entries = try ConfigurationNode.entries(of: entry.value)
            variants.append(Variant(name: entry.key, value: (), settings: entries.map { ($0.key, $0.value) }))
        }
        return variants.isEmpty ? [Variant(name: "", value: (), settings: [])] : variants
    }

    private static func variants<Value>(
        _ key: String, _ root: inout ConfigurationSection,
        read: (inout ConfigurationSection) throws(ConfigurationError) -> Value
    ) throws(ConfigurationError) -> [Variant<Value>] {
        var variants: [Variant<Value>] = []
        for entry in try root.named(key) {
            var section = try ConfigurationSection(entry.value, path: "\(key).\(entry.key)")
            let settings = try section.named("settings").map { ($0.key, $0.value) }
            let value = try read(&section)
            try section.finish()
            variants.append(Variant(name: entry.key, value: value, settings: settings))
        }
        return variants
    }

    private static func exclusions(
        _ root: inout ConfigurationSection
    ) throws(ConfigurationError) -> [Exclusion] {
        var exclusions: [Exclusion] = []
        for var section in try root.sections("leaveOut") {
            var labels: [StudyAxis: String] = [:]
            for axis in StudyAxis.allCases { labels[axis] = try section.optionalString(axis.rawValue) }
            exclusions.append(Exclusion(labels: labels, because: try section.string("because")))
            try section.finish()
        }
        return exclusions
    }
}

extension StudyDefinition.Dropout {
    init(reading section: inout ConfigurationSection) throws(ConfigurationError) {
        stage = try section.optionalString("stage") ?? "mask"
        let text = try section.optionalString("fraction") ?? "0"
        guard let value = Double(text), value >= 0, value < 1 else {
            throw section.error("fraction", "must be a share from 0 to below 1, not `\(text)`")
        }
        fraction = value
    }
}

extension ConfigurationSection {
    /// `compat: fs-llm`, or nothing.
    mutating func optionalCompatibility(_ key: String) throws(ConfigurationError) -> Bool {
        guard let text = try optionalString(key) else { return false }
        guard text == "fs-llm" else { throw error(key, "is `\(text)`; the only one known is `fs-llm`") }
        return true
    }
}

extension ConfigurationNode {
    /// The entries of a map.
    static func entries(of node: ConfigurationNode) throws(ConfigurationError) -> [Entry] {
        guard case .map(let entries) = node.content else {
            throw ConfigurationError(
                position: node.position, path: "", message: "there must be a map of settings here")
        }
        return entries
    }
}
