import Models
import Testing

@Suite struct TokenizerTrainerTests {
    static func vector() throws -> (corpus: [String], json: JSON) {
        let json = try Fixtures.json(Fixtures.vectors + "/tokenizers/trainer.json")
        return (json["corpus"]!.array!.map { $0.string! }, json)
    }

    @Test func learnsTheVocabularyThatTheTokenizersPackageLearns() throws {
        let (corpus, expected) = try Self.vector()
        let trainer = BPETrainer(
            vocabularySize: expected["vocabulary_size"]!.integer!, specialTokens: ["<|endoftext|>"],
            countMin: 0)
        let model = trainer.train(corpus)["model"]!
        let merges = model["merges"]!.array!.map { $0.array!.map { $0.string! } }
        let expectedMerges = expected["merges"]!.array!.map { $0.array!.map { $0.string! } }
        #expect(merges == expectedMerges)
        let expectedIDs = Dictionary(
            uniqueKeysWithValues: expected["vocab"]!.members!.map { (Array($0.key.utf8), $0.value.integer!) })
        let ids = Dictionary(
            uniqueKeysWithValues: model["vocab"]!.members!.map { (Array($0.key.utf8), $0.value.integer!) })
        #expect(ids == expectedIDs)
    }

    @Test func theOrderOfTextsDoesNotMatter() throws {
        let (corpus, _) = try Self.vector()
        let trainer = BPETrainer(vocabularySize: 400, specialTokens: ["<a>", "<b>"], beginToken: "<a>")
        #expect(trainer.train(corpus).text() == trainer.train(corpus.reversed()).text())
    }

    @Test func trainedTokenizersRoundTripEveryByteAndBeginTexts() throws {
        let (corpus, _) = try Self.vector()
        let trainer = BPETrainer(vocabularySize: 300, specialTokens: ["<a>", "<b>"], beginToken: "<b>")
        let tokenizer = Tokenizer(trained: trainer.train(corpus))
        #expect(tokenizer.vocabularySize == 300)
        let text = String(scalarsBelow: 0x3000)
        let ids = tokenizer.encode(text)
        #expect(ids.first == 1)
        #expect(same(tokenizer.decode(ids, skipSpecialTokens: true), text))
        #expect(tokenizer.encode("7788", addSpecialTokens: false).count == 4)
    }

    @Test func stopsWhenTheTextsHaveNoFrequentPairLeft() {
        let trainer = BPETrainer(vocabularySize: 1000, specialTokens: ["<a>"], countMin: 2)
        let document = trainer.train(["ab ab", "xy"])
        #expect(document["model"]!["merges"]!.array!.count == 1)
    }
}

extension String {
    /// All scalars below a bound, surrogates aside.
    fileprivate init(scalarsBelow bound: UInt32) {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: (0..<bound).compactMap(Unicode.Scalar.init))
        self.init(view)
    }
}
