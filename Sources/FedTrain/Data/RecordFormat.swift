import Models

/// How a data set is laid out where it is published. Preparing turns each of them into the one form that
/// everything here reads (`docs/data.md`).
public enum RecordFormat: String, Sendable, CaseIterable {
    /// JSON Lines, or one JSON list, under any of the known names.
    case json
    /// A header row, then one record a row; columns under the same names.
    case csv
    /// Stanford Alpaca: `instruction`, `input`, `output`.
    case alpaca
    /// CodeAlpaca: as Alpaca; the category is the programming language that the task names.
    case codeAlpaca = "code-alpaca"
    /// Dolly: `instruction`, `context`, `response`, `category`.
    case dolly
    /// GSM8K: `question`, `answer`. Calculator marks are left out, `#### 18` becomes `The answer is 18`, and the
    /// category is the number of steps in the solution.
    case gsm8k
    /// Natural Instructions, as FS-LLM hands it to clients or as its tasks are published; the category is the
    /// task's.
    case naturalInstructions = "natural-instructions"

    /// What a file probably is, by its name and first bytes.
    public static func guess(path: String, _ bytes: some Collection<UInt8>) -> RecordFormat {
        if path.lowercased().hasSuffix(".csv") { return .csv }
        let head = String(decoding: bytes.prefix(4096), as: UTF8.self)
        func holds(_ keys: String...) -> Bool { keys.allSatisfy { head.contains("\"\($0)\"") } }
        if holds("Definition"), head.contains("\"Categories\"") { return .naturalInstructions }
        if holds("question", "answer"), head.contains("####") { return .gsm8k }
        if holds("instruction", "context", "response") { return .dolly }
        return .json
    }
}

/// Reads a published data set into records.
public struct RecordReader: Sendable {
    public let format: RecordFormat
    /// Which column or key holds which field, for data with names of its own: `["instruction": "frage"]`.
    public let fields: [String: String]
    /// Reproduces a defect of FS-LLM, for comparison only: a record without an `input` key gets the word
    /// `None` as its input, which its prompt template then prints.
    public let writesNone: Bool

    public static let fieldNames = ["instruction", "input", "output", "text", "category"]

    public init(format: RecordFormat, fields: [String: String] = [:], writesNone: Bool = false) {
        self.format = format
        self.fields = fields
        self.writesNone = writesNone
    }

    /// - Parameter file: the path that messages name.
    /// - Throws: `RecordFileError` naming file and line.
    public func records(_ bytes: [UInt8], file: String) throws(RecordFileError) -> [Record] {
        var records: [Record] = []
        for (value, line, place) in try objects(bytes, file: file) {
            do {
                records += try self.records(of: value)
            } catch {
                throw RecordFileError(
                    file: file, line: line, reason: (place.map { "\($0): " } ?? "") + error.description,
                    hint: fields.isEmpty
                        ? "Name the columns or keys: --field instruction=…, --field output=…"
                        : "Check the names given with --field")
            }
        }
        return records
    }

    private typealias Found = (value: JSON, line: Int?, place: String?)

    private func objects(_ bytes: [UInt8], file: String) throws(RecordFileError) -> [Found] {
        let isCSV = format == .csv
        guard isCSV else { return try RecordFile.objects(bytes, file: file) }
        let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let rows: [CSVReader.Row]
        do {
            rows = try CSVReader.rows(bytes.starts(with: byteOrderMark) ? bytes[3...] : bytes[...])
        } catch {
            switch error {
            case .openQuote(let line):
                throw RecordFileError(
                    file: file, line: line, reason: "a quote is never closed",
                    hint: "The file may be cut off; inside a quoted field write \"\" for a quote")
            case .afterQuote(let line):
                throw RecordFileError(
                    file: file, line: line,
                    reason: "there is text between a closing quote and the next comma",
                    hint: "Inside a quoted field write \"\" for a quote")
            }
        }
        guard let header = rows.first else { return [] }
        if let twice = header.fields.first(where: { name in header.fields.count { $0 == name } > 1 }) {
            throw RecordFileError(
                file: file, line: header.line, reason: "the column \"\(twice)\" appears twice",
                hint: "Rename one of them")
        }
        var found: [Found] = []
        for row in rows.dropFirst() {
            guard row.fields.count == header.fields.count else {
                throw RecordFileError(
                    file: file, line: row.line,
                    reason: "the row has \(row.fields.count) fields, the header \(header.fields.count)",
                    hint: "Quote fields that hold commas or line breaks")
            }
            let members = zip(header.fields, row.fields).map { JSON.Member($0, .string($1)) }
            found.append((.object(members), row.line, nil))
        }
        return found
    }

