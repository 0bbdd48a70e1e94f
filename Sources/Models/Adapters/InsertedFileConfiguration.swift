/// The `adapter_config.json` of adapters other than LoRA.
enum InsertedFileConfiguration {
    /// What `peft` (or, for a bottleneck, `adapters`) would write.
    static func json(_ adapter: InsertedAdapter, baseModelName: String?) -> JSON {
        let base = adapter.base
        if case .bottleneck(let reduction) = adapter.configuration {
            return bottleneck(base, reduction: reduction, baseModelName: baseModelName)
        }
        var members: [JSON.Member] = [
            .init("auto_mapping", .null),
            .init("base_model_name_or_path", baseModelName.map(JSON.string) ?? .null),
            .init("inference_mode", .bool(true)),
            .init("modules_to_save", .null),
            .init("revision", .null),
            .init("task_type", .string("CAUSAL_LM")),
        ]
        switch adapter.configuration {
        case .prompt(let tokens):
            members += promptLearning(
                "PROMPT_TUNING", base, tokens: tokens, width: base.hiddenSize, heads: base.headCount)
            members.append(.init("prompt_tuning_init", .string("RANDOM")))
        case .pTuning(let tokens, let inner):
            members += promptLearning(
                "P_TUNING", base, tokens: tokens, width: base.hiddenSize, heads: base.headCount)
            members += [
                .init("encoder_dropout", .real(0)),
                .init("encoder_hidden_size", .integer(inner)),
                .init("encoder_num_layers", .integer(2)),
                .init("encoder_reparameterization_type", .string("MLP")),
            ]
        case .prefix(let tokens):
            members += promptLearning(
                "PREFIX_TUNING", base, tokens: tokens, width: base.keyValueWidth,
                heads: base.keyValueHeadCount)
            members += [
                .init("encoder_hidden_size", .integer(base.hiddenSize)),
                .init("prefix_projection", .bool(false)),
            ]
        case .ia3:
            let modules = InsertedConfiguration.ia3Modules(base)
            members += [
                .init("peft_type", .string("IA3")),
                .init("fan_in_fan_out", .bool(base.names.storesTransposed)),
                .init("feedforward_modules", names([.down], base)),
                .init("init_ia3_weights", .bool(true)),
                .init("target_modules", names(modules, base)),
            ]
        case .bottleneck:
            break
        }
        return .object(members.sorted { $0.key < $1.key })
    }

    private static func names(_ modules: [LinearModule], _ base: ModelConfiguration) -> JSON {
        .array(base.names.targetNames(modules).map(JSON.string))
    }

    private static func promptLearning(
        _ type: String, _ base: ModelConfiguration, tokens: Int, width: Int, heads: Int
    ) -> [JSON.Member] {
        [
            .init("peft_type", .string(type)),
            .init("num_attention_heads", .integer(heads)),
            .init("num_layers", .integer(base.layerCount)),
            .init("num_transformer_submodules", .integer(1)),
            .init("num_virtual_tokens", .integer(tokens)),
            .init("token_dim", .integer(width)),
        ]
    }

    /// What a bottleneck after every block means in the other library's words.
    private static let bottleneckTerms: [(key: String, value: JSON)] = [
        ("adapter_residual_before_ln", .bool(false)), ("cross_adapter", .bool(false)),
        ("dropout", .real(0)), ("init_weights", .string("bert")), ("inv_adapter", .null),
        ("is_parallel", .bool(false)), ("leave_out", .array([])), ("ln_after", .bool(false)),
        ("ln_before", .bool(false)), ("mh_adapter", .bool(false)), ("non_linearity", .string("relu")),
        ("original_ln_after", .bool(true)), ("original_ln_before", .bool(true)),
        ("output_adapter", .bool(true)), ("phm_layer", .bool(false)), ("residual_before_ln", .bool(true)),
        ("scaling", .real(1)), ("use_gating", .bool(false)),
    ]

