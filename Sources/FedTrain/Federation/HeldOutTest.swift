import Models

/// What every model of a comparison is scored on; never trained on by anyone.
public enum HeldOutTest: Sendable {
    /// Greedy answers to prompts, compared with references byte for byte.
    case exactMatch(prompts: [[Int32]], references: [String])
    /// Mean cross-entropy over the predicted tokens, natural logarithm.
    case loss([TokenizedExample])

    /// A score and on how many records (or tokens, for a loss) it rests.
    public struct Score: Sendable, Equatable {
        public let metric: String
        public let value: Double
        public let count: Int
        public let higherIsBetter: Bool
    }

    /// Longest answer that is generated, in tokens.
    static let answerTokensMax = 40

    public func score(base: BaseModel, adapter: LoRAAdapter) throws -> Score {
        try score(base: base, adapter: .lora(adapter))
    }

    /// - Parameter adapter: of any kind; nil scores the base alone.
    public func score(base: BaseModel, adapter: Adapter?) throws -> Score {
        switch self {
        case .loss(let examples):
            let result = try Evaluator(model: base.model, adapter: adapter).meanLoss(examples)
            return Score(metric: "loss", value: result.loss, count: result.tokens, higherIsBetter: false)
        case .exactMatch(_, let references):
            let score = NoteScore.score(
                answers: try answers(base: base, adapter: adapter), references: references)
            return Score(
                metric: "exact match", value: score.accuracy, count: references.count, higherIsBetter: true)
        }
    }

    /// Greedy answers to the prompts, in order; none where the test has no prompts.
    func answers(base: BaseModel, adapter: Adapter?) throws -> [String] {
        guard case .exactMatch(let prompts, _) = self else { return [] }
        // Greedy decoding draws nothing from the generator.
        var unused = SplitMix64(seed: 0)
        let answers = try Evaluator(model: base.model, adapter: adapter).generate(
            prompts: prompts,
            sampling: Sampling(maxNewTokens: Self.answerTokensMax, stopTokens: Set(base.endTokens)),
            generator: &unused)
        return answers.map { base.tokenizer.decode($0, skipSpecialTokens: true) }
    }
}
