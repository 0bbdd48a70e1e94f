extension Checkpoint {
    /// A model to be saved in Hugging Face layout.
    public struct Contents: Sendable {
        public let configuration: ModelConfiguration
        /// Named as the family names them (`model.layers.0.self_attn.q_proj.weight`, …). Their type,
        /// `F32` or `BF16`, is noted in `config.json`.
        public let tensors: [SafeTensor]
        /// The `tokenizer.json`, as `BPETrainer` made it.
        public let tokenizer: JSON
        /// Special tokens that `tokenizer_config.json` names; nil for none.
        public let beginToken: String?
        public let endToken: String?

        public init(
            configuration: ModelConfiguration, tensors: [SafeTensor], tokenizer: JSON,
            beginToken: String?, endToken: String?
        ) {
            self.configuration = configuration
            self.tensors = tensors
            self.tokenizer = tokenizer
            self.beginToken = beginToken
            self.endToken = endToken
        }
    }

    /// Writes `config.json`, `generation_config.json`, `model.safetensors`, `tokenizer.json` and
    /// `tokenizer_config.json`, which `transformers` loads. The directory is made if need be.
    ///
    /// The same contents give the same bytes. `config.json` comes last, so that a directory cut short
    /// by a crash does not load.
    /// - Precondition: the configuration is a Llama's.
    public static func write(_ contents: Contents, to directory: String) throws(CheckpointError) {
        try AtomicFile.makeDirectory(directory)
        let configuration = contents.configuration
        try SafeTensorsFile.write(
            contents.tensors, metadata: ["format": "pt"], to: directory + "/model.safetensors")
        try AtomicFile.write(contents.tokenizer.text(.indented) + "\n", to: directory + "/tokenizer.json")
        try AtomicFile.write(
            tokenizerConfiguration(contents).text(.indented) + "\n",
            to: directory + "/tokenizer_config.json")
        let generation = JSON.object([
            .init("_from_model_config", .bool(true)),
            .init("bos_token_id", configuration.beginTokenID.map(JSON.integer) ?? .null),
            .init("eos_token_id", configuration.endTokenJSON),
        ])
        try AtomicFile.write(
            generation.text(.indented) + "\n", to: directory + "/generation_config.json")
        let isHalf = contents.tensors.allSatisfy { $0.type == .bf16 }
        try AtomicFile.write(
            configuration.json(storedAs: isHalf ? "bfloat16" : "float32").text(.indented) + "\n",
            to: directory + "/config.json")
    }

    private static func tokenizerConfiguration(_ contents: Contents) -> JSON {
        var members: [JSON.Member] = [.init("tokenizer_class", .string("PreTrainedTokenizerFast"))]
        if let token = contents.beginToken { members.append(.init("bos_token", .string(token))) }
        if let token = contents.endToken { members.append(.init("eos_token", .string(token))) }
        members.append(.init("clean_up_tokenization_spaces", .bool(false)))
        members.append(.init("model_max_length", .integer(contents.configuration.maximumPositions)))
        return .object(members)
    }
}

extension ModelConfiguration {
    /// A `config.json` for this Llama, keys sorted; `rope_theta` in both spellings.
    func json(storedAs type: String) -> JSON {
        precondition(family == .llama, "only Llama models are written")
        guard case .rotary(let rotary) = positions, rotary.scaling == .none else {
            preconditionFailure("only unscaled rotary positions are written")
        }
        let theta = JSON.real(rotary.theta)
        return .object([
            .init("architectures", .array([.string("LlamaForCausalLM")])),
            .init("attention_bias", .bool(hasQueryKeyValueBias)),
            .init("attention_dropout", .real(0)),
            .init("bos_token_id", beginTokenID.map(JSON.integer) ?? .null),
            .init("dtype", .string(type)),
            .init("eos_token_id", endTokenJSON),
            .init("head_dim", .integer(headSize)),
            .init("hidden_act", .string("silu")),
            .init("hidden_size", .integer(hiddenSize)),
            .init("initializer_range", .real(0.02)),
            .init("intermediate_size", .integer(intermediateSize)),
            .init("max_position_embeddings", .integer(maximumPositions)),
            .init("mlp_bias", .bool(hasFeedForwardBias)),
            .init("model_type", .string("llama")),
            .init("num_attention_heads", .integer(headCount)),
            .init("num_hidden_layers", .integer(layerCount)),
            .init("num_key_value_heads", .integer(keyValueHeadCount)),
            // The shortest decimal of the Float, not the long one of its widening to Double.
            .init("rms_norm_eps", .real(Double(normalisationEpsilon.description)!)),
            .init(
                "rope_parameters",
                .object([.init("rope_theta", theta), .init("rope_type", .string("default"))])),
            .init("rope_theta", theta),
            .init("tie_word_embeddings", .bool(tiesWordEmbeddings)),
            .init("vocab_size", .integer(vocabularySize)),
        ])
    }

    /// Null, one id, or a list, as the number of end tokens asks for.
    var endTokenJSON: JSON {
        switch endTokenIDs.count {
        case 0: return .null
        case 1: return .integer(endTokenIDs[0])
        default: return .array(endTokenIDs.map(JSON.integer))
        }
    }
}
