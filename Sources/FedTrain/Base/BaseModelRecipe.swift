import Models

/// How a small base model is made from text: corpus → tokenizer → weights, every number of it.
///
/// The same recipe gives the same files on machines whose linear algebra rounds alike; the built-in
/// model's recipe, seeds and digests stand in `docs/builtin-model.md`.
public struct BaseModelRecipe: Sendable, Equatable {
    public var hidden: Int
    public var intermediate: Int
    public var layers: Int
    public var heads: Int
    public var keyValueHeads: Int
    public var vocabulary: Int
    /// Longest sequence in tokens.
    public var window: Int
    /// Standard deviation of the first weights.
    public var initialDeviation: Double
    public var training: Pretraining
    /// The share of records whose whole text is learned.
    public var wholeTextShare: Double
    /// First weights, and order of the examples.
    public var seed: UInt64
    /// Generated corpus: its seed and how many records of it; not used with a corpus of one's own.
    public var corpusSeed: UInt64
    public var corpusRecords: Int

    /// The recipe of the built-in model.
    public static let builtIn = BaseModelRecipe(
        hidden: 128, intermediate: 352, layers: 4, heads: 4, keyValueHeads: 2, vocabulary: 1024,
        window: 128, initialDeviation: 0.06,
        training: Pretraining(
            steps: 3600, batchTokens: 1200, learningRate: 3e-3, finalRateShare: 0.05, warmUpSteps: 100,
            beta2: 0.98, weightDecay: 0.05),
        wholeTextShare: 0.15, seed: 1, corpusSeed: 20_260, corpusRecords: 150_000)

    /// The end token that every answer closes with.
    public static let endToken = "<|end|>"

    public enum Stage: Sendable {
        case tokenizer(records: Int)
        case training(PretrainingProgress)
    }

    /// Makes the model.
    ///
    /// - Parameters:
    ///   - records: the corpus; nil generates it.
    ///   - progress: returning false stops training and keeps what was learned so far.
    public func make(
        from records: [Record]? = nil, progress: (Stage) -> Bool
    ) throws -> Checkpoint.Contents {
        let corpus =
            records
            ?? PublicCorpus(seed: corpusSeed).prefix(corpusRecords).map { Record($0) }
        _ = progress(.tokenizer(records: corpus.count))
        let document = BPETrainer(vocabularySize: vocabulary, specialTokens: [Self.endToken])
            .train(corpus.lazy.map(Self.text(of:)))
        let tokenizer = Tokenizer(trained: document)
        let end = tokenizer.id(of: Self.endToken)!
        let configuration = ModelConfiguration(
            vocabularySize: tokenizer.vocabularySize, hiddenSize: hidden, intermediateSize: intermediate,
            layerCount: layers, headCount: heads, keyValueHeadCount: keyValueHeads,
            maximumPositions: window, endTokenIDs: [Int(end)])
        let examples = try examples(corpus, tokenizer, end)
        var generator = SplitMix64(seed: seed)
        let start = LanguageModel(
            configuration: configuration, initialisedBy: &generator, deviation: initialDeviation)
        let model = try Pretrainer(training: training).train(start, on: examples, seed: seed) {
            progress(.training($0))
        }
        let tensors = model.layout.tensors.map { tensor in
            model.withTensor(tensor) { numbers in
                SafeTensor(name: tensor.name, shape: tensor.shape, values: Array(numbers), as: .bf16)
            }
        }
        return Checkpoint.Contents(
            configuration: configuration, tensors: tensors, tokenizer: document, beginToken: nil,
            endToken: Self.endToken)
    }

    /// Of a share of the records the whole text is learned, of the others the answer: questions teach
    /// the language slowly and would take most of the training.
    private func examples(
        _ corpus: [Record], _ tokenizer: Tokenizer, _ end: Int32
    ) throws -> [TokenizedExample] {
        func records(_ template: PromptTemplate) throws -> RecordTokenizer {
            try RecordTokenizer(
                tokenizer: tokenizer, template: template, tokensMax: window, endToken: end)
        }
        let whole = try records(.text)
        let answer = try records(.plain)
        var coins = SplitMix64(seed: Self.coinSeed)
        return corpus.flatMap { record in
            let isWhole = Double(coins.next() >> 11) * 0x1p-53 < wholeTextShare
            return (isWhole ? whole : answer).examples([record]).examples
        }
    }

    private static let coinSeed: UInt64 = 5

    private static func text(of record: Record) -> String {
        switch record.content {
        case .text(let text): text
        case .instruction(let instruction, let input, let output):
            PromptTemplate.text.prompt(instruction: instruction, input: input) + output
        }
    }
}
