extension ModelConfiguration {
    /// Reads a Hugging Face `config.json`.
    ///
    /// Both spellings of the rotary settings are accepted: `rope_theta` with `rope_scaling`
    /// (transformers 4) and `rope_parameters` (transformers 5).
    /// - Throws: `CheckpointError` that names the field at fault.
    public init(file: String) throws(CheckpointError) {
        try self.init(json: try readJSONObject(file), file: file)
    }

    /// - Parameter file: the path that error messages name.
    public init(json: JSON, file: String) throws(CheckpointError) {
        let fields = ConfigurationFields(json: json, file: file)
        let name = try fields.string("model_type")
        guard let family = Family(rawValue: name) else {
            let names = Family.allCases.map(\.rawValue).joined(separator: ", ")
            throw CheckpointError(
                .unsupported, file: file, "model_type \(name) is not supported",
                hint: "Use a model of one of these families: \(names)")
        }
        if let quantisation = json["quantization_config"], !quantisation.isNull {
            throw fields.unsupported("quantization_config", "quantised weights cannot be read")
        }
        switch family {
        case .llama, .mistral, .qwen2: try self.init(rotaryFamily: family, fields)
        case .gpt2: try self.init(gpt2: fields)
        case .gptNeoX: try self.init(gptNeoX: fields)
        }
        try requireConsistent(fields)
    }

    private init(rotaryFamily family: Family, _ fields: ConfigurationFields) throws(CheckpointError) {
        let headCount = try fields.positive("num_attention_heads")
        let hiddenSize = try fields.positive("hidden_size")
        let attentionBias = try fields.boolean("attention_bias", default: false)
        self.family = family
        self.headCount = headCount
        self.hiddenSize = hiddenSize
        vocabularySize = try fields.positive("vocab_size")
        intermediateSize = try fields.positive("intermediate_size")
        layerCount = try fields.positive("num_hidden_layers")
        keyValueHeadCount = try fields.positive("num_key_value_heads", default: headCount)
        if fields.isPresent("head_dim") {
            headSize = try fields.positive("head_dim")
        } else if hiddenSize.isMultiple(of: headCount) {
            headSize = hiddenSize / headCount
        } else {
            throw fields.malformed(
                "hidden_size", "is not a multiple of num_attention_heads and head_dim is absent")
        }
        maximumPositions = try fields.positive("max_position_embeddings", default: 2048)
        slidingWindow = try Self.slidingWindow(family, fields)
        normalisation = .rootMeanSquare
        normalisationEpsilon = Float(try fields.positiveNumber("rms_norm_eps", default: 1e-6))
        positions = .rotary(try Self.rotary(fields, maximumPositions: maximumPositions))
        activation = try Self.activation("hidden_act", default: "silu", fields)
        guard activation == .silu else {
            throw fields.unsupported(
                "hidden_act", "\(activation.rawValue) is not supported in a gated feed-forward block; silu is"
            )
        }
        isGated = true
        hasParallelResidual = false
        // Qwen2 has biases on q, k and v by definition and none elsewhere; its file does not say so.
        hasQueryKeyValueBias = family == .qwen2 || attentionBias
        hasAttentionOutputBias = family == .llama && attentionBias
        hasFeedForwardBias = try fields.boolean("mlp_bias", default: false)
        tiesWordEmbeddings = try fields.boolean("tie_word_embeddings", default: false)
        beginTokenID = try fields.tokenIDs("bos_token_id").first
        endTokenIDs = try fields.tokenIDs("eos_token_id")
    }

