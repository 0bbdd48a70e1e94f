import DP
import Foundation
import GMP
import Models
import Sodium

/// A study as one job in one directory: planned, run cell by cell, resumed after anything, written out.
///
/// A finished cell is a file named after everything that determines it, so whatever happened before, a study
/// runs what is missing and then writes the same result files.
public struct StudyRun {
    public let matrix: StudyMatrix
    /// Holds `cells`, `data` and the results.
    public let directory: String
    /// Seconds of a clock that never jumps; for predictions and the file of times, never for results.
    public let clock: () -> Double

    public init(_ matrix: StudyMatrix, directory: String, clock: @escaping () -> Double) {
        self.matrix = matrix
        self.directory = directory
        self.clock = clock
    }

    /// What happens, for people.
    public enum Progress: Sendable {
        case planned(StudyPlanned, cell: Int, of: Int)
        case started(title: String, cell: Int, of: Int, secondsLeft: Double)
        case round(Int, of: Int)
        case finished(title: String, seconds: Double, isCached: Bool, loss: Double)
    }

    // MARK: The plan

    /// Prices every cell; writes data files, trains and spends nothing.
    public func plan(observe: (Progress) -> Void = { _ in }) throws -> StudyPlan {
        try writeData()
        var cost = StudyCost(clock: clock)
        var account = StudyAccount(budget: matrix.definition.budget)
        var planned: [StudyPlanned] = []
        var known: [String: ShapeCost] = [:]
        for (index, cell) in matrix.cells.enumerated() {
            let run = CellRun(cell: cell, split: matrix.splits[cell.dataDirectory]!, root: directory)
            // Cells that differ in their seed alone cost the same, if their data has the same sizes.
            let sizes = run.split.clients.map { "\($0.train.count)" }.joined(separator: ",")
            let shape = cell.source.json.sorted.text().replacing(cell.dataDirectory, with: "") + sizes
            let making = try cost.making(run)
            if known[shape] == nil {
                known[shape] = try ShapeCost(run, search: matrix.definition.search, cost: &cost)
            }
            let figures = known[shape]!
            for charge in figures.charges {
                account.charge(
                    task: cell.labels[.task] ?? "", event: figures.event, rounds: charge.rounds,
                    epsilon: charge.epsilon, times: charge.times)
            }
            let entry = StudyPlanned(
                title: cell.title, key: cell.key, epsilon: figures.epsilon, unit: figures.unit,
                seconds: figures.seconds + making.seconds,
                memory: max(figures.memory, making.memory),
                isCached: matrix.definition.search == nil && matrix.definition.budget == nil
                    && run.cached() != nil)
            planned.append(entry)
            observe(.planned(entry, cell: index + 1, of: matrix.cells.count))
        }
        return StudyPlan(cells: planned, accounts: account.totals())
    }

    /// Each split's files, once.
    private func writeData() throws {
        for (name, split) in matrix.splits.sorted(by: { $0.key < $1.key }) {
            let path = "\(directory)/\(name)"
            try AtomicFile.makeDirectory(path)
            for file in split.files where (try? fileDigest("\(path)/\(file.name)")) != Digest.of(file.bytes) {
                try AtomicFile.write(file.bytes, to: "\(path)/\(file.name)")
            }
        }
    }

    // MARK: The run

    /// Runs what is missing and writes the results.
    ///
    /// - Parameter shouldStop: asked between cells.
    public func run(
        _ plan: StudyPlan, shouldStop: () -> Bool = { false },
        observe: @escaping (Progress) -> Void = { _ in }
    ) throws -> StudyOutcome {
        try requireBudget(plan)
        var pace = Pace(plan)
        var account: [String: Rational] = [:]
        var rows: [StudyOutcome.Row] = []
        var trials: [StudyOutcome.Row] = []
        var stopped = false
        cells: for (index, cell) in matrix.cells.enumerated() {
            let own: [StudyOutcome.Row]
            if let search = matrix.definition.search {
                let searcher = StudySearcher(search: search, cell: cell, run: self)
                own = try searcher.trials(account: &account, shouldStop: shouldStop) { trial, account in
                    try result(
                        trial, number: index, of: matrix.cells.count, pace: &pace, account: &account,
                        observe: observe)
                }
                trials += own
                guard let best = searcher.best(own) else {
                    stopped = true
                    break cells
                }
                rows.append(best)
            } else {
                if shouldStop() {
                    stopped = true
                    break
                }
                let result = try result(
                    cell, number: index, of: matrix.cells.count, pace: &pace, account: &account,
                    observe: observe)
                rows.append(result)
            }
        }
        let outcome = StudyOutcome(
            definition: matrix.definition, rows: rows, trials: trials, accounts: plan.accounts,
            excluded: matrix.excluded, splits: matrix.splits, isComplete: !stopped)
        if !stopped { try StudyFiles.write(outcome, to: directory) }
        return outcome
    }

