import Foundation
import Models
import Testing

@Suite("Engine on checkpoints of the shared reference folder")
struct EngineCheckpointTests {
    struct Expected: Decodable {
        let ids: [[Int32]]
        let base_loss: [Double]
        let adapter_loss: [Double]
    }

    struct Gradients: Decodable {
        let records: [EngineVectors.Record]
        let recordGradients: [EngineVectors.RecordGradient]
        let adamW: EngineVectors.Run
    }

    static func model(_ directory: URL) throws -> LanguageModel {
        try LanguageModel(checkpoint: Checkpoint.load(directory: directory.path))
    }

    static func expected() throws -> Expected {
        try JSONDecoder().decode(
            Expected.self, from: Data(contentsOf: EngineShared.llama.appendingPathComponent("expected.json")))
    }

    /// The adapter beside the reference checkpoint (q, v and down, rank 3, α 6), read by tensor name.
    static func adapter(_ base: ModelConfiguration) throws -> LoRAAdapter {
        let file = try SafeTensorsFile(
            path: EngineShared.llama.appendingPathComponent("adapter/adapter_model.safetensors").path)
        let configuration = LoRAConfiguration(rank: 3, alpha: 6, targetModules: [.query, .value, .down])
        var values: [Float] = []
        for entry in LoRALayout(configuration, base: base).entries {
            let name = "base_model.model.\(base.names.block(entry.layer))\(base.names.path(entry.module))"
            values += try file.floats("\(name).lora_A.weight")
            values += try file.floats("\(name).lora_B.weight")
        }
        #expect(file.tensors.count == 2 * LoRALayout(configuration, base: base).entries.count)
        return LoRAAdapter(configuration: configuration, base: base, values: values)
    }

    @Test(
        "the reference Llama's losses, with and without its adapter, to 2e-5",
        .enabled(if: EngineShared.exists(EngineShared.llama)))
    func referenceLosses() throws {
        let model = try Self.model(EngineShared.llama.appendingPathComponent("base"))
        let expected = try Self.expected()
        let examples = expected.ids.map { TokenizedExample(tokens: $0) }
        for (score, loss) in zip(try Evaluator(model: model).losses(examples), expected.base_loss) {
            #expect(abs(score.loss - loss) < 2e-6)
        }
        let adapter = try Self.adapter(model.configuration)
        let scores = try Evaluator(model: model, adapter: adapter).losses(examples)
        for (score, loss) in zip(scores, expected.adapter_loss) { #expect(abs(score.loss - loss) < 2e-6) }
    }

    @Test(
        "the reference Llama's record gradients and 20 steps of AdamW are peft's",
        .enabled(if: EngineShared.exists(EngineShared.llama)))
    func referenceGradients() throws {
        let model = try Self.model(EngineShared.llama.appendingPathComponent("base"))
        let golden = try EngineVectors.load("checkpoint.json", as: Gradients.self)
        let adapter = try Self.adapter(model.configuration)
        let engine = TrainingEngine(model: model)
        try expectRecordGradients(engine, golden.records, adapter, golden.recordGradients)
        try expectRun(
            engine, golden.records, adapter, .adamW(), learningRate: 5e-3, clip: nil, golden.adamW,
            tolerance: 1e-4)
    }

    @Test(
        "stories260K continues its best-known sentence as transformers does",
        .enabled(if: EngineShared.exists(EngineShared.stories)))
    func storiesContinuation() throws {
        let model = try Self.model(EngineShared.stories)
        let tokenizer = try Tokenizer(directory: EngineShared.stories.path)
        let prompt = tokenizer.encode("Once upon a time")
        let text = try Evaluator(model: model).generate(prompts: [prompt], maxNewTokens: 150)[0]
        #expect(text.count == 150)
        let expected = """
            Once upon a time, there was a little girl named Lily. She loved to play outside in the park. \
            One day, she saw a big, red ball. She wanted to play with it, but it was too high.
            Lily's mom said, "Lily, let's go to the park." Lily was sad and didn't know what to do. She \
            said, "I want to play with your ball, but I can't find it."
            Lily was sad and didn't know what to do. She said
            """
        let decoded = tokenizer.decode(prompt + text, skipSpecialTokens: true)
        #expect(decoded == expected)
    }
}
