/// A question with answers to choose from.
public struct MultipleChoice: Sendable, Equatable {
    public let context: String
    public let choices: [String]
    /// Index of the right choice.
    public let answer: Int

    public init(context: String, choices: [String], answer: Int) {
        precondition(choices.indices.contains(answer), "the answer is one of the choices")
        self.context = context
        self.choices = choices
        self.answer = answer
    }
}

/// Shares of questions answered right, by the rules of EleutherAI's lm-evaluation-harness.
public struct MultipleChoiceScore: Sendable, Equatable {
    /// The choice with the largest log-likelihood.
    public let accuracy: Double
    /// The same with each log-likelihood divided by the choice's length in Unicode scalars (`acc_norm`).
    public let normalisedAccuracy: Double
    /// And divided by its length in UTF-8 bytes (`acc_bytes`).
    public let bytesAccuracy: Double
    public let count: Int

    /// - Parameter logLikelihoods: of every choice of every question.
    public init(_ questions: [MultipleChoice], logLikelihoods: [[Double]]) {
        precondition(questions.count == logLikelihoods.count)
        var (plain, normalised, bytes) = (0, 0, 0)
        for (question, sums) in zip(questions, logLikelihoods) {
            func isRight(_ lengths: [Int]) -> Bool {
                let scores = zip(sums, lengths).map { $0 / Double($1) }
                // The first of equals, as numpy's argmax has it.
                return scores.firstIndex(of: scores.max() ?? 0) == question.answer
            }
            if isRight(sums.map { _ in 1 }) { plain += 1 }
            if isRight(question.choices.map { $0.unicodeScalars.count }) { normalised += 1 }
            if isRight(question.choices.map { $0.utf8.count }) { bytes += 1 }
        }
        let total = Double(max(1, questions.count))
        accuracy = Double(plain) / total
        normalisedAccuracy = Double(normalised) / total
        bytesAccuracy = Double(bytes) / total
        count = questions.count
    }
}

extension MultipleChoice {
    /// The tokens of context and one choice, and where the choice starts.
    ///
    /// Both are encoded together and split at the length of the context's own encoding; white space at
    /// the context's end goes with the choice, which a space precedes. A context that is too long loses
    /// its start; an empty one is `prefix`.
    package func tokens(
        choice: String, tokenizer: Tokenizer, window: Int, prefix: [Int32]
    ) -> TokenizedExample {
        let trailing = context.unicodeScalars.reversed().prefix { $0.properties.isWhitespace }.count
        let head = String(String.UnicodeScalarView(context.unicodeScalars.dropLast(trailing)))
        let tail = String(String.UnicodeScalarView(context.unicodeScalars.suffix(trailing)))
        let continuation = tail + " " + choice
        if head.isEmpty {
            let body = tokenizer.encode(continuation, addSpecialTokens: false)
            return Self.cut(prefix + body, targetStart: prefix.count, window: window)
        }
        let whole = tokenizer.encode(head + continuation)
        return Self.cut(whole, targetStart: tokenizer.encode(head).count, window: window)
    }

    private static func cut(_ tokens: [Int32], targetStart: Int, window: Int) -> TokenizedExample {
        let lost = max(0, tokens.count - window)
        return TokenizedExample(
            tokens: Array(tokens.dropFirst(lost)), targetStart: max(1, targetStart - lost))
    }
}

extension Evaluator {
    /// Σ log p of every choice's tokens after its context.
    /// - Parameter prefix: stands for an empty context: the tokenizer's begin or end token.
    /// - Throws: `EngineError` for a choice without a token.
    public func logLikelihoods(
        _ questions: [MultipleChoice], tokenizer: Tokenizer, prefix: [Int32]
    ) throws(EngineError) -> [[Double]] {
        let window = model.configuration.sequenceLengthMax - adapted.virtualTokens
        var examples: [TokenizedExample] = []
        for question in questions {
            for choice in question.choices {
                examples.append(
                    question.tokens(
                        choice: choice, tokenizer: tokenizer, window: window, prefix: prefix))
            }
        }
        var sums = try losses(examples).map { -$0.loss * Double($0.tokens) }[...]
        return questions.map { question in
            defer { sums = sums.dropFirst(question.choices.count) }
            return Array(sums.prefix(question.choices.count))
        }
    }
}
