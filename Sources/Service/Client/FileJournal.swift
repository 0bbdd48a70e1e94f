import FedTrain
import Foundation
import Models
import SecureAgg
import Sodium

/// A client's journal on disk: one line for each message, synced before the message may leave.
///
/// An incomplete last line belongs to a message that never left, and is removed.
package final class FileJournal: ClientJournal {
    private let path: String
    private let descriptor: Int32
    private var entries: [JournalEntry] = []

    private struct Line: Codable {
        let task: String
        let round: UInt64
        let manifest: String
        let stage: String
        let message: String
    }

    package init(path: String) throws {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CheckpointError(.cannotWrite, file: path, "the journal cannot be opened")
        }
        let bytes = Array(FileManager.default.contents(atPath: path) ?? Data())
        let complete = (bytes.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
        for line in bytes[..<complete].split(separator: UInt8(ascii: "\n")) {
            guard let fields = try? JSONDecoder().decode(Line.self, from: Data(line)),
                let manifest = Digest(hex: fields.manifest), let message = Digest(hex: fields.message),
                let stage = Stage(name: fields.stage)
            else {
                throw CheckpointError(
                    .malformed, file: path, "the journal has a line that is none of its own",
                    hint: "Restore it from a copy; without it this client cannot tell what it has sent")
            }
            entries.append(
                JournalEntry(
                    task: fields.task, round: fields.round, manifest: manifest, stage: stage,
                    message: message))
        }
        if complete < bytes.count { try require(ftruncate(descriptor, off_t(complete)) == 0) }
    }

    deinit { close(descriptor) }

    package func latestRound(of task: String) -> UInt64? {
        entries.lazy.filter { $0.task == task }.map(\.round).max()
    }

    package func record(_ entry: JournalEntry) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let line =
            Array(
                try encoder.encode(
                    Line(
                        task: entry.task, round: entry.round, manifest: entry.manifest.hex,
                        stage: entry.stage.name, message: entry.message.hex))) + [UInt8(ascii: "\n")]
        try require(write(descriptor, line, line.count) == line.count && fsync(descriptor) == 0)
        entries.append(entry)
    }

    /// Whether the masked vector of a round was about to leave.
    package func sentMaskedInput(_ round: Int) -> Bool {
        entries.contains { $0.round == UInt64(round) && $0.stage >= .submitMaskedInput }
    }

    private func require(_ condition: Bool) throws {
        guard condition else {
            throw CheckpointError(
                .cannotWrite, file: path, "the journal cannot be written",
                hint: "Free some space, then run the same command again")
        }
    }
}
