import Foundation
import Models
import Testing

@Suite struct CheckpointConfigurationTests {
    static let llama = """
        {"model_type": "llama", "hidden_size": 64, "intermediate_size": 120, "num_hidden_layers": 2,
         "num_attention_heads": 4, "vocab_size": 1000, "max_position_embeddings": 256%@}
        """

    func decode(_ extra: String = "", base: String = llama) throws -> ModelConfiguration {
        try ModelConfiguration(
            json: JSON.parse(base.replacingOccurrences(of: "%@", with: extra)), file: "config.json")
    }

    @Test func absentFieldsTakeTheFamilysDefaults() throws {
        let model = try decode()
        #expect(model.family == .llama)
        #expect(model.keyValueHeadCount == 4 && model.headSize == 16)
        #expect(model.normalisationEpsilon == 1e-6)
        #expect(model.positions == .rotary(.init(theta: 10_000)))
        #expect(model.activation == .silu && !model.tiesWordEmbeddings)
        #expect(!model.hasQueryKeyValueBias && !model.hasAttentionOutputBias && !model.hasFeedForwardBias)
        #expect(model.beginTokenID == nil && model.endTokenIDs.isEmpty)
        #expect(model.sequenceLengthMax == 256)
    }

    @Test func nullsCountAsAbsent() throws {
        #expect(
            try decode(#", "head_dim": null, "rope_scaling": null, "num_key_value_heads": null"#) == decode())
    }

    @Test func headSizeNeedNotBeHiddenSizeOverHeads() throws {
        #expect(try decode(#", "head_dim": 24"#).headSize == 24)
    }

    @Test func endTokensMayBeOneOrMany() throws {
        #expect(try decode(#", "eos_token_id": 2, "bos_token_id": 1"#).endTokenIDs == [2])
        #expect(try decode(#", "eos_token_id": [2, 7]"#).endTokenIDs == [2, 7])
    }

    @Test func bothSpellingsOfTheRotarySettingsMeanTheSame() throws {
        let scaling = """
            "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64
            """
        let nested = try decode(
            #", "rope_parameters": {"rope_theta": 50000, "rope_type": "llama3", \#(scaling)}"#)
        let flat = try decode(
            #", "rope_theta": 50000.0, "rope_scaling": {"rope_type": "llama3", \#(scaling)}"#)
        let legacy = try decode(#", "rope_theta": 5e4, "rope_scaling": {"type": "llama3", \#(scaling)}"#)
        #expect(nested == flat && flat == legacy)
        let expected = ModelConfiguration.RotaryScaling.llama3(
            factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: 64)
        #expect(nested.positions == .rotary(.init(theta: 50_000, scaling: expected)))
        let linear = try decode(#", "rope_scaling": {"type": "linear", "factor": 2}"#)
        #expect(linear.positions == .rotary(.init(theta: 10_000, scaling: .linear(factor: 2))))
    }

    @Test func mistralsWindowBoundsTheSequenceAndQwensIsOffByDefault() throws {
        let mistral = Self.llama.replacingOccurrences(of: "llama", with: "mistral")
        #expect(try decode(#", "sliding_window": 100"#, base: mistral).sequenceLengthMax == 100)
        #expect(try decode(#", "sliding_window": null"#, base: mistral).sequenceLengthMax == 256)
        let qwen = Self.llama.replacingOccurrences(of: "llama", with: "qwen2")
        let model = try decode(#", "sliding_window": 100, "use_sliding_window": false"#, base: qwen)
        #expect(model.sequenceLengthMax == 256)
        #expect(model.hasQueryKeyValueBias && !model.hasAttentionOutputBias)
    }

    @Test func gpt2HasLearnedPositionsLayerNormsAndAPlainFeedForward() throws {
        let model = try decode(base: Self.gpt2)
        #expect(
            model.intermediateSize == 192 && model.positions == .learned && model.normalisation == .layerNorm)
        #expect(model.activation == .geluTanh && !model.isGated && model.tiesWordEmbeddings)
        #expect(model.linearModules == [.queryKeyValue, .output, .up, .down])
    }

    @Test func gptNeoXTurnsAQuarterOfEachHeadAndAddsBothHalvesTogether() throws {
        let model = try decode(base: Self.neoX)
        #expect(model.positions == .rotary(.init(theta: 10_000, width: 4)))
        #expect(model.hasParallelResidual && !model.tiesWordEmbeddings && model.activation == .gelu)
        let nested = try decode(
            #", "rope_parameters": {"rope_type": "default", "rope_theta": 500, "partial_rotary_factor": 0.5}"#,
            base: Self.neoX)
        #expect(nested.positions == .rotary(.init(theta: 500, width: 8)))
        let flat = try decode(#", "rotary_emb_base": 500, "rotary_pct": 0.5"#, base: Self.neoX)
        #expect(flat == nested)
        #expect(try !decode(#", "use_parallel_residual": false"#, base: Self.neoX).hasParallelResidual)
    }

    /// Family, extra fields, and the field that the message must name.
    static let refusedByFamily: [(String, String, String)] = [
        (gpt2, #", "activation_function": "relu""#, "activation_function"),
        (gpt2, #", "scale_attn_by_inverse_layer_idx": true"#, "scale_attn_by_inverse_layer_idx"),
        (neoX, #", "hidden_act": "silu""#, "hidden_act"),
        (neoX, #", "rotary_pct": 0.2"#, "rotary_pct"),
        (neoX, #", "rotary_pct": 2"#, "rotary_pct"),
        (llama, #", "hidden_act": "gelu""#, "hidden_act"),
    ]

    @Test(arguments: refusedByFamily.indices)
    func refusesByTheFieldsOwnName(index: Int) throws {
        let (base, extra, field) = Self.refusedByFamily[index]
        let error = #expect(throws: CheckpointError.self) { try decode(extra, base: base) }
        #expect(error?.reason.contains(field) == true, "\(error?.description ?? "")")
    }

    static let gpt2 =
        #"{"model_type": "gpt2", "n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 256, "vocab_size": 1000, "n_inner": null%@}"#
    static let neoX =
        #"{"model_type": "gpt_neox", "hidden_size": 64, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100, "max_position_embeddings": 2048%@}"#

    /// The extra fields, and what the message must name.
    static let refused: [(String, String, CheckpointError.Kind)] = [
        (#", "head_dim": 0"#, "head_dim", .malformed),
        (#", "head_dim": "8""#, "head_dim", .malformed),
        (#", "head_dim": 7"#, "head_dim", .malformed),
        (#", "num_key_value_heads": 3"#, "num_key_value_heads", .malformed),
        (#", "tie_word_embeddings": 1"#, "tie_word_embeddings", .malformed),
        (#", "rms_norm_eps": 0"#, "rms_norm_eps", .malformed),
        (#", "eos_token_id": 1000"#, "outside the vocabulary", .malformed),
        (#", "eos_token_id": ["a"]"#, "eos_token_id", .malformed),
        (#", "hidden_act": "relu""#, "relu", .unsupported),
        (#", "rope_scaling": {"type": "yarn", "factor": 2}"#, "yarn", .unsupported),
        (#", "rope_scaling": {"type": "linear"}"#, "rope_scaling.factor is missing", .malformed),
        (#", "quantization_config": {"bits": 4}"#, "quantization_config", .unsupported),
    ]

    @Test(arguments: refused)
    func badFieldsAreNamed(extra: String, word: String, kind: CheckpointError.Kind) throws {
        let error = #expect(throws: CheckpointError.self) { try decode(extra) }
        #expect(error?.kind == kind)
        #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
    }

    @Test func missingFieldsAndUnknownFamiliesAreNamed() throws {
        let missing = #expect(throws: CheckpointError.self) {
            try decode(base: Self.llama.replacingOccurrences(of: "hidden_size", with: "hidden"))
        }
        #expect(missing?.reason == "hidden_size is missing")
        let unknown = #expect(throws: CheckpointError.self) {
            try decode(base: Self.llama.replacingOccurrences(of: "llama", with: "mamba"))
        }
        #expect(unknown?.kind == .unsupported && unknown?.reason.contains("mamba") == true)
    }

    @Test(.enabled(if: Fixtures.shared != nil))
    func referenceCheckpointsDecode() throws {
        let folder = Fixtures.shared! + "/reference/checkpoints"
        let llama = try Checkpoint.load(directory: folder + "/llama/base")
        #expect(llama.configuration.headSize == 24 && llama.configuration.keyValueHeadCount == 2)
        #expect(llama.configuration.hasQueryKeyValueBias && llama.configuration.hasAttentionOutputBias)
        #expect(
            llama.fileList == [
                "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
                "model.safetensors",
            ])
        let embedding = try llama.floats("model.embed_tokens.weight", shape: [1000, 64])
        #expect(embedding.count == 64_000 && embedding.allSatisfy(\.isFinite))
        #expect(throws: CheckpointError.self) {
            try llama.floats("model.embed_tokens.weight", shape: [64, 1000])
        }
        #expect(try Checkpoint.load(directory: folder + "/qwen2/base").configuration.family == .qwen2)
        #expect(try Checkpoint.load(directory: folder + "/gpt2/base").configuration.family == .gpt2)
    }
}
