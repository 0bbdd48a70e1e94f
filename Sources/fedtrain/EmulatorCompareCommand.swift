import ArgumentParser
import FedTrain
import Models

/// `fedtrain emulator compare`: recipes side by side, from their disclosure reports.
struct EmulatorCompareCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Put emulator recipes side by side, from their disclosure reports.",
        discussion: """
            Give the disclosure-report.json files of `fedtrain emulator assess --adapter`, each alone or as \
            NAME=FILE. Reports of one name (or recipe) are averaged: one for each seed. Writes comparison.html \
            and .json with the frontier: which recipes no other one beats in what is shipped, in what the \
            tuned emulator keeps, in what attackers recover and in the plug-in.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "Disclosure reports, FILE or NAME=FILE.")
    var reports: [String]

    @Option(help: "Directory for the two files.")
    var output: String

    struct Cell: Encodable {
        let mean: Double
        /// Half of the 95 % interval; absent for one report.
        let half: Double?
    }

    struct Row: Encodable {
        let recipe: String
        let reports: Int
        let frontier: Bool
        let figures: [String: Cell]
    }

    struct Payload: Encodable {
        let comparison: String
        let rows: [Row]
    }

    func execute(_ console: Console) throws -> Payload {
        let comparison = try RecipeComparison(
            reports: reports.map { argument in
                guard let mark = argument.firstIndex(of: "=") else { return (nil, argument) }
                return (String(argument[..<mark]), String(argument[argument.index(after: mark)...]))
            })
        try AtomicFile.makeDirectory(output)
        try AtomicFile.write(comparison.json(), to: "\(output)/comparison.json")
        try AtomicFile.write(comparison.html(), to: "\(output)/comparison.html")
        return Payload(
            comparison: "\(output)/comparison.html",
            rows: comparison.rows.map { row in
                var figures: [String: Cell] = [:]
                for column in RecipeComparison.columns {
                    figures[column.key] = row.mean(column.figure).map { Cell(mean: $0.mean, half: $0.half) }
                }
                return Row(
                    recipe: row.name, reports: row.reports.count, frontier: comparison.isOnFrontier(row),
                    figures: figures)
            })
    }

    func describe(_ payload: Payload) -> String {
        let lines = payload.rows.map { row in
            func cell(_ key: String) -> String {
                guard let cell = row.figures[key] else { return "–" }
                return decimal(cell.mean, 3) + (cell.half.map { " ± \(decimal($0, 3))" } ?? "")
            }
            return
                "\(row.frontier ? "*" : " ") \(row.recipe) (\(row.reports)): ships \(cell("exactFraction")), "
                + "emulator \(cell("emulatorZeroShot")) tuned to \(cell("emulatorTuned")), "
                + "plug-in \(cell("plugIn")), R \(cell("retained"))"
        }
        return (lines + ["* on the frontier", "comparison: \(payload.comparison)"]).joined(separator: "\n")
    }
}
