import Foundation
import Models
import Testing

@Suite("Engine against PyTorch, transformers and peft")
struct EngineTorchTests {
    struct File: Decodable { let cases: [Case] }

    struct Case: Decodable {
        struct Config: Decodable {
            struct Rope: Decodable {
                let rope_type: String
                let rope_theta: Double
                let factor: Double?
                let low_freq_factor: Double?
                let high_freq_factor: Double?
                let original_max_position_embeddings: Int?
            }
            let vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads: Int
            let num_key_value_heads, head_dim, max_position_embeddings: Int
            let tie_word_embeddings: Bool
            let attention_bias, mlp_bias: Bool?
            let rope_parameters: Rope
        }
        struct LoRA: Decodable {
            let rank: Int
            let alpha: Double
            let modules: [LinearModule]
            let rslora: Bool
        }
        let name: String
        let config: Config
        let lora: LoRA
        let records: [EngineVectors.Record]
        let baseLosses: [Double]
        let logits: [Double]
        let weightGradients: [String: [Double]]
        let recordGradients: [EngineVectors.RecordGradient]
        let adamW: EngineVectors.Run
        let sgd: EngineVectors.Run

        var configuration: ModelConfiguration {
            var result = ModelConfiguration(
                vocabularySize: config.vocab_size, hiddenSize: config.hidden_size,
                intermediateSize: config.intermediate_size, layerCount: config.num_hidden_layers,
                headCount: config.num_attention_heads, keyValueHeadCount: config.num_key_value_heads,
                headSize: config.head_dim, maximumPositions: config.max_position_embeddings,
                rotaryTheta: config.rope_parameters.rope_theta,
                tiesWordEmbeddings: config.tie_word_embeddings)
            let rope = config.rope_parameters
            let scaling: ModelConfiguration.RotaryScaling =
                switch rope.rope_type {
                case "linear": .linear(factor: rope.factor!)
                case "llama3":
                    .llama3(
                        factor: rope.factor!, lowFrequencyFactor: rope.low_freq_factor!,
                        highFrequencyFactor: rope.high_freq_factor!,
                        originalPositions: rope.original_max_position_embeddings!)
                default: .none
                }
            result.positions = .rotary(.init(theta: rope.rope_theta, scaling: scaling))
            result.hasQueryKeyValueBias = config.attention_bias ?? false
            result.hasAttentionOutputBias = config.attention_bias ?? false
            result.hasFeedForwardBias = config.mlp_bias ?? false
            return result
        }

        /// Weights by the formula of `make.py`, numbered in the order of their names.
        var model: LanguageModel {
            let configuration = configuration
            let names = WeightLayout(configuration).tensors.map(\.name).sorted()
            return LanguageModel(configuration: configuration) { tensor, target in
                let offset = 0.2 * Double(names.firstIndex(of: tensor.name)!)
                let isNorm = tensor.name.contains("norm")
                for index in target.indices {
                    let value = Self.formula(index, offset: offset, scale: isNorm ? 0.1 : 0.25)
                    target[index] = isNorm ? 1 + value : value
                }
            }
        }

        var adapter: LoRAAdapter {
            let configuration = LoRAConfiguration(
                rank: lora.rank, alpha: lora.alpha, targetModules: lora.modules, useRSLoRA: lora.rslora)
            var values: [Float] = []
            for (index, entry) in LoRALayout(configuration, base: self.configuration).entries.enumerated() {
                for place in 0..<entry.aCount {
                    values.append(Self.formula(place, offset: 0.2 * Double(index), scale: 0.3))
                }
                for place in 0..<entry.bCount {
                    values.append(Self.formula(place, offset: 0.1 * Double(2 * index + 1), scale: 0.2))
                }
            }
            return LoRAAdapter(configuration: configuration, base: self.configuration, values: values)
        }

        static func formula(_ index: Int, offset: Double, scale: Double) -> Float {
            Float(scale * sin(0.37 * Double(index) * Double(index % 91) + offset))
        }
    }

    static let cases = (try? EngineVectors.load("synthetic.json", as: File.self).cases) ?? []

