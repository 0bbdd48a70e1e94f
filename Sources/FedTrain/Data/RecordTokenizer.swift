import Models

/// Turns records into sequences to learn from, and says which ones it could not use.
///
/// An instruction record becomes: the tokenizer's begin tokens, the prompt, the answer, the end
/// token; only answer and end token are predicted. With `chat` it becomes what the model's chat template
/// makes of it, and everything after the opening of the assistant's turn is predicted. A text record becomes
/// what the tokenizer itself makes of it, special tokens included; every token after the first is predicted.
public struct RecordTokenizer: Sendable {
    public let tokenizer: Tokenizer
    public let template: PromptTemplate
    /// Longest sequence, in tokens; at most the model's window.
    public let tokensMax: Int
    public let overlong: OverlongPolicy
    /// Ends an answer; none if the model has none. A chat template writes its own end.
    public let endToken: Int32?
    private let chat: ChatTemplate?

    /// - Parameter endToken: nil for the one that the tokenizer names.
    /// - Throws: `CheckpointError` if `chat` is asked for and the model has no chat template that this version
    ///   can run on a question and its answer.
    public init(
        tokenizer: Tokenizer, template: PromptTemplate, tokensMax: Int = .max,
        overlong: OverlongPolicy = .truncate, endToken: Int32? = nil
    ) throws(CheckpointError) {
        precondition(tokensMax >= 4)
        self.tokenizer = tokenizer
        self.template = template
        self.tokensMax = tokensMax
        self.overlong = overlong
        self.endToken = endToken ?? tokenizer.endTokenID
        chat = template == .chat ? try tokenizer.chatTemplate() : nil
        _ = try chat?.turn(question: "question", answer: "answer")
    }

    /// The tokens of a record, uncut; what `examples` learns from when there is room.
    /// - Throws: `CheckpointError` if the model's chat template refuses the record.
    public func ids(of record: Record) throws(CheckpointError) -> [Int32] {
        try sequence(record).tokens
    }

    /// What generation starts from: begin tokens and prompt; of a text record its tokens. A prompt
    /// longer than `tokensMax` less the room for the answer loses its start.
    /// - Throws: `CheckpointError` if the model's chat template refuses the record.
    public func promptTokens(
        _ record: Record, leavingRoomFor answerTokens: Int = 0
    ) throws(CheckpointError) -> [Int32] {
        var begin = tokenizer.beginTokens
        let text: String
        switch record.content {
        case .text(let whole): text = whole
        case .instruction(let instruction, let input, _):
            let question = template.prompt(instruction: instruction, input: input)
            text = try chat?.opening(question: question) ?? question
            // The template writes the begin token itself.
            if chat != nil { begin = [] }
        }
        let prompt = tokenizer.encode(text, addSpecialTokens: false)
        return begin + prompt.suffix(max(1, tokensMax - begin.count - answerTokens))
    }

    /// Tokens before the answer, begin tokens included, uncut.
    func promptLength(_ record: Record) throws(CheckpointError) -> Int { try sequence(record).targetStart }

    /// The usable records as examples, in their order.
    public func examples(_ records: [Record]) -> TokenizedRecords {
        var result = TokenizedRecords()
        for (index, record) in records.enumerated() {
            switch example(record) {
            case .usable(let example, let isTruncated):
                result.examples.append(example)
                result.indices.append(index)
                if isTruncated { result.truncatedCount += 1 }
            case .unusable(let reason):
                result.unusableCounts[reason, default: 0] += 1
            }
        }
        return result
    }

    enum Outcome: Equatable {
        case usable(TokenizedExample, isTruncated: Bool)
        case unusable(TokenizedRecords.Reason)
    }

    func example(_ record: Record) -> Outcome {
        if case .instruction(_, _, let output) = record.content, output.allSatisfy(\.isWhitespace) {
            return .unusable(.emptyAnswer)
        }
        guard let (tokens, targetStart) = try? sequence(record) else {
            return .unusable(.refusedByTemplate)
        }
        guard tokens.count > max(1, targetStart) else { return .unusable(.nothingToPredict) }
        if tokens.count <= tokensMax {
            return .usable(TokenizedExample(tokens: tokens, targetStart: targetStart), isTruncated: false)
        }
        switch overlong {
        case .drop: return .unusable(.tooLong)
        case .truncate:
            // A chat without its opening is no chat: only the answer can give way.
            if chat != nil, targetStart >= tokensMax { return .unusable(.tooLong) }
            return .usable(truncated(tokens, targetStart), isTruncated: true)
        }
    }

