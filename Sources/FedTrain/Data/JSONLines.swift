import Foundation
import Models

/// A file of JSON objects, one a line, that are no training records: questions, programs, completions.
public enum JSONLines {
    /// All objects in order, turned into values. Blank lines are skipped.
    /// - Parameter wanted: the keys that `value` needs, for the message.
    /// - Throws: `RecordFileError` naming file and line.
    public static func read<Value>(
        _ path: String, wanted: String, _ value: (JSON) -> Value?
    ) throws(RecordFileError) -> [Value] {
        var values: [Value] = []
        let lines = try RecordFile.bytes(path).split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated()
        where !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) {
            guard let json = try? JSON.parse(Array(line)), let parsed = value(json) else {
                throw RecordFileError(
                    file: path, line: index + 1, reason: "is no JSON object with \(wanted)",
                    hint: "Write one object a line with these keys")
            }
            values.append(parsed)
        }
        guard !values.isEmpty else {
            throw RecordFileError(file: path, line: nil, reason: "is empty", hint: "Check the path")
        }
        return values
    }
}

extension MultipleChoice {
    /// Reads `{"context" (or "question", "goal", "query"), "choices": […], "answer"}`; the answer is an
    /// index from 0, one of the choices, or a letter from A.
    public init?(json: JSON) {
        let context = ["context", "question", "goal", "query"].lazy.compactMap { json[$0]?.string }.first
        guard let context, let choices = json["choices"]?.array?.compactMap(\.string),
            choices.count >= 2, choices.count == json["choices"]?.array?.count,
            let answer = json["answer"] ?? json["label"] ?? json["gold"]
        else { return nil }
        let place =
            answer.integer
            ?? answer.string.flatMap { text in
                choices.firstIndex(of: text)
                    ?? text.unicodeScalars.first.map { Int($0.value) - 65 }
            }
        guard let place, choices.indices.contains(place), choices.allSatisfy({ !$0.isEmpty }) else {
            return nil
        }
        self.init(context: context, choices: choices, answer: place)
    }
}