    private init(gpt2 fields: ConfigurationFields) throws(CheckpointError) {
        for key in ["scale_attn_by_inverse_layer_idx", "add_cross_attention"]
        where try fields.boolean(key, default: false) {
            throw fields.unsupported(key, "is not supported")
        }
        guard try fields.boolean("scale_attn_weights", default: true) else {
            throw fields.unsupported("scale_attn_weights", "must be true")
        }
        let headCount = try fields.positive("n_head")
        let hiddenSize = try fields.positive("n_embd")
        guard hiddenSize.isMultiple(of: headCount) else {
            throw fields.malformed("n_embd", "is not a multiple of n_head")
        }
        family = .gpt2
        self.headCount = headCount
        self.hiddenSize = hiddenSize
        vocabularySize = try fields.positive("vocab_size")
        intermediateSize = try fields.positive("n_inner", default: 4 * hiddenSize)
        layerCount = try fields.positive("n_layer")
        keyValueHeadCount = headCount
        headSize = hiddenSize / headCount
        maximumPositions = try fields.positive("n_positions", default: 1024)
        slidingWindow = nil
        normalisation = .layerNorm
        normalisationEpsilon = Float(try fields.positiveNumber("layer_norm_epsilon", default: 1e-5))
        positions = .learned
        activation = try Self.ungatedActivation("activation_function", default: "gelu_new", fields)
        isGated = false
        hasParallelResidual = false
        hasQueryKeyValueBias = true
        hasAttentionOutputBias = true
        hasFeedForwardBias = true
        tiesWordEmbeddings = try fields.boolean("tie_word_embeddings", default: true)
        beginTokenID = try fields.tokenIDs("bos_token_id").first
        endTokenIDs = try fields.tokenIDs("eos_token_id")
    }

    private init(gptNeoX fields: ConfigurationFields) throws(CheckpointError) {
        let headCount = try fields.positive("num_attention_heads")
        let hiddenSize = try fields.positive("hidden_size")
        guard hiddenSize.isMultiple(of: headCount) else {
            throw fields.malformed("hidden_size", "is not a multiple of num_attention_heads")
        }
        family = .gptNeoX
        self.headCount = headCount
        self.hiddenSize = hiddenSize
        vocabularySize = try fields.positive("vocab_size")
        intermediateSize = try fields.positive("intermediate_size")
        layerCount = try fields.positive("num_hidden_layers")
        keyValueHeadCount = headCount
        headSize = hiddenSize / headCount
        maximumPositions = try fields.positive("max_position_embeddings", default: 2048)
        slidingWindow = nil
        normalisation = .layerNorm
        normalisationEpsilon = Float(try fields.positiveNumber("layer_norm_eps", default: 1e-5))
        var rotary = try Self.rotary(
            fields, maximumPositions: maximumPositions, thetaKey: "rotary_emb_base")
        rotary.width = try Self.rotaryWidth(fields, headSize: headSize)
        positions = .rotary(rotary)
        activation = try Self.ungatedActivation("hidden_act", default: "gelu", fields)
        isGated = false
        hasParallelResidual = try fields.boolean("use_parallel_residual", default: true)
        let attentionBias = try fields.boolean("attention_bias", default: true)
        hasQueryKeyValueBias = attentionBias
        hasAttentionOutputBias = attentionBias
        hasFeedForwardBias = true
        tiesWordEmbeddings = try fields.boolean("tie_word_embeddings", default: false)
        beginTokenID = try fields.tokenIDs("bos_token_id").first
        endTokenIDs = try fields.tokenIDs("eos_token_id")
    }

    /// The share of each head that turns, `rotary_pct` or `rope_parameters.partial_rotary_factor`.
    private static func rotaryWidth(
        _ fields: ConfigurationFields, headSize: Int
    ) throws(CheckpointError) -> Int {
        var share = try fields.positiveNumber("rotary_pct", default: 0.25)
        var key = "rotary_pct"
        if fields.isPresent("rope_parameters") {
            key = "rope_parameters.partial_rotary_factor"
            share = try fields.nested("rope_parameters")
                .positiveNumber("partial_rotary_factor", default: share)
        }
        let width = Int(Double(headSize) * share)
        guard share <= 1, width >= 2, width.isMultiple(of: 2) else {
            throw fields.malformed(
                key, "turns \(width) of \(headSize) coordinates; it must be an even number")
        }
        return width
    }

