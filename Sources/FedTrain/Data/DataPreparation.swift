import Models

/// Turns published data sets into records that can be trusted, and says what it found and left out.
///
/// Nothing is fetched: files are what the user has. Nothing is left out silently.
public struct DataPreparation: Sendable {
    /// Keeps records that occur twice; they are counted either way.
    public var keepsDuplicates = false

    public init() {}

    /// The records in order, without empty answers and (unless kept) without repetitions.
    public func prepare(_ found: [Record]) -> (records: [Record], report: PreparationReport) {
        var report = PreparationReport(read: found.count)
        var seen: Set<[UInt8]> = []
        var answers: [[UInt8]: [UInt8]] = [:]
        var kept: [Record] = []
        for record in found {
            if record.hasEmptyAnswer {
                report.emptyAnswers += 1
                continue
            }
            let fingerprint = record.fingerprint.bytes
            let isNew = seen.insert(fingerprint).inserted
            if !isNew { report.duplicates += 1 }
            let prompt = record.promptFingerprint.bytes
            if let earlier = answers[prompt], earlier != fingerprint { report.contradictions += 1 }
            answers[prompt] = fingerprint
            guard isNew || keepsDuplicates else { continue }
            if case .instruction(_, let input, _) = record.content, input == "None" { report.noneInputs += 1 }
            kept.append(record)
        }
        report.kept = kept.count
        report.categories = kept.categoryCounts
        return (kept, report)
    }
}

/// What preparing a data set found. Counts only.
public struct PreparationReport: Sendable, Equatable {
    public let read: Int
    public internal(set) var kept = 0
    /// Answers that are missing or white space; always left out.
    public internal(set) var emptyAnswers = 0
    /// Records that say the same as an earlier one, up to white space and letter case.
    public internal(set) var duplicates = 0
    /// Records that answer an earlier record's prompt differently.
    public internal(set) var contradictions = 0
    /// Records whose input is the word `None`: FS-LLM's defect, or a data set that went through it.
    public internal(set) var noneInputs = 0
    /// Records of each category, categories in the order of their bytes; "" for none.
    public internal(set) var categories: [(name: String, count: Int)] = []

    public static func == (left: PreparationReport, right: PreparationReport) -> Bool {
        left.lines == right.lines
    }

    /// The report for people, a fact a line.
    public var lines: [String] {
        var lines = ["\(read) records read, \(kept) kept"]
        if emptyAnswers > 0 { lines.append("\(emptyAnswers) left out: empty answer") }
        if duplicates > 0 {
            lines.append(
                "\(duplicates) repeat an earlier record"
                    + (read - emptyAnswers == kept ? " (kept)" : ", left out"))
        }
        if contradictions > 0 {
            lines.append("\(contradictions) answer an earlier prompt differently (kept)")
        }
        if noneInputs > 0 { lines.append("\(noneInputs) have the word None as their input") }
        let named = categories.filter { !$0.name.isEmpty }
        if named.isEmpty {
            lines.append("no categories")
        } else {
            let largest = named.sorted { $0.count > $1.count }.prefix(6)
                .map { "\($0.name) \($0.count)" }.joined(separator: ", ")
            lines.append("\(named.count) categories: \(largest)\(named.count > 6 ? ", …" : "")")
        }
        return lines
    }
}

/// What a tokenizer and a window do to records: what would be cut, and what nothing could be learned from.
public struct WindowReport: Sendable, Equatable {
    public let records: Int
    /// Longer than the window; the template decides whether they are cut or dropped.
    public let overlong: Int
    /// The prompt alone fills the window, so that nothing would be left to learn (FS-LLM then trains on NaN).
    public let promptFillsWindow: Int
    public let longest: Int
    /// Half of the records are at most this long.
    public let median: Int

    /// - Throws: `CheckpointError` if the model's chat template refuses a record.
    public init(_ records: [Record], tokenizer: RecordTokenizer) throws {
        let lengths = try records.map { try tokenizer.ids(of: $0).count }.sorted()
        self.records = records.count
        overlong = lengths.count { $0 > tokenizer.tokensMax }
        promptFillsWindow = try records.count {
            if case .text = $0.content { return false }
            return try tokenizer.promptLength($0) >= tokenizer.tokensMax
        }
        longest = lengths.last ?? 0
        median = lengths.isEmpty ? 0 : lengths[(lengths.count - 1) / 2]
    }
}

extension Record {
    var hasEmptyAnswer: Bool {
        switch content {
        case .text(let text): text.allSatisfy(\.isWhitespace)
        case .instruction(_, _, let output): output.allSatisfy(\.isWhitespace)
        }
    }
}

extension [Record] {
    /// How many records each category has, in the order of the names' bytes; "" stands for none.
    var categoryCounts: [(name: String, count: Int)] {
        var counts: [String: Int] = [:]
        for record in self { counts[record.category ?? "", default: 0] += 1 }
        return counts.sorted { [UInt8]($0.key.utf8).lexicographicallyPrecedes([UInt8]($1.key.utf8)) }
            .map { ($0.key, $0.value) }
    }
}
