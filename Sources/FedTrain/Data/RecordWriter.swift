import Models

/// Writes records in the one form that everything here reads (`docs/data.md`).
public enum RecordWriter {
    /// JSON Lines: `instruction`, `input` if there is one, `output`, or `text`; then `category`. Equal records
    /// give equal bytes.
    public static func lines(_ records: [Record]) -> [UInt8] {
        var bytes: [UInt8] = []
        for record in records { bytes += Array((record.json.text(.compact) + "\n").utf8) }
        return bytes
    }

    /// - Throws: `CheckpointError` if the file cannot be written; what was there before is then unchanged.
    public static func write(_ records: [Record], to path: String) throws {
        try AtomicFile.write(lines(records), to: path)
    }
}

extension Record {
    var json: JSON {
        var members: [JSON.Member] = []
        switch content {
        case .text(let text): members.append(.init("text", .string(text)))
        case .instruction(let instruction, let input, let output):
            members.append(.init("instruction", .string(instruction)))
            if !input.isEmpty { members.append(.init("input", .string(input))) }
            members.append(.init("output", .string(output)))
        }
        if let category { members.append(.init("category", .string(category))) }
        return .object(members)
    }
}
