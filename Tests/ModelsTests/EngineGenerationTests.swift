import Models
import Testing

@Suite("Generation with cached keys and values")
struct EngineGenerationTests {
    static let graph = engineConfiguration(vocabulary: 40, positions: 48)
    static let model = engineModel(graph, seed: 31)
    static let adapter = engineAdapter(
        LoRAConfiguration(rank: 2, alpha: 4, targetModules: graph.linearModules), base: graph, seed: 32)

    static var prompts: [[Int32]] {
        engineExamples(70, vocabulary: 40, lengths: 1...20, seed: 33).map(\.tokens)
    }

    /// Greedy continuation by running the whole sequence again for every token.
    func slow(_ prompt: [Int32], _ count: Int, _ model: LanguageModel) throws -> [Int32] {
        var tokens = prompt
        while tokens.count < prompt.count + count, tokens.count < model.configuration.sequenceLengthMax {
            let logits = try model.logits(of: tokens).suffix(model.configuration.vocabularySize)
            tokens.append(Int32(logits.firstIndex(of: logits.max()!)! - logits.startIndex))
        }
        return Array(tokens[prompt.count...])
    }

    @Test("greedy text is what repeated full passes give, for every prompt of a mixed batch")
    func greedyAgrees() throws {
        let texts = try Evaluator(model: Self.model).generate(prompts: Self.prompts, maxNewTokens: 12)
        for (prompt, text) in zip(Self.prompts, texts) {
            #expect(text == (try slow(prompt, 12, Self.model)))
        }
    }

    @Test("an adapter changes the text, and threads do not")
    func adapterAndThreads() throws {
        let plain = try Evaluator(model: Self.model).generate(prompts: Self.prompts, maxNewTokens: 12)
        let adapted = try (1...2).map {
            try Evaluator(model: Self.model, adapter: Self.adapter, threads: $0)
                .generate(prompts: Self.prompts, maxNewTokens: 12)
        }
        #expect(adapted[0] == adapted[1])
        #expect(adapted[0] != plain)
    }

    @Test("text ends before the stop token, at the limit, and at the model's window")
    func textEnds() throws {
        let evaluator = try Evaluator(model: Self.model)
        let free = try evaluator.generate(prompts: [Self.prompts[3]], maxNewTokens: 12)[0]
        let stop = free[5]
        let stopped = try evaluator.generate(
            prompts: [Self.prompts[3]], maxNewTokens: 12, stopToken: stop)[0]
        #expect(stopped == Array(free.prefix { $0 != stop }))
        #expect(try evaluator.generate(prompts: [[1, 2]], maxNewTokens: 0) == [[]])
        let long = [Int32](repeating: 7, count: 45)
        #expect(try evaluator.generate(prompts: [long], maxNewTokens: 10)[0].count == 3)
        #expect(try evaluator.generate(prompts: [long + [1, 2, 3]], maxNewTokens: 10) == [[]])
        #expect(try evaluator.generate(prompts: [], maxNewTokens: 10) == [])
    }

    @Test("sampled text repeats with its seed and is as likely as softmax says")
    func samplingFollowsSoftmax() throws {
        let evaluator = try Evaluator(model: Self.model)
        func sample(_ seed: UInt64, _ count: Int) throws -> [[Int32]] {
            var generator = SplitMix64(seed: seed)
            return try evaluator.generate(
                prompts: [[Int32]](repeating: [5, 9, 2], count: count),
                sampling: Sampling(maxNewTokens: 1, temperature: 1.5), generator: &generator)
        }
        #expect(try sample(1, 40) == sample(1, 40))
        #expect(try sample(1, 40) != sample(2, 40))

        // Pearson's χ² over the tokens expected at least five times. Seed fixed, so no false alarms; for
        // a random seed the bound (mean + 6 deviations) would be passed less than once in 10⁵ runs.
        let draws = 4000
        let logits = try Self.model.logits(of: [5, 9, 2]).suffix(40).map { Double($0) / 1.5 }
        let exponentials = logits.map { engineExp($0 - logits.max()!) }
        let total = exponentials.reduce(0, +)
        var counts = [Int](repeating: 0, count: 40)
        for text in try sample(3, draws) { counts[Int(text[0])] += 1 }
        var (statistic, cells) = (0.0, 0)
        for (count, weight) in zip(counts, exponentials) {
            let expected = Double(draws) * weight / total
            if expected < 5 { continue }
            statistic += (Double(count) - expected) * (Double(count) - expected) / expected
            cells += 1
        }
        #expect(cells > 5)
        #expect(statistic < Double(cells) + 6 * (2 * Double(cells)).squareRoot())
    }
}