    private func records(of value: JSON) throws(RecordFault) -> [Record] {
        if format == .naturalInstructions, value["Instances"] != nil { return try Self.task(value) }
        let named = try Record(json: renamed(value))
        guard case .instruction(let instruction, var input, var output) = named.content else {
            return [named]
        }
        if writesNone, !Record.hasInput(value) { input = "None" }
        var category = named.category
        switch format {
        case .gsm8k:
            let steps = output.split(separator: "\n").count { !$0.hasPrefix("####") }
            category = category ?? "steps-\(steps)"
            output = Self.withoutCalculator(output).replacing("#### ", with: "The answer is ")
        case .codeAlpaca:
            category = category ?? ProgrammingLanguage.named(in: instruction + " " + input)
        case .naturalInstructions:
            // "Question Generation 1385.json" names one task of the category.
            category = category.map { name in
                String(name.split(separator: " ").filter { !$0.hasSuffix(".json") }.joined(separator: " "))
            }
        case .json, .csv, .alpaca, .dolly: break
        }
        return [
            Record(.instruction(instruction: instruction, input: input, output: output), category: category)
        ]
    }

    /// The object with the chosen names put in place of its own.
    private func renamed(_ value: JSON) throws(RecordFault) -> JSON {
        guard !fields.isEmpty, value.members != nil else { return value }
        var members: [JSON.Member] = []
        for name in Self.fieldNames {
            guard let own = fields[name] else {
                if let known = value[name] { members.append(.init(name, known)) }
                continue
            }
            guard let found = value[own] else { throw .noField(own) }
            members.append(.init(name, found))
        }
        return .object(members)
    }

    /// A task file of Natural Instructions: one definition, many instances with several right answers each, of
    /// which the first is learned.
    private static func task(_ value: JSON) throws(RecordFault) -> [Record] {
        func first(_ key: String) -> String? { value[key]?.string ?? value[key]?.array?.first?.string }
        guard let definition = first("Definition") else { throw .noInstruction }
        var records: [Record] = []
        for instance in value["Instances"]?.array ?? [] {
            guard let answer = instance["output"]?.string ?? instance["output"]?.array?.first?.string else {
                throw .noOutput
            }
            records.append(
                Record(
                    .instruction(
                        instruction: definition, input: instance["input"]?.string ?? "", output: answer),
                    category: first("Categories")))
        }
        return records
    }

    /// GSM8K's `<<16-3-4=9>>` left out.
    static func withoutCalculator(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        while let open = rest.range(of: "<<"), let close = rest.range(of: ">>", in: open.upperBound) {
            result += rest[..<open.lowerBound]
            rest = rest[close.upperBound...]
        }
        return result + rest
    }
}

extension Substring {
    /// The first place of `text`, from `start` on.
    fileprivate func range(of text: String, in start: Index? = nil) -> Range<Index>? {
        self[(start ?? startIndex)...].firstRange(of: text)
    }
}

/// The programming languages that CodeAlpaca's tasks name; its `meta` split goes by them.
enum ProgrammingLanguage {
    private static let names: [(word: String, name: String)] = [
        ("c++", "C++"), ("c#", "C#"), ("javascript", "JavaScript"), ("typescript", "TypeScript"),
        ("java", "Java"), ("python", "Python"), ("html", "HTML"), ("css", "CSS"), ("sql", "SQL"),
        ("php", "PHP"), ("ruby", "Ruby"), ("swift", "Swift"), ("golang", "Go"), ("go", "Go"),
        ("rust", "Rust"),
        ("scala", "Scala"), ("kotlin", "Kotlin"), ("perl", "Perl"), ("matlab", "MATLAB"), ("r", "R"),
        ("bash", "Shell"), ("shell", "Shell"), ("c", "C"),
    ]

    /// The first of them that stands as a word of its own; `other` if none does.
    static func named(in text: String) -> String {
        let words = Set(
            text.lowercased().split { !$0.isLetter && !$0.isNumber && $0 != "+" && $0 != "#" }.map(
                String.init))
        return names.first { words.contains($0.word) }?.name ?? "other"
    }
}