    @Test("the vectors are there")
    func vectorsExist() { #expect(Self.cases.count == 3) }

    @Test("losses, logits and gradients of all weights", arguments: cases.indices)
    func baseAgrees(index: Int) throws {
        let test = Self.cases[index]
        let model = test.model
        let examples = test.records.map(\.example)
        for (score, expected) in zip(try Evaluator(model: model).losses(examples), test.baseLosses) {
            #expect(abs(score.loss - expected) < 2e-6)
        }
        #expect(engineDeviation(try model.logits(of: examples[0].tokens), test.logits) < 2e-6)
        let (_, gradient) = try Pretrainer(training: Pretraining(steps: 1)).gradient(of: examples, model)
        for tensor in model.layout.tensors {
            let deviation = engineDeviation(gradient[tensor.range], test.weightGradients[tensor.name]!)
            #expect(deviation < 1e-5, "\(test.name) \(tensor.name)")
        }
    }

    @Test("each record's LoRA gradient", arguments: cases.indices)
    func recordGradientsAgree(index: Int) throws {
        let test = Self.cases[index]
        try expectRecordGradients(
            TrainingEngine(model: test.model), test.records, test.adapter, test.recordGradients)
    }

    @Test("20 steps of AdamW and of clipped SGD with momentum", arguments: cases.indices)
    func trainingAgrees(index: Int) throws {
        let test = Self.cases[index]
        let engine = TrainingEngine(model: test.model)
        // Adam divides small gradients by their own size: rounding is felt most there.
        try expectRun(
            engine, test.records, test.adapter, .adamW(weightDecay: 0.1), learningRate: 1e-2,
            clip: nil, test.adamW, tolerance: 1e-4)
        try expectRun(
            engine, test.records, test.adapter, .sgd(momentum: 0.9), learningRate: 0.1, clip: 0.05,
            test.sgd, tolerance: 1e-5)
    }
}

func expectRecordGradients(
    _ engine: TrainingEngine, _ records: [EngineVectors.Record], _ adapter: LoRAAdapter,
    _ expected: [EngineVectors.RecordGradient]
) throws {
    for part in TrainablePart.allCases {
        try engine.perRecordGradients(
            of: records.map(\.example), adapter: adapter, part: part
        ) { index, gradient, loss in
            #expect(abs(Double(loss) - expected[index].loss) < 2e-6)
            for entry in adapter.layout.entries {
                let name = "\(entry.layer).\(entry.module.rawValue)"
                let recorded = expected[index].gradient
                if let start = adapter.layout.offsetOfA(entry, in: part) {
                    let slice = gradient[start..<start + entry.aCount]
                    #expect(engineDeviation(slice, recorded["\(name).A"]!) < 1e-5, "\(index) \(name).A")
                }
                if let start = adapter.layout.offsetOfB(entry, in: part) {
                    let slice = gradient[start..<start + entry.bCount]
                    #expect(engineDeviation(slice, recorded["\(name).B"]!) < 1e-5, "\(index) \(name).B")
                }
            }
        }
    }
}

func expectRun(
    _ engine: TrainingEngine, _ records: [EngineVectors.Record], _ adapter: LoRAAdapter,
    _ optimizer: Optimizer, learningRate: Float, clip: Float?, _ expected: EngineVectors.Run,
    tolerance: Double
) throws {
    var generator = SplitMix64(seed: 0)
    let result = try LocalTrainer(
        engine: engine,
        training: LocalTraining(
            length: .steps(20), batchSize: records.count, learningRate: learningRate,
            optimizer: optimizer, gradientNormMax: clip)
    ).train(adapter, part: .aAndB, on: records.map(\.example), generator: &generator)
    for (loss, recorded) in zip(result.losses, expected.losses) {
        #expect(abs(loss - recorded) < tolerance)
    }
    let trained = adapter.adding(result.update, .aAndB)
    for entry in trained.layout.entries {
        let name = "\(entry.layer).\(entry.module.rawValue)"
        let a = trained.matrixA(layer: entry.layer, module: entry.module)!
        let b = trained.matrixB(layer: entry.layer, module: entry.module)!
        #expect(engineDeviation(a, expected.parameters["\(name).A"]!) < tolerance, "\(name).A")
        #expect(engineDeviation(b, expected.parameters["\(name).B"]!) < tolerance, "\(name).B")
    }
}