    private static func slidingWindow(
        _ family: Family, _ fields: ConfigurationFields
    ) throws(CheckpointError) -> Int? {
        guard family != .llama, fields.isPresent("sliding_window") else { return nil }
        // Qwen2 states a window even where it is switched off.
        if family == .qwen2, try !fields.boolean("use_sliding_window", default: false) { return nil }
        return try fields.positive("sliding_window")
    }

    private static func activation(
        _ key: String, default fallback: String, _ fields: ConfigurationFields
    ) throws(CheckpointError) -> Activation {
        let name = try fields.string(key, default: fallback)
        switch name {
        case "silu", "swish": return .silu
        case "gelu_new", "gelu_fast", "gelu_pytorch_tanh": return .geluTanh
        case "gelu": return .gelu
        default:
            throw fields.unsupported(key, "\(name) is not supported; silu, gelu and gelu_new are")
        }
    }

    private static func ungatedActivation(
        _ key: String, default fallback: String, _ fields: ConfigurationFields
    ) throws(CheckpointError) -> Activation {
        let activation = try activation(key, default: fallback, fields)
        guard activation != .silu else {
            throw fields.unsupported(
                key, "silu is not supported in a feed-forward block without a gate; gelu and gelu_new are")
        }
        return activation
    }

    private static func rotary(
        _ fields: ConfigurationFields, maximumPositions: Int, thetaKey: String = "rope_theta"
    ) throws(CheckpointError) -> RotaryEmbedding {
        let theta = try fields.positiveNumber(thetaKey, default: 10_000)
        var found: RotaryEmbedding?
        for key in ["rope_parameters", "rope_scaling"] where fields.isPresent(key) {
            let nested = try fields.nested(key)
            let rotary = RotaryEmbedding(
                theta: try nested.positiveNumber("rope_theta", default: found?.theta ?? theta),
                scaling: try rotaryScaling(nested, maximumPositions: maximumPositions))
            guard found == nil || found == rotary else {
                throw fields.malformed(key, "contradicts rope_parameters")
            }
            found = rotary
        }
        return found ?? RotaryEmbedding(theta: theta)
    }

    private static func rotaryScaling(
        _ fields: ConfigurationFields, maximumPositions: Int
    ) throws(CheckpointError) -> RotaryScaling {
        let legacyName = try fields.string("type", default: "default")
        let name = try fields.string("rope_type", default: legacyName)
        switch name {
        case "default":
            return .none
        case "linear":
            return .linear(factor: try fields.positiveNumber("factor"))
        case "llama3":
            let low = try fields.positiveNumber("low_freq_factor")
            let high = try fields.positiveNumber("high_freq_factor")
            guard high > low else {
                throw fields.malformed("high_freq_factor", "must be greater than low_freq_factor")
            }
            return .llama3(
                factor: try fields.positiveNumber("factor"), lowFrequencyFactor: low,
                highFrequencyFactor: high,
                originalPositions: try fields.positive(
                    "original_max_position_embeddings", default: maximumPositions))
        default:
            throw fields.unsupported("rope_type", "\(name) is not supported; default, linear and llama3 are")
        }
    }

    private func requireConsistent(_ fields: ConfigurationFields) throws(CheckpointError) {
        guard headCount.isMultiple(of: keyValueHeadCount) else {
            throw fields.malformed(
                "num_key_value_heads", "\(keyValueHeadCount) does not divide num_attention_heads \(headCount)"
            )
        }
        if case .rotary = positions, !headSize.isMultiple(of: 2) {
            throw fields.malformed("head_dim", "\(headSize) is odd; rotary embedding needs an even head")
        }
        for id in endTokenIDs + [beginTokenID].compactMap({ $0 }) where id >= vocabularySize {
            throw fields.malformed(
                "eos_token_id or bos_token_id", "\(id) is outside the vocabulary of \(vocabularySize)")
        }
    }
}
