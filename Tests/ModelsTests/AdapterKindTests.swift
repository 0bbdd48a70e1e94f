import Foundation
import Models
import Testing

/// Prompt, P-tuning, prefix, IA3 and bottleneck on three families, against `Tests/Vectors/adapters`.
@Suite("Adapters other than LoRA against PyTorch and peft")
struct AdapterKindTests {
    struct File: Decodable {
        struct Base: Decodable {
            let name: String
            let tensors: [EngineFamilyTests.Case.Tensor]
        }
        struct Case: Decodable {
            let kind: String
            let base: String
            let recordGradients: [EngineVectors.RecordGradient]
            let prompt: [Int32]
            let continuation: [Int32]
        }
        let bases: [Base]
        let records: [EngineVectors.Record]
        let cases: [Case]
        let tokens: Int
        let encoderWidth: Int
        let reduction: Int
    }

    static let url = EngineVectors.packageRoot.appendingPathComponent("Tests/Vectors/adapters/adapters.json")
    static let file = (try? JSONDecoder().decode(File.self, from: Data(contentsOf: url)))
    static let indices = 0..<(file?.cases.count ?? 0)

    /// One case: the base from a checkpoint on disk, the adapter's numbers by formula.
    struct Fixture {
        let test: File.Case
        let records: [EngineVectors.Record]
        let folder: TemporaryFolder
        let model: LanguageModel
        let adapter: InsertedAdapter

        init(_ index: Int) throws {
            let file = try #require(AdapterKindTests.file)
            test = file.cases[index]
            records = file.records
            let place = file.bases.firstIndex { $0.name == file.cases[index].base }!
            folder = try TemporaryFolder()
            try folder.write(AdapterKindTests.configuration(ofBase: place), to: "config.json")
            let tensors = file.bases[place].tensors.enumerated().map { index, tensor in
                let values = Self.formula(
                    tensor.shape.reduce(1, *), offset: 0.2 * Double(index),
                    scale: tensor.isGain! ? 0.1 : 0.25)
                return SafeTensor(
                    name: tensor.name, shape: tensor.shape,
                    values: tensor.isGain! ? values.map { 1 + $0 } : values)
            }
            try SafeTensorsFile.write(tensors, to: folder.path("model.safetensors"))
            model = try LanguageModel(checkpoint: Checkpoint.load(directory: folder.path))

            let configuration: InsertedConfiguration =
                switch test.kind {
                case "prompt": .prompt(tokens: file.tokens)
                case "p-tuning": .pTuning(tokens: file.tokens, encoderWidth: file.encoderWidth)
                case "prefix": .prefix(tokens: file.tokens)
                case "ia3": .ia3
                default: .bottleneck(reduction: file.reduction)
                }
            var values: [Float] = []
            let layout = InsertedLayout(configuration, base: model.configuration)
            for (index, tensor) in layout.tensors.enumerated() {
                let numbers = Self.formula(tensor.count, offset: 0.2 * Double(index), scale: 0.4)
                values += configuration == .ia3 ? numbers.map { 1 + $0 } : numbers
            }
            adapter = InsertedAdapter(
                configuration: configuration, base: model.configuration, values: values)
        }

        private static func formula(_ count: Int, offset: Double, scale: Double) -> [Float] {
            (0..<count).map { EngineTorchTests.Case.formula($0, offset: offset, scale: scale) }
        }
    }