    /// All tokens of a record and where its targets start.
    private func sequence(
        _ record: Record
    ) throws(CheckpointError) -> (tokens: [Int32], targetStart: Int) {
        switch record.content {
        case .text(let text):
            return (tokenizer.encode(text), 1)
        case .instruction(let instruction, let input, let output):
            let text = template.prompt(instruction: instruction, input: input)
            if let chat {
                let (opening, whole) = try chat.turn(question: text, answer: output)
                // Where prompt and answer meet within a token, that token is learned.
                let tokens = tokenizer.encode(whole, addSpecialTokens: false)
                let prompt = tokenizer.encode(opening, addSpecialTokens: false)
                return (tokens, zip(tokens, prompt).prefix { $0 == $1 }.count)
            }
            let begin = tokenizer.beginTokens
            let prompt = begin + tokenizer.encode(text, addSpecialTokens: false)
            let body =
                template.isTokenizedAsOneText
                ? begin + tokenizer.encode(text + output, addSpecialTokens: false)
                : prompt + tokenizer.encode(output, addSpecialTokens: false)
            let end = endToken.map { [$0] } ?? []
            return (body + end, template == .text ? 1 : prompt.count)
        }
    }

    /// Begin tokens stay; the prompt loses its start, down to half of the room; the rest is cut at the
    /// end.
    private func truncated(_ tokens: [Int32], _ targetStart: Int) -> TokenizedExample {
        let begin = tokenizer.beginTokens
        guard chat == nil, targetStart > 1, tokens.starts(with: begin), begin.count < tokensMax / 2 else {
            // At least one target stays, whatever the prompt's length.
            return TokenizedExample(
                tokens: Array(tokens.prefix(tokensMax)), targetStart: min(targetStart, tokensMax - 1))
        }
        let prompt = tokens[begin.count..<max(begin.count, targetStart)]
        let answer = tokens[max(begin.count, targetStart)...]
        let room = tokensMax - begin.count
        let promptKept = min(prompt.count, max(room / 2, room - answer.count))
        let kept = begin + prompt.suffix(promptKept) + answer.prefix(room - promptKept)
        return TokenizedExample(tokens: kept, targetStart: begin.count + promptKept)
    }
}

/// Records that became examples, and counts of those that did not.
public struct TokenizedRecords: Sendable, Equatable {
    public enum Reason: String, Sendable, CaseIterable {
        /// The answer is missing or white space.
        case emptyAnswer = "empty answer"
        /// Less than two tokens.
        case nothingToPredict = "nothing to predict"
        /// Longer than allowed, and such records are dropped.
        case tooLong = "too long"
        /// The model's chat template does not take it.
        case refusedByTemplate = "refused by the chat template"
    }

    public fileprivate(set) var examples: [TokenizedExample] = []
    /// Which record each example comes from.
    public fileprivate(set) var indices: [Int] = []
    /// Examples that were cut to fit.
    public fileprivate(set) var truncatedCount = 0
    public fileprivate(set) var unusableCounts: [Reason: Int] = [:]

    public var unusableCount: Int { unusableCounts.values.reduce(0, +) }

    /// For example `120 records: 117 usable (4 truncated), 3 not (2 empty answer, 1 too long)`.
    public var summary: String {
        let usable = examples.count
        var text = "\(usable + unusableCount) records: \(usable) usable"
        if truncatedCount > 0 { text += " (\(truncatedCount) truncated)" }
        guard unusableCount > 0 else { return text }
        let reasons = Reason.allCases.compactMap { reason in
            unusableCounts[reason].map { "\($0) \(reason.rawValue)" }
        }
        return text + ", \(unusableCount) not (\(reasons.joined(separator: ", ")))"
    }
}
