import Foundation
import Models

/// Reads files of records: JSON Lines, or one JSON list as Alpaca-style data sets come.
public enum RecordFile {
    /// All records of a file, in order. Blank lines are skipped.
    /// - Throws: `RecordFileError` naming the file and, for JSON Lines, the line.
    public static func read(_ path: String) throws(RecordFileError) -> [Record] {
        try parse(try bytes(path), file: path)
    }

    /// All bytes of a file.
    public static func bytes(_ path: String) throws(RecordFileError) -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            let exists = FileManager.default.fileExists(atPath: path)
            throw RecordFileError(
                file: path, line: nil, isMissing: !exists,
                reason: exists ? "cannot be read" : "there is no such file", hint: "Check the path")
        }
        return Array(data)
    }

    /// - Parameter file: the path that error messages name.
    package static func parse(_ bytes: [UInt8], file: String) throws(RecordFileError) -> [Record] {
        var records: [Record] = []
        for (value, line, place) in try objects(bytes, file: file) {
            do {
                records.append(try Record(json: value))
            } catch {
                throw RecordFileError(
                    file: file, line: line, reason: (place.map { "\($0): " } ?? "") + error.description,
                    hint: Self.formatHint)
            }
        }
        return records
    }

    /// The JSON values of a file: of each line, or of one list.
    ///
    /// - Returns: each with its line, or with its place in the list.
    static func objects(
        _ bytes: [UInt8], file: String
    ) throws(RecordFileError) -> [(value: JSON, line: Int?, place: String?)] {
        let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let content = bytes.starts(with: byteOrderMark) ? bytes[3...] : bytes[...]
        let first = content.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
        if first == UInt8(ascii: "[") {
            return try list(Array(content), file: file).enumerated().map { index, value in
                (value, nil, "record \(index + 1)")
            }
        }
        return try lines(content, file: file)
    }

    private static func lines(
        _ content: ArraySlice<UInt8>, file: String
    ) throws(RecordFileError) -> [(value: JSON, line: Int?, place: String?)] {
        var values: [(value: JSON, line: Int?, place: String?)] = []
        let lines = content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated()
        where !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) {
            do {
                values.append((try JSON.parse(Array(line)), index + 1, nil))
            } catch {
                throw RecordFileError(
                    file: file, line: index + 1, reason: "\(error)", hint: "Each line must be one JSON object"
                )
            }
        }
        return values
    }

    private static func list(_ content: [UInt8], file: String) throws(RecordFileError) -> [JSON] {
        let document: JSON
        do {
            document = try JSON.parse(content)
        } catch {
            let line = content.prefix(error.offset).count { $0 == UInt8(ascii: "\n") } + 1
            throw RecordFileError(
                file: file, line: line, reason: error.description, hint: "The file may be cut off")
        }
        return document.array ?? []
    }

    private static let formatHint =
        "Write {\"instruction\": …, \"input\": …, \"output\": …} or {\"text\": …}"
}

/// What is wrong with a file of records. Messages hold keys and positions, never the data.
public struct RecordFileError: Error, Equatable, Sendable, CustomStringConvertible {
    public let file: String
    /// Counted from 1; nil if the fault is not in one line.
    public let line: Int?
    /// The file does not exist, as opposed to being bad.
    public let isMissing: Bool
    public let reason: String
    /// One next step.
    public let hint: String

    init(file: String, line: Int?, isMissing: Bool = false, reason: String, hint: String) {
        self.file = file
        self.line = line
        self.isMissing = isMissing
        self.reason = reason
        self.hint = hint
    }

    public var description: String {
        "\(file)\(line.map { ":\($0)" } ?? ""): \(reason). \(hint)"
    }
}
