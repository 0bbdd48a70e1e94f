import Foundation
import Models

/// The files that a study leaves: a function of its cells' results, without times. Times have a file of their
/// own.
enum StudyFiles {
    static let timings = "timings.jsonl"

    static func write(_ outcome: StudyOutcome, to directory: String) throws {
        try AtomicFile.write(lines(outcome), to: "\(directory)/results.jsonl")
        try AtomicFile.write(StudyTable(outcome).csv, to: "\(directory)/results.csv")
        try AtomicFile.write(StudyTable(outcome).markdown, to: "\(directory)/results.md")
        try AtomicFile.write(StudyPage.html(outcome), to: "\(directory)/results.html")
    }

    /// A line for each cell, then one for each trial of a search.
    private static func lines(_ outcome: StudyOutcome) -> String {
        func line(_ row: StudyOutcome.Row, _ kind: String) -> String {
            let labels = StudyAxis.allCases.compactMap { axis in
                row.cell.labels[axis].flatMap { $0.isEmpty ? nil : JSON.Member(axis.rawValue, .string($0)) }
            }
            var members: [JSON.Member] = [
                .init("schema", .string("fedtrain-study-result/1")), .init("kind", .string(kind)),
                .init("study", .string(outcome.definition.name)), .init("labels", .object(labels)),
                .init("seed", .string("\(row.cell.seed)")),
            ]
            if let trial = row.cell.trial { members.append(.init("trial", .string(trial))) }
            return JSON.object(members + [.init("result", row.result.json)]).text() + "\n"
        }
        return outcome.rows.map { line($0, "cell") }.joined()
            + outcome.trials.map { line($0, "trial") }.joined()
    }

    /// Notes how long a cell took. Not written atomically: a torn last line of times harms nobody.
    static func append(seconds: Double, of cell: StudyCell, to directory: String) throws {
        let line = JSON.object([
            .init("key", .string(cell.key)), .init("cell", .string(cell.title)),
            .init("seconds", .real(Figures.rounded(seconds, digits: 4))),
        ]).text()
        let path = "\(directory)/\(timings)"
        if !FileManager.default.fileExists(atPath: path) { try AtomicFile.write("", to: path) }
        guard let handle = FileHandle(forWritingAtPath: path) else {
            throw CheckpointError(.cannotWrite, file: path, "the file cannot be opened")
        }
        defer { try? handle.close() }
        try handle.seekToEnd()
        try handle.write(contentsOf: Data((line + "\n").utf8))
    }
}