    private static func bottleneck(
        _ base: ModelConfiguration, reduction: Int, baseModelName: String?
    ) -> JSON {
        var terms = bottleneckTerms.map { JSON.Member($0.key, $0.value) }
        terms.append(.init("reduction_factor", .integer(reduction)))
        let model =
            switch base.family {
            case .llama: "LlamaForCausalLM"
            case .mistral: "MistralForCausalLM"
            case .qwen2: "Qwen2ForCausalLM"
            case .gpt2: "GPT2LMHeadModel"
            case .gptNeoX: "GPTNeoXForCausalLM"
            }
        return .object([
            .init("config", .object(terms.sorted { $0.key < $1.key })),
            .init("hidden_size", .integer(base.hiddenSize)),
            .init("model_class", .string(model)),
            .init("model_name", .string(baseModelName ?? "")),
            .init("model_type", .string(base.family.rawValue)),
            .init("name", .string(PeftAdapter.bottleneckName)),
            .init("version", .string("adapters.1.3.0")),
        ])
    }

    /// What a file describes.
    /// - Throws: `CheckpointError` that names the field which is unknown or does not fit the base.
    static func read(
        _ json: JSON, file: String, base: ModelConfiguration
    ) throws(CheckpointError) -> InsertedConfiguration {
        let fields = ConfigurationFields(json: json, file: file)
        if fields.isPresent("config") { return try readBottleneck(fields, base) }
        let type = try fields.string("peft_type")
        if type == "IA3" { return try readIA3(fields, base) }
        guard ["PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING"].contains(type) else {
            throw fields.unsupported(
                "peft_type",
                "\(type) is not supported; LORA, PROMPT_TUNING, P_TUNING, PREFIX_TUNING and IA3 are")
        }
        let tokens = try fields.positive("num_virtual_tokens")
        let width = type == "PREFIX_TUNING" ? base.keyValueWidth : base.hiddenSize
        for (key, expected) in [("token_dim", width), ("num_layers", base.layerCount)] {
            guard try fields.positive(key, default: expected) == expected else {
                throw CheckpointError(
                    .mismatch, file: file, "\(key) is not \(expected), which this base needs",
                    hint: "The adapter was made for another base; give the base that it was trained on")
            }
        }
        guard try fields.positive("num_transformer_submodules", default: 1) == 1 else {
            throw fields.unsupported("num_transformer_submodules", "must be 1")
        }
        switch type {
        case "PROMPT_TUNING":
            return .prompt(tokens: tokens)
        case "PREFIX_TUNING":
            // A projection is not in the file: what it gave is.
            return .prefix(tokens: tokens)
        default:
            guard try fields.string("encoder_reparameterization_type", default: "MLP") == "MLP" else {
                return .prompt(tokens: tokens)
            }
            return .pTuning(
                tokens: tokens,
                encoderWidth: try fields.positive("encoder_hidden_size", default: base.hiddenSize))
        }
    }

    private static func readIA3(
        _ fields: ConfigurationFields, _ base: ModelConfiguration
    ) throws(CheckpointError) -> InsertedConfiguration {
        let expected: [(String, [LinearModule])] = [
            ("target_modules", InsertedConfiguration.ia3Modules(base)), ("feedforward_modules", [.down]),
        ]
        for (key, modules) in expected {
            // A regular expression or nothing: the weights' own names decide.
            guard let listed = fields.json[key]?.array?.compactMap(\.string) else { continue }
            let covers = modules.allSatisfy { module in
                listed.contains { ".\(base.names.path(module))".hasSuffix(".\($0)") }
            }
            guard covers, listed.count == modules.count else {
                throw fields.unsupported(
                    key,
                    "\(listed) is not supported; \(base.names.targetNames(modules)) is")
            }
        }
        return .ia3
    }

    private static func readBottleneck(
        _ fields: ConfigurationFields, _ base: ModelConfiguration
    ) throws(CheckpointError) -> InsertedConfiguration {
        let nested = try fields.nested("config")
        for (key, value) in bottleneckTerms where key != "init_weights" && key != "dropout" {
            guard let found = nested.json[key], found.text() != value.text() else { continue }
            if let a = found.number, a == value.number { continue }
            throw nested.unsupported(key, "must be \(value.text()) for a bottleneck after every block")
        }
        let reduction = try nested.positiveNumber("reduction_factor")
        guard let whole = Int(exactly: reduction), whole >= 1 else {
            throw nested.malformed("reduction_factor", "must be a whole number")
        }
        return .bottleneck(reduction: whole)
    }
}
