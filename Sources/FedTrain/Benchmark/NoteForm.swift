/// The answer to a note: three fields in one line, `desk=H;urgency=3;count=2`.
struct NoteForm: Sendable, Equatable {
    var desk: String
    var urgency: Int
    var count: Int

    var text: String { "desk=\(desk);urgency=\(urgency);count=\(count)" }
}

/// How many answers were right, as a whole and field by field.
public struct NoteScore: Sendable, Equatable {
    public var records = 0
    /// Answers equal to their reference, every byte of it.
    public var exact = 0
    /// Right values per field, in the order of `fieldNames`.
    public var fields = [Int](repeating: 0, count: NoteScore.fieldNames.count)

    public static let fieldNames = ["desk", "urgency", "count"]

    /// Share of fully right answers, 0...1.
    public var accuracy: Double { records == 0 ? 0 : Double(exact) / Double(records) }
    /// Share of right values per field, 0...1.
    public var fieldAccuracy: [Double] { fields.map { records == 0 ? 0 : Double($0) / Double(records) } }

    public init() {}

    /// Compares answers with references, record by record.
    ///
    /// White space around an answer is ignored. A field counts as right if the answer has
    /// the piece `name=value` of the reference in the reference's place.
    public static func score(answers: [String], references: [String]) -> NoteScore {
        precondition(answers.count == references.count, "one answer for each reference")
        var score = NoteScore()
        for (answer, reference) in zip(answers, references) {
            let answer = trimmed(answer)
            score.records += 1
            if answer == reference { score.exact += 1 }
            let given = answer.split(separator: ";", omittingEmptySubsequences: false)
            let wanted = reference.split(separator: ";", omittingEmptySubsequences: false)
            for index in 0..<min(given.count, wanted.count, fieldNames.count)
            where given[index] == wanted[index] {
                score.fields[index] += 1
            }
        }
        return score
    }

    private static func trimmed(_ text: String) -> String {
        var rest = Substring(text)
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}