    /// One cell's result, from the cache or made now, charged to the task's account where there is one.
    private func result(
        _ cell: StudyCell, number: Int, of count: Int, pace: inout Pace, account: inout [String: Rational],
        observe: @escaping (Progress) -> Void
    ) throws -> StudyOutcome.Row {
        let task = cell.labels[.task] ?? ""
        let cell = cell.budget == nil ? cell : cell.charged(after: account[task] ?? 0)
        let run = CellRun(cell: cell, split: matrix.splits[cell.dataDirectory]!, root: directory)
        let found: CellResult
        if let cached = run.cached() {
            found = cached
            observe(
                .finished(title: cell.title, seconds: 0, isCached: true, loss: found.trained.pooled))
        } else {
            observe(
                .started(
                    title: cell.title, cell: number + 1, of: count,
                    secondsLeft: pace.secondsLeft(from: number)))
            let started = clock()
            found = try run.run { event in
                if case .roundStarted(let round, let rounds) = event { observe(.round(round, of: rounds)) }
            }
            let seconds = clock() - started
            pace.took(seconds, cell: number)
            try StudyFiles.append(seconds: seconds, of: cell, to: directory)
            observe(
                .finished(title: cell.title, seconds: seconds, isCached: false, loss: found.trained.pooled))
        }
        if cell.budget != nil, let epsilon = found.epsilon {
            account[task] = (account[task] ?? 0) + PriorSpending.roundedUp(epsilon)
        }
        return StudyOutcome.Row(cell: cell, result: found)
    }

    /// Refuses a study that its budget does not reach, before anything is trained.
    private func requireBudget(_ plan: StudyPlan) throws {
        guard let budget = matrix.definition.budget else { return }
        for account in plan.accounts where !account.fits(budget.asDouble) {
            throw StudyError.overBudget(
                task: account.task, planned: account.sum, budget: budget.asDouble, runs: account.runs)
        }
    }

    /// Runs one cell anew beside the kept one and compares their bytes.
    ///
    /// - Returns: names of files that differ; empty when the cell came out the same.
    public func repeated(_ key: String) throws -> (title: String, differences: [String]) {
        let matching = matrix.cells.filter { $0.key.hasPrefix(key) }
        guard let cell = matching.first, matching.allSatisfy({ $0.key == cell.key }) else {
            throw StudyError.noSuchCell(key, known: matrix.cells.map(\.key))
        }
        let kept = CellRun(cell: cell, split: matrix.splits[cell.dataDirectory]!, root: directory)
        guard kept.cached() != nil else { throw StudyError.cellNotRun(cell.title, key: cell.key) }
        let scratch = "\(directory)/repeat-\(cell.key)"
        try? FileManager.default.removeItem(atPath: scratch)
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        try AtomicFile.makeDirectory(scratch)
        try StudyRun(matrix, directory: scratch, clock: clock).writeData()
        let again = CellRun(cell: cell, split: kept.split, root: scratch)
        _ = try again.run { _ in }
        let files =
            ["result.json", "federation.json", "runs/0001/ledger.jsonl"]
            + ["adapter_config.json", "adapter_model.safetensors"].map { "runs/0001/adapter/\($0)" }
        let differences = files.filter { name in
            FileManager.default.contents(atPath: "\(kept.directory)/\(name)")
                != FileManager.default.contents(atPath: "\(again.directory)/\(name)")
        }
        return (cell.title, differences)
    }
}

/// What is left to do, corrected by how the finished cells compared with their predictions.
private struct Pace {
    private let predicted: [Double]
    private var done = (predicted: 0.0, actual: 0.0)

    init(_ plan: StudyPlan) {
        predicted = plan.cells.map { $0.isCached ? 0 : $0.seconds }
    }

    func secondsLeft(from cell: Int) -> Double {
        let factor = done.predicted > 0 ? done.actual / done.predicted : 1
        return predicted[cell...].reduce(0, +) * factor
    }

    mutating func took(_ seconds: Double, cell: Int) {
        done.predicted += predicted[cell]
        done.actual += seconds
    }
}

/// Why a study cannot be run.
public enum StudyError: Error, Equatable, Sendable {
    case overBudget(task: String, planned: Double, budget: Double, runs: Int)
    case noSuchCell(String, known: [String])
    case cellNotRun(String, key: String)
}
