import Foundation
import Models
import SecureAgg

/// `events.jsonl`: one line per round, for people and dashboards. Counts, times and bytes; nothing
/// that a client knows and the server must not.
final class EventLog {
    private let path: String

    /// - Parameter continuing: keeps the lines of an earlier process.
    init(path: String, continuing: Bool = false) throws {
        self.path = path
        if !continuing { try AtomicFile.write("", to: path) }
    }

    private struct Line: Encodable {
        struct StageFigures: Encodable {
            let completed: Int
            let seconds: Double
            let bytesUp: Int
            let bytesDown: Int
        }

        let round: Int
        let outcome: String
        let reason: String?
        let survivors: Int
        let invited: Int
        let epsilon: Double
        let stages: [String: StageFigures]
    }

    func append(_ summary: RoundSummary, epsilon: Double) throws {
        var stages: [String: Line.StageFigures] = [:]
        for (stage, completed) in summary.trace.completed {
            stages[stage.name] = Line.StageFigures(
                completed: completed, seconds: summary.trace.seconds[stage] ?? 0,
                bytesUp: summary.trace.bytesUp[stage] ?? 0,
                bytesDown: summary.trace.bytesDown[stage] ?? 0)
        }
        let line = Line(
            round: summary.round, outcome: summary.isReleased ? "released" : "aborted",
            reason: summary.fault.map { "\($0)" }, survivors: summary.survivors,
            invited: summary.trace.invited, epsilon: epsilon, stages: stages)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let data = try encoder.encode(line) + Data("\n".utf8)
        guard let handle = FileHandle(forWritingAtPath: path) else {
            throw CheckpointError(.cannotWrite, file: path, "cannot be opened for writing")
        }
        defer { try? handle.close() }
        do {
            try handle.seekToEnd()
            try handle.write(contentsOf: data)
        } catch {
            throw CheckpointError(.cannotWrite, file: path, "cannot be written", hint: "Check free space")
        }
    }
}
