import Foundation
import Models
import Testing

@Suite struct PeftAdapterTests {
    static let base = ModelConfiguration(
        vocabularySize: 50, hiddenSize: 8, intermediateSize: 12, layerCount: 2, headCount: 2,
        keyValueHeadCount: 1, maximumPositions: 32)

    static func adapter(base: ModelConfiguration = base, useRSLoRA: Bool = false) -> LoRAAdapter {
        let configuration = LoRAConfiguration(
            rank: 2, alpha: 6, targetModules: [.value, .down, .query], useRSLoRA: useRSLoRA)
        let count = LoRALayout(configuration, base: base).count
        return LoRAAdapter(
            configuration: configuration, base: base, values: (0..<count).map { Float($0) / 7 - 3 })
    }

    @Test(arguments: [false, true])
    func whatIsWrittenIsReadBack(useRSLoRA: Bool) throws {
        try Fixtures.withDirectory { directory in
            let adapter = Self.adapter(useRSLoRA: useRSLoRA)
            try PeftAdapter.write(adapter, to: directory)
            #expect(try PeftAdapter.read(directory, base: Self.base) == adapter)
        }
    }

    @Test func keysAndShapesAreThoseOfPeft() throws {
        try Fixtures.withDirectory { directory in
            try PeftAdapter.write(Self.adapter(), to: directory, baseModelName: "base")
            let file = try SafeTensorsFile(path: directory + "/adapter_model.safetensors")
            #expect(file.metadata == ["format": "pt"])
            #expect(file.tensors.count == 2 * 3 * 2)
            #expect(file.tensors.allSatisfy { $0.type == .f32 })
            let a = try #require(file["base_model.model.model.layers.1.mlp.down_proj.lora_A.weight"])
            let b = try #require(file["base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight"])
            #expect(a.shape == [2, 12] && b.shape == [4, 2])
            let configuration = try Fixtures.json(directory + "/adapter_config.json")
            let keys = configuration.members!.map(\.key)
            #expect(keys == keys.sorted())
            #expect(configuration["r"]?.integer == 2 && configuration["lora_alpha"]?.integer == 6)
            #expect(configuration["base_model_name_or_path"]?.string == "base")
            #expect(
                configuration["target_modules"]?.array?.map { $0.string! } == [
                    "down_proj", "q_proj", "v_proj",
                ])
        }
    }

    @Test(.enabled(if: Fixtures.shared != nil), arguments: ["llama", "qwen2", "gpt2"])
    func anAdapterThatPeftSavedIsReadAndWrittenBackByteForByte(name: String) throws {
        let folder = Fixtures.shared! + "/reference/checkpoints/\(name)"
        let base = try ModelConfiguration(file: folder + "/base/config.json")
        let adapter = try PeftAdapter.read(folder + "/adapter", base: base)
        #expect(adapter.configuration.rank == (name == "llama" ? 3 : 4))
        #expect(adapter.configuration.useRSLoRA == (name == "qwen2"))
        try Fixtures.withDirectory { directory in
            try PeftAdapter.write(adapter, to: directory)
            let file = "/adapter_model.safetensors"
            #expect(try Fixtures.read(directory + file) == Fixtures.read(folder + "/adapter" + file))
        }
    }

    /// The whole way from files to a loss: configuration, weights, tokenizer, adapter. Cap 2e-5, as the
    /// expected values are f32 sums by another library.
    @Test(.enabled(if: Fixtures.shared != nil), arguments: ["llama", "qwen2", "gpt2"])
    func theLossesOfTransformersAndPeftAreReproducedFromTheFiles(name: String) throws {
        let folder = Fixtures.shared! + "/reference/checkpoints/\(name)"
        let expected = try Fixtures.json(folder + "/expected.json")
        let model = try LanguageModel(checkpoint: Checkpoint.load(directory: folder + "/base"))
        let tokenizer = try Tokenizer(directory: folder + "/base")
        let adapter = try PeftAdapter.read(folder + "/adapter", base: model.configuration)
        for (index, text) in expected["texts"]!.array!.enumerated() {
            let example = TokenizedExample(tokens: tokenizer.encode(text.string!))
            let base = try Evaluator(model: model).meanLoss([example]).loss
            let adapted = try Evaluator(model: model, adapter: adapter).meanLoss([example]).loss
            #expect(abs(base - expected["base_loss"]!.array![index].number!) < 2e-5)
            #expect(abs(adapted - expected["adapter_loss"]!.array![index].number!) < 2e-5)
        }
    }

    // MARK: Refusals

    @Test func anAdapterForAnotherBaseIsNamedAsSuch() throws {
        var wider = Self.base
        wider.hiddenSize = 16
        var deeper = Self.base
        deeper.layerCount = 3
        var shallower = Self.base
        shallower.layerCount = 1
        for (other, word) in [(wider, "has shape"), (deeper, "needs"), (shallower, "belongs to no")] {
            try Fixtures.withDirectory { directory in
                try PeftAdapter.write(Self.adapter(), to: directory)
                let error = #expect(throws: CheckpointError.self) {
                    try PeftAdapter.read(directory, base: other)
                }
                #expect(error?.kind == .mismatch)
                #expect(error?.reason.contains(word) == true, "\(error?.reason ?? "")")
                #expect(error?.hint.contains("another base") == true)
            }
        }
    }

    @Test(.enabled(if: Fixtures.shared != nil))
    func anAdapterForAnotherFamilyIsRefused() throws {
        let folder = Fixtures.shared! + "/reference/checkpoints/gpt2/adapter"
        #expect(throws: CheckpointError.self) { try PeftAdapter.read(folder, base: Self.base) }
    }

    /// A field of the configuration, its value, and what the message must name.
    static let variants: [(String, String, String)] = [
        ("peft_type", #""IA3""#, "IA3"), ("use_dora", "true", "use_dora"), ("bias", #""all""#, "bias"),
        ("rank_pattern", #"{"q_proj": 4}"#, "rank_pattern"),
        ("modules_to_save", #"["lm_head"]"#, "modules_to_save"),
        ("fan_in_fan_out", "true", "fan_in_fan_out"), ("init_lora_weights", #""pissa""#, "pissa"),
        ("r", "0", "r must be"), ("target_modules", #"["q_proj"]"#, "target_modules"),
        ("layers_to_transform", "[0]", "layers_to_transform"),
    ]

    @Test(arguments: variants)
    func variantsThatChangeTheMeaningAreRefused(key: String, value: String, word: String) throws {
        try Fixtures.withDirectory { directory in
            try PeftAdapter.write(Self.adapter(), to: directory)
            let path = directory + "/adapter_config.json"
            let members = try Fixtures.json(path).members!.map { member in
                try JSON.Member(member.key, member.key == key ? JSON.parse(value) : member.value)
            }
            try Fixtures.write(JSON.object(members).text(), to: path)
            let error = #expect(throws: CheckpointError.self) {
                try PeftAdapter.read(directory, base: Self.base)
            }
            #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
        }
    }

    @Test func aSurplusTensorAndANaNAreRefused() throws {
        try Fixtures.withDirectory { directory in
            try PeftAdapter.write(Self.adapter(), to: directory)
            let path = directory + "/adapter_model.safetensors"
            let file = try SafeTensorsFile(path: path)
            let tensors = try file.tensors.map {
                SafeTensor(name: $0.name, shape: $0.shape, values: try file.floats($0))
            }
            let surplus = SafeTensor(name: "base_model.model.lm_head.weight", shape: [1], values: [1])
            try SafeTensorsFile.write(tensors + [surplus], to: path)
            let first = #expect(throws: CheckpointError.self) {
                try PeftAdapter.read(directory, base: Self.base)
            }
            #expect(first?.reason.contains("lm_head") == true)

            let bad = SafeTensor(
                name: tensors[0].name, shape: tensors[0].shape,
                values: [Float](repeating: .nan, count: tensors[0].shape.reduce(1, *)))
            try SafeTensorsFile.write([bad] + tensors.dropFirst(), to: path)
            let second = #expect(throws: CheckpointError.self) {
                try PeftAdapter.read(directory, base: Self.base)
            }
            #expect(second?.kind == .malformed && second?.reason.contains(bad.name) == true)
        }
    }
}