    static func configuration(ofBase index: Int) throws -> String {
        let file = try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any]
        let bases = try #require(file?["bases"] as? [[String: Any]])
        let config = try #require(bases[index]["config"])
        return String(decoding: try JSONSerialization.data(withJSONObject: config), as: UTF8.self)
    }

    @Test("the vectors are there")
    func vectorsExist() { #expect(Self.indices.count == 15) }

    @Test("each record's loss and gradient, alone and together", arguments: indices)
    func gradientsAgree(index: Int) throws {
        let fixture = try Fixture(index)
        let adapter = Adapter.inserted(fixture.adapter)
        let expected = fixture.test.recordGradients
        let engine = TrainingEngine(model: fixture.model)
        let examples = fixture.records.map(\.example)
        let title = "\(fixture.test.base) \(fixture.test.kind)"
        var sum = [Float](repeating: 0, count: adapter.count(.aAndB))
        try engine.perRecordGradients(of: examples, adapter: adapter) { record, gradient, loss in
            #expect(abs(Double(loss) - expected[record].loss) < 2e-6, "\(title) \(record)")
            #expect(gradient.count == sum.count)
            for tensor in fixture.adapter.layout.tensors {
                let key = (tensor.layer.map { "\($0)." } ?? "") + tensor.name
                let recorded = try #require(expected[record].gradient[key])
                #expect(
                    engineDeviation(gradient[tensor.range], recorded) < 1e-5, "\(title) \(record) \(key)")
            }
            for place in sum.indices { sum[place] += gradient[place] / Float(examples.count) }
        }
        let batch = try engine.lossAndGradient(of: examples, adapter: adapter, averaging: .records)
        #expect(engineDistance(batch.gradient, sum.map(Double.init)) < 1e-5, "\(title)")
        for (score, record) in zip(
            try Evaluator(model: fixture.model, adapter: adapter).losses(examples), expected)
        {
            #expect(abs(score.loss - record.loss) < 2e-6, "\(title)")
        }
    }

    @Test("greedy text with its cache is what whole passes give", arguments: indices)
    func generationAgrees(index: Int) throws {
        let fixture = try Fixture(index)
        let texts = try Evaluator(model: fixture.model, adapter: .inserted(fixture.adapter)).generate(
            prompts: [fixture.test.prompt, [3]], maxNewTokens: 8)
        #expect(texts[0] == fixture.test.continuation, "\(fixture.test.base) \(fixture.test.kind)")
    }

    @Test("steps on a fresh adapter lower the loss; the same seed gives the same bits", arguments: indices)
    func trainingLearns(index: Int) throws {
        let fixture = try Fixture(index)
        var generator = SplitMix64(seed: 1)
        let start = Adapter.inserted(
            InsertedAdapter(
                configuration: fixture.adapter.configuration, base: fixture.model.configuration,
                generator: &generator))
        let examples = fixture.records.map(\.example)
        let trainer = LocalTrainer(
            engine: TrainingEngine(model: fixture.model),
            training: LocalTraining(length: .steps(8), batchSize: 4, learningRate: 0.02))
        func train() throws -> LocalUpdate {
            var order = SplitMix64(seed: 2)
            return try trainer.train(start, on: examples, generator: &order)
        }
        let (first, second) = (try train(), try train())
        #expect(first.update == second.update)
        #expect(first.losses.last! < first.losses.first!, "\(fixture.test.base) \(fixture.test.kind)")
    }

    @Test("an adapter comes back from disk as it was, or is refused for another base", arguments: indices)
    func roundTrip(index: Int) throws {
        let fixture = try Fixture(index)
        let adapter = Adapter.inserted(fixture.adapter)
        let folder = fixture.folder.path("adapter")
        try PeftAdapter.write(adapter, to: folder)
        #expect(try PeftAdapter.readAny(folder, base: fixture.model.configuration) == adapter)
        var other = fixture.model.configuration
        other.layerCount = 3
        other.hiddenSize *= 2
        other.intermediateSize *= 2
        #expect(throws: CheckpointError.self) { try PeftAdapter.readAny(folder, base: other) }
    }

    @Test("virtual tokens take their share of the window")
    func windowShrinks() throws {
        let index = try #require(Self.file).cases.firstIndex { $0.kind == "prefix" }!
        let fixture = try Fixture(index)
        let long = TokenizedExample(tokens: [Int32](repeating: 1, count: 62))
        #expect(throws: EngineError.sequenceTooLong(example: 0, tokens: 62, window: 61)) {
            try Evaluator(model: fixture.model, adapter: .inserted(fixture.adapter)).losses([long])
        }
    }
}
