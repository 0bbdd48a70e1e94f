import Models
import Testing

@Suite("The engine refuses what does not fit, before it starts")
struct EngineRefusalTests {
    static let graph = engineConfiguration(vocabulary: 19, positions: 16)
    static let model = engineModel(graph, seed: 51)
    static let adapter = engineAdapter(
        LoRAConfiguration(rank: 2, alpha: 2, targetModules: [.query]), base: graph, seed: 52)

    func expectRefusal(_ examples: [TokenizedExample], _ expected: EngineError) throws {
        var calls = 0
        let engine = TrainingEngine(model: Self.model, threads: 1)
        #expect(throws: expected) {
            try engine.perRecordGradients(of: examples, adapter: Self.adapter, part: .bOnly) { _, _, _ in
                calls += 1
            }
        }
        #expect(calls == 0)
        #expect(throws: expected) {
            try engine.lossAndGradient(of: examples, adapter: Self.adapter, part: .bOnly)
        }
        #expect(throws: expected) { try Evaluator(model: Self.model).meanLoss(examples) }
    }

    @Test("no examples, nothing to predict, too long, ids outside the vocabulary")
    func badExamples() throws {
        let good = TokenizedExample(tokens: [1, 2, 3])
        try expectRefusal([], .noExamples)
        try expectRefusal(
            [good, TokenizedExample(tokens: [1])],
            .nothingToPredict(example: 1, tokens: 1, targetStart: 1))
        try expectRefusal(
            [good, TokenizedExample(tokens: [1, 2], targetStart: 2)],
            .nothingToPredict(example: 1, tokens: 2, targetStart: 2))
        try expectRefusal(
            [TokenizedExample(tokens: [Int32](repeating: 1, count: 17))],
            .sequenceTooLong(example: 0, tokens: 17, window: 16))
        try expectRefusal(
            [good, TokenizedExample(tokens: [1, 19])],
            .tokenOutOfRange(example: 1, position: 1, token: 19, vocabulary: 19))
        try expectRefusal(
            [TokenizedExample(tokens: [-1, 2])],
            .tokenOutOfRange(example: 0, position: 0, token: -1, vocabulary: 19))
    }

    @Test("an adapter of another base")
    func foreignAdapter() throws {
        let other = engineAdapter(
            Self.adapter.configuration, base: engineConfiguration(layers: 3), seed: 53)
        let expected = EngineError.adapterDoesNotFit(
            expected: Self.adapter.layout.count, found: other.layout.count)
        #expect(throws: expected) { try Evaluator(model: Self.model, adapter: other) }
        #expect(throws: expected) {
            try TrainingEngine(model: Self.model).lossAndGradient(
                of: [TokenizedExample(tokens: [1, 2])], adapter: other, part: .bOnly)
        }
    }

    @Test("an empty prompt")
    func emptyPrompt() throws {
        #expect(throws: EngineError.emptyPrompt(prompt: 1)) {
            try Evaluator(model: Self.model).generate(prompts: [[1], []], maxNewTokens: 2)
        }
    }

    @Test("what a callback throws stops the loop and comes through")
    func callbackErrors() throws {
        struct Enough: Error {}
        var calls = 0
        #expect(throws: Enough.self) {
            try TrainingEngine(model: Self.model).perRecordGradients(
                of: [TokenizedExample](repeating: TokenizedExample(tokens: [1, 2, 3]), count: 5),
                adapter: Self.adapter, part: .bOnly
            ) { _, _, _ in
                calls += 1
                if calls == 2 { throw Enough() }
            }
        }
        #expect(calls == 2)
    }

    @Test("messages name the record and one way out")
    func messages() {
        #expect("\(EngineError.sequenceTooLong(example: 3, tokens: 70, window: 64))".contains("example 3"))
        #expect("\(EngineError.noExamples)".contains("split"))
    }
}
