import Foundation
import Models
import Testing

/// GPT-2 and GPT-NeoX, from a checkpoint on disk to gradients, against `make_families.py`.
@Suite("GPT-2 and GPT-NeoX against PyTorch, transformers and peft")
struct EngineFamilyTests {
    struct File: Decodable { let cases: [Case] }

    struct Case: Decodable {
        struct Tensor: Decodable {
            let name: String
            let shape: [Int]
            let isGain: Bool?
            let scale: Double?
        }
        struct Adapter: Decodable {
            let rank: Int
            let alpha: Double
            let modules: [String]
            let rslora: Bool
            let tensors: [Tensor]
        }
        let name: String
        let tensors: [Tensor]
        let records: [EngineVectors.Record]
        let baseLosses: [Double]
        let logits: [Double]
        let weightGradients: [String: [Double]]
        let prompt: [Int32]
        let continuation: [Int32]
        let adapter: Adapter
        let recordGradients: [EngineVectors.RecordGradient]
    }

    static let cases = (try? EngineVectors.load("families.json", as: File.self).cases) ?? []

    /// Writes one case as files: `config.json` as transformers wrote it, weights and adapter by formula.
    struct Fixture {
        let test: Case
        let folder: TemporaryFolder
        let model: LanguageModel

        init(_ index: Int, bareNames: Bool = false) throws {
            test = EngineFamilyTests.cases[index]
            folder = try TemporaryFolder()
            try folder.write(EngineFamilyTests.configuration(index), to: "config.json")
            let prefix = test.name.hasPrefix("gpt2") ? "transformer." : "gpt_neox."
            let tensors = test.tensors.enumerated().map { index, tensor in
                let scale = tensor.isGain! ? 0.1 : 0.25
                var values = Self.formula(tensor.shape, offset: 0.2 * Double(index), scale: scale)
                if tensor.isGain! { values = values.map { 1 + $0 } }
                let bare = bareNames ? tensor.name.replacingOccurrences(of: prefix, with: "") : tensor.name
                return SafeTensor(name: bare, shape: tensor.shape, values: values)
            }
            try SafeTensorsFile.write(tensors, to: folder.path("model.safetensors"))
            model = try LanguageModel(checkpoint: Checkpoint.load(directory: folder.path))
        }

        func adapter() throws -> LoRAAdapter {
            let lora = test.adapter
            let tensors = lora.tensors.enumerated().map { index, tensor in
                SafeTensor(
                    name: tensor.name, shape: tensor.shape,
                    values: Self.formula(tensor.shape, offset: 0.1 * Double(index), scale: tensor.scale!))
            }
            try SafeTensorsFile.write(tensors, to: folder.path("adapter_model.safetensors"))
            let targets = lora.modules.map { "\"\($0)\"" }.joined(separator: ", ")
            try folder.write(
                """
                {"peft_type": "LORA", "r": \(lora.rank), "lora_alpha": \(lora.alpha),
                 "use_rslora": \(lora.rslora), "target_modules": [\(targets)],
                 "fan_in_fan_out": \(test.name.hasPrefix("gpt2"))}
                """, to: "adapter_config.json")
            return try PeftAdapter.read(folder.path, base: model.configuration)
        }

        private static func formula(_ shape: [Int], offset: Double, scale: Double) -> [Float] {
            (0..<shape.reduce(1, *)).map {
                EngineTorchTests.Case.formula($0, offset: offset, scale: scale)
            }
        }
    }

