import Foundation
import Glibc
import Models

/// Several recipes side by side: what each ships, what its tuned emulator keeps, what its plug-in is worth.
///
/// Read from the disclosure reports that `fedtrain emulator assess` wrote; reports of one recipe with other
/// seeds are averaged.
public struct RecipeComparison: Sendable {
    /// One disclosure report, as far as it is compared.
    public struct Measured: Sendable, Equatable {
        public var exactFraction, nearFraction, exactMiddleFraction: Double
        public var fullZeroShot, emulatorZeroShot, emulatorTuned, plugIn: Double
        public var fullTuned: Double?
        public var controlTuned: Double?
        /// R, the part of the gain that the tuned emulator has by itself.
        public var retained: Double?
        /// Of the best attack tried.
        public var recovery: Double?
        public var higherIsBetter: Bool
    }

    /// A recipe with its reports.
    public struct Row: Sendable {
        public let name: String
        public let reports: [Measured]

        /// Mean over the reports that have the figure, and the half-width of Student's 95 % interval; nil
        /// width for a single report.
        public func mean(_ figure: (Measured) -> Double?) -> (mean: Double, half: Double?)? {
            let values = reports.compactMap(figure)
            guard !values.isEmpty else { return nil }
            let count = Double(values.count)
            let mean = values.reduce(0, +) / count
            guard values.count > 1 else { return (mean, nil) }
            let squares = values.reduce(0.0) { $0 + ($1 - mean) * ($1 - mean) }
            return (mean, studentQuantile(values.count - 1) * (squares / (count - 1) / count).squareRoot())
        }
    }

    /// In the order in which recipes were first named.
    public let rows: [Row]

    /// - Parameter reports: name of a recipe and one report of it; the name nil stands for the report's own.
    /// - Throws: `OffsiteError.malformed` for a file that is no disclosure report with scores, or scores of
    ///   another kind than the first report's.
    public init(reports files: [(name: String?, file: String)]) throws {
        var names: [String] = []
        var found: [String: [Measured]] = [:]
        var isBetterHigher: Bool?
        for (given, file) in files {
            let (recipe, measured) = try Self.read(file)
            guard isBetterHigher ?? measured.higherIsBetter == measured.higherIsBetter else {
                throw OffsiteError.mismatch(
                    file: file, "has scores of another kind than the reports before it")
            }
            isBetterHigher = measured.higherIsBetter
            let name = given ?? recipe
            if found[name] == nil { names.append(name) }
            found[name, default: []].append(measured)
        }
        rows = names.map { Row(name: $0, reports: found[$0]!) }
    }

    /// Whether no other recipe is at least as good in all of: less shipped bit for bit, less kept by the
    /// tuned emulator, less recovered by the best attack, better plug-in; and better in one. Recovery counts
    /// where every report has it.
    public func isOnFrontier(_ row: Row) -> Bool {
        let countsRecovery = rows.allSatisfy { $0.reports.allSatisfy { $0.recovery != nil } }
        func figures(_ row: Row) -> [Double] {
            let sign = row.reports[0].higherIsBetter ? 1.0 : -1.0
            return [
                -(row.mean(\.exactFraction)?.mean ?? 1), -sign * (row.mean(\.emulatorTuned)?.mean ?? 0),
                sign * (row.mean(\.plugIn)?.mean ?? 0),
                countsRecovery ? -(row.mean(\.recovery)?.mean ?? 1) : 0,
            ]
        }
        let own = figures(row)
        return !rows.contains { other in
            let theirs = figures(other)
            return zip(theirs, own).allSatisfy { $0 >= $1 } && theirs != own
        }
    }

    private static func read(_ file: String) throws -> (recipe: String, Measured) {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw CheckpointError(.missingFile, file: file, "there is no such file, or it cannot be read")
        }
        let document = try? JSON.parse(Array(data))
        guard let shipped = document?["shipped"], let scores = document?["scores"],
            let recipe = shipped["recipe"]?.string,
            let exact = shipped["exactFraction"]?.number, let near = shipped["nearFraction"]?.number,
            let middle = shipped["exactMiddleFraction"]?.number, let rows = scores["scores"]?.array
        else {
            throw OffsiteError.malformed(
                file: file, "is no disclosure report with scores; make one with emulator assess --adapter")
        }
        func score(_ name: String) throws -> Double {
            guard let value = optional(name) else {
                throw OffsiteError.malformed(file: file, "has no score of \"\(name)\"")
            }
            return value
        }
        func optional(_ name: String) -> Double? {
            rows.first { $0["model"]?.string == name }?["value"]?.number
        }
        // A figure names its columns once; `recovery` has one place in all of its rows.
        let attacks = document?["figures"]?["attacks"]
        let place = attacks?["columns"]?.array?.firstIndex { $0.string == "recovery" }
        let recoveries = (attacks?["rows"]?.array ?? []).compactMap { row -> Double? in
            guard let place, let cells = row.array, cells.indices.contains(place) else { return nil }
            return cells[place].number
        }
        return (
            recipe,
            Measured(
                exactFraction: exact, nearFraction: near, exactMiddleFraction: middle,
                fullZeroShot: try score("full model, zero-shot"),
                emulatorZeroShot: try score("emulator, zero-shot"),
                emulatorTuned: try score("emulator, tuned"), plugIn: try score("plug-in"),
                fullTuned: optional("full model, tuned"), controlTuned: optional("control, tuned"),
                retained: scores["retained"]?.number,
                recovery: recoveries.max(),
                higherIsBetter: rows.first?["metric"]?.string != "loss")
        )
    }
}

/// 97.5 % point of Student's distribution with 1, 2, … degrees of freedom.
private func studentQuantile(_ degrees: Int) -> Double {
    let table = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]
    // Beyond the table the next smaller entry is on the safe side.
    return table[min(degrees, table.count) - 1]
}
