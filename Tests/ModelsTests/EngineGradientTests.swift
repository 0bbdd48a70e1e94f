import Models
import Testing

@Suite("Engine gradients against finite differences of a double-precision twin")
struct EngineGradientTests {
    static let graphs = [
        engineConfiguration(),
        engineConfiguration(keyValueHeads: 4, tied: false, biased: true),
        engineConfiguration(keyValueHeads: 1, tied: false, layers: 1),
    ]

    /// float32 against central differences with step 1e-5 in float64: the float side dominates.
    static let tolerance = 2e-5

    func centralDifference(
        _ reference: EngineReference, _ path: WritableKeyPath<EngineReference, [Double]>, _ index: Int,
        _ loss: (EngineReference) -> Double
    ) -> Double {
        var above = reference
        var below = reference
        above[keyPath: path][index] += 1e-5
        below[keyPath: path][index] -= 1e-5
        return (loss(above) - loss(below)) / 2e-5
    }

    @Test("losses equal the twin's", arguments: graphs)
    func lossesAgree(graph: ModelConfiguration) throws {
        let model = engineModel(graph, seed: 1)
        let reference = EngineReference(graph, weights: model.flatWeights.map(Double.init))
        let examples = engineExamples(6, vocabulary: graph.vocabularySize, lengths: 2...9, seed: 2)
        for (score, example) in zip(try Evaluator(model: model).losses(examples), examples) {
            #expect(abs(score.loss - reference.loss(example)) < 4e-6)
            #expect(score.tokens == example.targetCount)
        }
    }

    @Test("each record's adapter gradient, for every part and set of modules", arguments: graphs)
    func recordGradientsAgree(graph: ModelConfiguration) throws {
        let model = engineModel(graph, seed: 3)
        let examples = engineExamples(3, vocabulary: graph.vocabularySize, lengths: 3...6, seed: 4)
        let moduleSets: [[LinearModule]] = [
            graph.linearModules, [.query, .value], [.gate, .down], [.output], [.key, .up],
        ]
        for modules in moduleSets {
            let configuration = LoRAConfiguration(rank: 2, alpha: 3, targetModules: modules)
            let adapter = engineAdapter(configuration, base: graph, seed: 5)
            var reference = EngineReference(graph, weights: model.flatWeights.map(Double.init))
            reference.lora = (configuration, adapter.values.map(Double.init))
            let expected = examples.map { example in
                adapter.values.indices.map { index in
                    centralDifference(reference, \.loraValues, index) { $0.loss(example) }
                }
            }
            for part in TrainablePart.allCases {
                var seen = 0
                try TrainingEngine(model: model, threads: 1).perRecordGradients(
                    of: examples, adapter: adapter, part: part
                ) { index, gradient, loss in
                    #expect(index == seen)
                    seen += 1
                    #expect(abs(Double(loss) - reference.loss(examples[index])) < 4e-6)
                    var ofPart = [Double](repeating: 0, count: adapter.count(part))
                    adapter.layout.forEachRun(of: part) { flat, inPart in
                        ofPart.replaceSubrange(inPart, with: expected[index][flat])
                    }
                    #expect(gradient.count == ofPart.count)
                    #expect(engineDistance(gradient, ofPart) < Self.tolerance)
                }
                #expect(seen == examples.count)
            }
        }
    }

    @Test("the gradient of all weights, as pretraining uses it", arguments: graphs)
    func weightGradientsAgree(graph: ModelConfiguration) throws {
        let model = engineModel(graph, seed: 6)
        let examples = engineExamples(2, vocabulary: graph.vocabularySize, lengths: 3...5, seed: 7)
        let reference = EngineReference(graph, weights: model.flatWeights.map(Double.init))
        let tokens = Double(examples.reduce(0) { $0 + $1.targetCount })
        let (loss, gradient) = try Pretrainer(training: Pretraining(steps: 1), threads: 1)
            .gradient(of: examples, model)
        func mean(_ reference: EngineReference) -> Double {
            examples.reduce(0) { $0 + reference.loss($1) * Double($1.targetCount) } / tokens
        }
        #expect(abs(loss - mean(reference)) < 4e-6)
        for tensor in model.layout.tensors {
            let expected = tensor.range.map { centralDifference(reference, \.weights, $0, mean) }
            #expect(
                engineDistance(gradient[tensor.range], expected) < Self.tolerance, "\(tensor.name)")
        }
    }

    @Test("with B zero, A's gradient is exactly zero and the loss is the base's")
    func freshAdapterChangesNothing() throws {
        let graph = engineConfiguration()
        let model = engineModel(graph, seed: 8)
        var generator = SplitMix64(seed: 9)
        let adapter = LoRAAdapter(
            configuration: LoRAConfiguration(rank: 3, alpha: 6, targetModules: graph.linearModules),
            base: graph, generator: &generator)
        let examples = engineExamples(4, vocabulary: graph.vocabularySize, lengths: 4...9, seed: 10)
        let engine = TrainingEngine(model: model)
        let result = try engine.lossAndGradient(of: examples, adapter: adapter, part: .aOnly)
        #expect(result.gradient.allSatisfy { $0 == 0 })
        // The batch sums losses times float32 weights, so the two means differ by their rounding.
        let base = try Evaluator(model: model).meanLoss(examples)
        #expect(abs(result.loss - base.loss) < 2e-6 && result.tokens == base.tokens)
        let forB = try engine.lossAndGradient(of: examples, adapter: adapter, part: .bOnly)
        #expect(forB.gradient.contains { $0 != 0 })
    }
}

extension EngineReference {
    var loraValues: [Double] {
        get { lora!.values }
        set { lora!.values = newValue }
    }
}