    /// The case's `config.json`, as text.
    static func configuration(_ index: Int) throws -> String {
        let url = EngineVectors.packageRoot.appendingPathComponent("Tests/Vectors/engine/families.json")
        let file = try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any]
        let cases = try #require(file?["cases"] as? [[String: Any]])
        let config = try #require(cases[index]["config"])
        return String(decoding: try JSONSerialization.data(withJSONObject: config), as: UTF8.self)
    }

    @Test("the vectors are there")
    func vectorsExist() { #expect(Self.cases.count == 5) }

    @Test("losses, logits, gradients of all weights, greedy continuations", arguments: cases.indices)
    func baseAgrees(index: Int) throws {
        let fixture = try Fixture(index)
        let (test, model) = (fixture.test, fixture.model)
        let examples = test.records.map(\.example)
        for (score, expected) in zip(try Evaluator(model: model).losses(examples), test.baseLosses) {
            #expect(abs(score.loss - expected) < 2e-6)
        }
        #expect(engineDeviation(try model.logits(of: examples[0].tokens), test.logits) < 2e-6)
        let (_, gradient) = try Pretrainer(training: Pretraining(steps: 1)).gradient(of: examples, model)
        #expect(model.layout.tensors.count == test.weightGradients.count)
        for tensor in model.layout.tensors {
            let deviation = engineDeviation(gradient[tensor.range], test.weightGradients[tensor.name]!)
            #expect(deviation < 1e-5, "\(test.name) \(tensor.name)")
        }
        let texts = try Evaluator(model: model).generate(prompts: [test.prompt, [3]], maxNewTokens: 12)
        #expect(texts[0] == test.continuation)
    }

    @Test("each record's LoRA gradient, from an adapter as peft wrote it", arguments: cases.indices)
    func recordGradientsAgree(index: Int) throws {
        let fixture = try Fixture(index)
        let adapter = try fixture.adapter()
        let expected = fixture.test.recordGradients
        let names = fixture.model.configuration.names
        for part in TrainablePart.allCases {
            try TrainingEngine(model: fixture.model).perRecordGradients(
                of: fixture.test.records.map(\.example), adapter: adapter, part: part
            ) { record, gradient, loss in
                #expect(abs(Double(loss) - expected[record].loss) < 2e-6)
                for entry in adapter.layout.entries {
                    let key = "\(names.block(entry.layer))\(names.path(entry.module)).lora_"
                    if let start = adapter.layout.offsetOfA(entry, in: part) {
                        let recorded = expected[record].gradient["\(key)A.weight"]!
                        let slice = gradient[start..<start + entry.aCount]
                        #expect(engineDeviation(slice, recorded) < 1e-5, "\(record) \(key)A")
                    }
                    if let start = adapter.layout.offsetOfB(entry, in: part) {
                        let recorded = expected[record].gradient["\(key)B.weight"]!
                        let slice = gradient[start..<start + entry.bCount]
                        #expect(engineDeviation(slice, recorded) < 1e-5, "\(record) \(key)B")
                    }
                }
            }
        }
    }

    /// Sums of other orders: float32 rounding of logits of size 10.
    @Test(
        "a merged checkpoint, written and loaded, computes what base and adapter do", arguments: cases.indices
    )
    func mergedCheckpoint(index: Int) throws {
        let fixture = try Fixture(index)
        let adapter = Adapter.lora(try fixture.adapter())
        let checkpoint = try Checkpoint.load(directory: fixture.folder.path)
        try checkpoint.write(
            fixture.model.merged(with: adapter), to: fixture.folder.path("merged"))
        let merged = try LanguageModel(
            checkpoint: Checkpoint.load(directory: fixture.folder.path("merged")))
        let examples = fixture.test.records.map(\.example)
        let expected = try Evaluator(model: fixture.model, adapter: adapter).losses(examples)
        for (score, expected) in zip(try Evaluator(model: merged).losses(examples), expected) {
            #expect(abs(score.loss - expected.loss) < 5e-6)
        }
        let prompt = InsertedAdapter(
            configuration: .prompt(tokens: 1), base: fixture.model.configuration,
            values: [Float](repeating: 0, count: fixture.model.configuration.hiddenSize))
        #expect(throws: EngineError.cannotMerge(kind: "prompt")) {
            try fixture.model.merged(with: .inserted(prompt))
        }
    }

    @Test("an adapter comes back from disk as it was")
    func roundTrip() throws {
        for index in Self.cases.indices {
            let fixture = try Fixture(index)
            let adapter = try fixture.adapter()
            try PeftAdapter.write(adapter, to: fixture.folder.path("again"))
            let again = try PeftAdapter.read(
                fixture.folder.path("again"), base: fixture.model.configuration)
            #expect(again == adapter)
            let original = try SafeTensorsFile(path: fixture.folder.path("adapter_model.safetensors"))
            let written = try SafeTensorsFile(path: fixture.folder.path("again/adapter_model.safetensors"))
            for tensor in original.tensors {
                #expect(try written.floats(tensor.name) == original.floats(tensor))
            }
        }
    }

    @Test("names without the family's prefix are read")
    func bareNames() throws {
        let bare = try Fixture(0, bareNames: true)
        let full = try Fixture(0)
        #expect(try bare.model.logits(of: [1, 2, 3]) == full.model.logits(of: [1, 2, 3]))
    }
}
