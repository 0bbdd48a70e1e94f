import SecureAgg

/// The names of the free-form facts that this project writes into ledgers, so that the writer of a
/// run and the reader of its report agree. All values are strings, as everything in a ledger is.
public enum LedgerFacts {
    // Facts of a plan; each may be absent.
    public static let project = "project"
    public static let operatorName = "operator"
    public static let contact = "contact"
    public static let baseModelName = "base-model"
    public static let adapterName = "adapter"
    public static let algorithm = "algorithm"
    public static let data = "data"
    public static let setting = "setting"
    public static let wrapArgument = "wrap-argument"
    public static let threshold = "threshold"
    public static let neighbours = "neighbours"
    public static let planDigest = "plan-digest"
    public static let tinyCohort = "tiny-cohort"
    public static let denominator = "denominator"
    public static let recordCount = "records"
    /// Clients of the federation, where not all of them take their turn in one round.
    public static let population = "population"
    public static let retention = "retention"
    public static let registry = "registry"
    /// Digest of the executable that started the run.
    public static let build = "build"
    /// Σε of earlier runs on the same people, an exact number; absent means none.
    public static let spentBefore = "spent-before"
    /// How many earlier runs that was.
    public static let runsBefore = "runs-before"
    /// How many earlier runs of the workspace were in clear; absent means none.
    public static let runsInClear = "runs-in-clear"

    /// Add-then-remove noise: the numbers of lost clients at which its levels stand, with commas; absent when
    /// all noise that is added stays.
    public static let noiseLevels = "noise-levels"

    /// Where random bits came from: `operatingSystem`, or something that others can know.
    public static let randomness = "randomness"

    /// `setting` of a run whose parties all live in one process.
    public static let oneProcess = "one process"
    /// `setting` of a run whose clients joined over a network.
    public static let network = "network"
    public static let operatingSystem = "operating system"

    /// Payload of a note, not a fact of the plan: the digest of the adapter's files.
    public static let adapterFiles = "adapterFiles"
    /// Beside it: the digests of the run's configuration, its log of events and its clients' ledgers.
    static let configurationFile = "configurationFile"
    static let eventsFile = "eventsFile"
    static let clientLedgers = "clientLedgers"
}

/// Who was left after each stage of a round: the payload of `commit`, `release` and `abort` records.
public struct RoundCounts: Sendable, Hashable {
    /// The five stages by the names that files and commands use.
    public static let stages = Stage.allCases

    public var invited: Int
    /// Clients whose message of the stage was accepted; a stage that was never reached is absent.
    public var completed: [Stage: Int]

    public init(invited: Int, completed: [Stage: Int]) {
        self.invited = invited
        self.completed = completed
    }

    /// Contributions in the sum: the clients whose masked vectors were accepted.
    public var survivors: Int { completed[.submitMaskedInput] ?? 0 }

    public var payload: [String: String] {
        var payload = ["invited": "\(invited)"]
        for (stage, count) in completed { payload["completed.\(stage.name)"] = "\(count)" }
        return payload
    }

    /// Reads the counts of a record; nil if it holds none, or counts that rise from stage to stage.
    public init?(payload: [String: String]) {
        guard let invited = payload["invited"].flatMap({ Int($0) }), invited >= 0 else { return nil }
        var completed: [Stage: Int] = [:]
        var before = invited
        for stage in Self.stages {
            guard let text = payload["completed.\(stage.name)"] else { continue }
            guard let count = Int(text), (0...before).contains(count) else { return nil }
            completed[stage] = count
            before = count
        }
        self.init(invited: invited, completed: completed)
    }

    /// Clients lost in `stage`: those who finished the stage before but not this one.
    public func lost(in stage: Stage) -> Int {
        guard let count = completed[stage] else { return 0 }
        let before = Self.stages.filter { $0 < stage }.compactMap { completed[$0] }.last ?? invited
        return before - count
    }
}

/// One measured figure: the payload of a `score` record.
public struct ScoreFact: Sendable, Hashable {
    /// Which model: "base", "site 3 alone", "federation".
    public var name: String
    public var metric: String
    public var value: Double
    /// Held-out records, or tokens, that the figure rests on.
    public var count: Int
    public var higherIsBetter: Bool

    public init(name: String, metric: String, value: Double, count: Int, higherIsBetter: Bool) {
        self.name = name
        self.metric = metric
        self.value = value
        self.count = count
        self.higherIsBetter = higherIsBetter
    }

    public var payload: [String: String] {
        [
            "name": name, "metric": metric, "value": "\(value)", "count": "\(count)",
            "better": higherIsBetter ? "higher" : "lower",
        ]
    }

    /// Reads a `score` record's payload; nil if a field is missing or no finite number.
    public init?(payload: [String: String]) {
        guard let name = payload["name"], let metric = payload["metric"],
            let value = payload["value"].flatMap(Double.init), value.isFinite,
            let count = payload["count"].flatMap({ Int($0) }), count >= 0,
            let better = payload["better"], better == "higher" || better == "lower"
        else { return nil }
        self.init(
            name: name, metric: metric, value: value, count: count, higherIsBetter: better == "higher")
    }
}
