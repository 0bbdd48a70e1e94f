import DP
import GMP
import Models

/// What a study will cost, before it.
public struct StudyPlan: Sendable {
    public let cells: [StudyPlanned]
    /// What all cells on one task's data cost together.
    public let accounts: [StudyTotal]

    /// Without cells that are done.
    public var seconds: Double { cells.filter { !$0.isCached }.reduce(0) { $0 + $1.seconds } }
    public var memory: Int { cells.map(\.memory).max() ?? 0 }
    public var missing: Int { cells.count { !$0.isCached } }
}

/// One cell's cost.
public struct StudyPlanned: Sendable {
    public let title: String
    public let key: String
    /// Of one run; a search makes several. Nil in clear.
    public let epsilon: Double?
    public let unit: String
    /// Of everything that stands in the cell's place.
    public let seconds: Double
    public let memory: Int
    public let isCached: Bool
}

/// ε over all runs of a study on the same data, should all of them be released.
public struct StudyTotal: Sendable, Equatable {
    public let task: String
    public let unit: String
    public let runs: Int
    /// The dearest single run.
    public let largest: Double
    /// By adding up: holds whatever the mechanisms are, at as many times δ.
    public let sum: Double
    /// By one accountant over all rounds of all runs, at one δ; nil where mechanisms do not compose so.
    public let together: Double?
    /// What the last run costs.
    let last: Double

    /// Whether all runs find a budget to run on; a run does not start on less than a twentieth of it.
    func fits(_ budget: Double) -> Bool {
        sum <= budget && sum - last <= 0.95 * budget
    }
}

/// What a cell of one shape costs: itself, or every trial of the search in its place.
struct ShapeCost {
    let event: PrivacyEvent?
    let unit: String
    /// Of one run with all rounds; nil in clear.
    let epsilon: Double?
    let charges: [(rounds: Int, epsilon: Double, times: Int)]
    let seconds: Double
    let memory: Int

    init(_ run: CellRun, search: StudySearch?, cost: inout StudyCost) throws {
        let subject = try run.prepare(rehearsed: true)
        let rounds = subject.configuration.rounds.count
        let rungs = search?.brackets(roundsMax: rounds).flatMap(\.rungs) ?? [(1, rounds)]
        let runs = rungs.reduce(0.0) { $0 + Double($1.trials * $1.rounds) } / Double(rounds)
        seconds = try cost.seconds(run.cell, subject, run.split) * runs
        guard case .priced(let prepared) = subject else {
            (event, unit, epsilon, charges) = (nil, "none", nil, [])
            // Weights, their gradients' states and the records, as for a private run without its vectors.
            memory = 64 << 20 + 12 * subject.base.model.parameterCount
            return
        }
        let plan = prepared.plan
        event = plan.event
        unit = plan.unit.rawValue
        epsilon = try plan.epsilon(rounds: rounds)
        charges = try rungs.map { ($0.rounds, try plan.epsilon(rounds: $0.rounds), $0.trials) }
        memory = prepared.prediction.peakMemory
    }
}

/// Adds up what the cells of a study charge to each task's data.
struct StudyAccount {
    private struct Entry {
        var runs = 0
        var largest = 0.0
        var sum = 0.0
        var last = 0.0
        var tally: EventTally?
        var isMixed = false
    }

    private var entries: [String: Entry] = [:]
    private var order: [(task: String, unit: String)] = []
    private let delta: Double

    init(budget: Rational?, delta: Double = 1e-5) {
        self.delta = delta
    }

    mutating func charge(
        task: String, event: PrivacyEvent?, rounds: Int, epsilon: Double, times: Int
    ) {
        guard let event else { return }
        let name = "\(task)\u{0}\(event.unit.rawValue)"
        if entries[name] == nil { order.append((task, event.unit.rawValue)) }
        var entry = entries[name] ?? Entry()
        entry.runs += times
        entry.largest = max(entry.largest, epsilon)
        entry.sum += epsilon * Double(times)
        entry.last = epsilon
        do {
            entry.tally = try (entry.tally ?? EventTally(unit: event.unit, adjacency: event.adjacency))
                .adding(event, count: rounds * times)
        } catch {
            entry.isMixed = true
        }
        entries[name] = entry
    }

    func totals() -> [StudyTotal] {
        order.map { task, unit in
            let entry = entries["\(task)\u{0}\(unit)"]!
            let accountants = AccountantKind.allCases.map(\.accountant)
            let together =
                entry.isMixed || entry.tally == nil
                ? nil
                : accountants.compactMap { try? $0.epsilon(of: entry.tally!, delta: delta).upper }.min()
            return StudyTotal(
                task: task, unit: unit, runs: entry.runs, largest: entry.largest, sum: entry.sum,
                together: together.map { min($0, entry.sum) }, last: entry.last)
        }
    }
}

extension StudyCell {
    /// The same cell on a common account from which `prior` was spent before.
    func charged(after prior: Rational) -> StudyCell {
        StudyCell(
            labels: labels, seed: seed, trial: trial, source: source, task: task, emulator: emulator,
            measures: measures,
            data: dataDigest, base: baseDigest, prior: prior, budget: budget)
    }

    /// A trial of a search in this cell's place: other values, perhaps fewer rounds.
    func trial(
        _ name: String, values: [(path: String, value: String)], rounds: Int
    ) throws(ConfigurationError) -> StudyCell {
        var source = source
        for (path, value) in values + [("rounds.count", "\(rounds)")] {
            source = try source.setting(path: path, to: ConfigurationNode(.scalar(value), at: nil))
        }
        return StudyCell(
            labels: labels, seed: seed, trial: name, source: source, task: task, emulator: emulator,
            measures: measures,
            data: dataDigest, base: baseDigest, prior: prior, budget: budget)
    }
}
