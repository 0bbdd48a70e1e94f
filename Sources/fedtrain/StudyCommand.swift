import ArgumentParser
import FedTrain
import Foundation
import Models

/// `fedtrain study`: a matrix of tasks, splits, algorithms and privacy settings as one resumable job.
struct StudyCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "study",
        abstract: "Run a matrix of federations as one resumable job: tables, plots, ε of each and of all.",
        discussion: """
            FILE is a study's YAML file, or the name of one that comes with the tool: \
            \(ShippedStudies.names.joined(separator: ", ")). The same command continues a study that was \
            stopped or killed; finished cells are not run again. Result files are the same bytes each time; times \
            go into a file of their own.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: "A study's file, or the name of a shipped study.", completion: .file(extensions: ["yaml"]))
    var file: String

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp("Replace one value of the study's file (repeatable).", valueName: "path=value"))
    var overrides: [String] = []

    @Option(help: "Where cells and results go; `study-NAME` when not given.", completion: .directory)
    var output: String?

    @Option(
        help:
            "What relative paths of data and base models start from; the file's own directory, or the current one.",
        completion: .directory)
    var data: String?

    @Flag(help: "Say what the study will cost, and stop.")
    var planOnly = false

    @Option(help: "Run one finished cell again, by its key, and compare its bytes.")
    var cell: String?

    struct Payload: Encodable {
        struct Cell: Encodable {
            let title: String
            let key: String
            /// Absent for a run in clear.
            let epsilon: Double?
            let unit: String
            let seconds: Double
            let done: Bool
        }

        struct Total: Encodable {
            let task: String
            let unit: String
            let runs: Int
            let largest: Double
            let sum: Double
            let together: Double?
        }

        struct Row: Encodable {
            let labels: [String: String]
            let values: [String: String]
        }

        let study: String
        let directory: String
        let cells: [Cell]
        let totals: [Total]
        let plannedSeconds: Double
        let seconds: Double
        let peakMemory: Int
        var results: [Row] = []
        var stopped = false
        /// Of a repeated cell: files that came out different.
        var differences: [String]?
        let text: String

        enum CodingKeys: String, CodingKey {
            case study, directory, cells, totals, plannedSeconds, seconds, peakMemory, results, stopped,
                differences
        }
    }

    func execute(_ console: Console) throws -> Payload {
        let started = monotonicSeconds()
        let (definition, matrix) = try load()
        let directory = output ?? "study-\(definition.name)"
        // One process at a time: the lock of a workspace serves a study as well.
        let lock = try WorkspaceLock(Workspace(root: directory))
        defer { withExtendedLifetime(lock) {} }
        let run = StudyRun(matrix, directory: directory, clock: monotonicSeconds)
        if let cell { return try repeatCell(cell, run, definition, started) }

        for report in matrix.reports {
            console.say("\(report.task), \(report.what): " + report.report.lines.joined(separator: "; "))
        }
        if definition.isCompatible { console.warn("compat: fs-llm reproduces defects; for comparison only") }
        console.say("planning \(matrix.cells.count) cells")
        let plan = try run.plan { progress in
            if case .planned(let cell, let number, let count) = progress {
                console.tick("planning \(number)/\(count)  \(cell.title)")
            }
        }
        for cell in plan.cells { console.detail(Self.line(cell)) }
        for total in plan.accounts { console.say(StudyTable.sentence(total)) }
        console.say(
            "\(plan.missing) of \(plan.cells.count) cells to run, about \(Self.duration(plan.seconds)); "
                + "peak memory about \(bytes(plan.memory))")
        console.say("every cell is seeded: whoever knows the seed can recompute the noise; not for real data")
        if planOnly { return payload(definition, directory, plan, started: started, text: Self.text(plan)) }

        SignalWatch.start()
        let watcher = StudyWatcher(console)
        let outcome = try run.run(
            plan, shouldStop: { SignalWatch.interrupted }, observe: watcher.observe)
        let table = StudyTable(outcome)
        var payload = payload(
            definition, directory, plan, started: started,
            text: Self.text(outcome, table, directory: directory, seconds: monotonicSeconds() - started))
        let (header, rows) = table.main
        payload.results = rows.map { row in
            let pairs = Array(zip(header, row))
            let axes = outcome.axes.count
            return Payload.Row(
                labels: Dictionary(pairs.prefix(axes), uniquingKeysWith: { $1 }),
                values: Dictionary(pairs.dropFirst(axes), uniquingKeysWith: { $1 }))
        }
        payload.stopped = !outcome.isComplete
        return payload
    }

    /// The study's file, read and resolved, errors placed in it.
    private func load() throws -> (StudyDefinition, StudyMatrix) {
        let path = FileManager.default.fileExists(atPath: file) ? file : ShippedStudies.path(of: file)
        guard let path else {
            throw CommandFailure(
                .missingInput, "there is no such file, and no shipped study of that name", at: file,
                hint: "shipped studies: \(ShippedStudies.names.joined(separator: ", "))")
        }
        let root =
            data ?? (path == file ? (file as NSString).deletingLastPathComponent : "")
        return try YAMLFile.placing(path, overrides: overrides) { node in
            let definition = try StudyDefinition(reading: node)
            return (definition, try StudyMatrix(definition, root: root))
        }
    }

    private func repeatCell(
        _ key: String, _ run: StudyRun, _ definition: StudyDefinition, _ started: Double
    ) throws -> Payload {
        let (title, differences) = try run.repeated(key)
        return Payload(
            study: definition.name, directory: run.directory, cells: [], totals: [], plannedSeconds: 0,
            seconds: monotonicSeconds() - started, peakMemory: peakMemoryBytes(), differences: differences,
            text: differences.isEmpty
                ? "\(title): run again, the same bytes"
                : "\(title): \(differences.joined(separator: ", ")) differ")
    }

    private func payload(
        _ definition: StudyDefinition, _ directory: String, _ plan: StudyPlan, started: Double, text: String
    ) -> Payload {
        Payload(
            study: definition.name, directory: directory,
            cells: plan.cells.map {
                .init(
                    title: $0.title, key: $0.key, epsilon: $0.epsilon, unit: $0.unit, seconds: $0.seconds,
                    done: $0.isCached)
            },
            totals: plan.accounts.map {
                .init(
                    task: $0.task, unit: $0.unit, runs: $0.runs, largest: $0.largest, sum: $0.sum,
                    together: $0.together)
            }, plannedSeconds: plan.seconds, seconds: monotonicSeconds() - started,
            peakMemory: peakMemoryBytes(),
            text: text)
    }

    func describe(_ payload: Payload) -> String { payload.text }

    func failure(in payload: Payload) -> CommandFailure? {
        if let differences = payload.differences, !differences.isEmpty {
            return CommandFailure(
                .verification, "a repeated cell came out different: \(differences.joined(separator: ", "))",
                at: payload.directory, hint: "was it made by another version, or on another machine?")
        }
        guard payload.stopped else { return nil }
        return CommandFailure(
            .interrupted, "stopped; finished cells are kept", at: payload.directory,
            hint: "the same command continues")
    }

    // MARK: Texts

    private static func line(_ cell: StudyPlanned) -> String {
        "  \(cell.key)  \(cell.title): \(price(cell)), "
            + (cell.isCached ? "done" : "about \(duration(cell.seconds))")
    }

    private static func text(_ plan: StudyPlan) -> String {
        let rows = plan.cells.map {
            [$0.title, price($0), $0.isCached ? "done" : duration($0.seconds), $0.key]
        }
        return table(["cell", "price", "time", "key"], rows)
    }

    private static func price(_ cell: StudyPlanned) -> String {
        cell.epsilon.map { "ε = \(decimal($0, 4)) per \(cell.unit)" } ?? "in clear"
    }

    private static func text(
        _ outcome: StudyOutcome, _ results: StudyTable, directory: String, seconds: Double
    ) -> String {
        guard outcome.isComplete else { return "stopped after \(outcome.rows.count) cells" }
        var parts = [table(results.main.header, results.main.rows), results.intervals]
        if let compared = results.compared { parts.append(table(compared.header, compared.rows)) }
        if let trials = results.trials { parts.append(table(trials.header, trials.rows)) }
        parts.append(
            """
            \(duration(seconds)), peak memory \(bytes(peakMemoryBytes()))
            results  \(directory)/results.html (.md, .csv, .jsonl)
            next: the same command with --cell \(outcome.rows.first?.cell.key ?? "KEY") runs one cell again and \
            compares
            """)
        return parts.joined(separator: "\n\n")
    }

    static func duration(_ seconds: Double) -> String {
        seconds < 100
            ? "\(decimal(seconds, 1)) s"
            : seconds < 6000 ? "\(decimal(seconds / 60, 1)) min" : "\(decimal(seconds / 3600, 1)) h"
    }
}

/// Tells a person how a study goes: a line a cell, and the round under way.
private final class StudyWatcher {
    private let console: Console
    private var head = ""

    init(_ console: Console) {
        self.console = console
    }

    func observe(_ progress: StudyRun.Progress) {
        switch progress {
        case .planned: break
        case .started(let title, let cell, let count, let left):
            head = "cell \(cell)/\(count)  \(title)"
            console.tick("\(head)  about \(StudyCommand.duration(left)) left")
        case .round(let round, let rounds): console.tick("\(head)  round \(round)/\(rounds)")
        case .finished(let title, let seconds, let isCached, let loss):
            let time = isCached ? "kept" : StudyCommand.duration(seconds)
            console.say((head.isEmpty || isCached ? title : head) + "  \(time)  loss \(decimal(loss, 4))")
        }
    }
}
