/// An `adapter_config.json` of `peft`, as far as it says something about the numbers.
struct PeftConfiguration {
    let json: JSON
    private let file: String

    /// What `peft` would write for this adapter, ready for inference: keys sorted, rank and alpha
    /// always explicit.
    init(_ configuration: LoRAConfiguration, base: ModelConfiguration, baseModelName: String?) {
        file = PeftAdapter.configurationFile
        let alpha = Int(exactly: configuration.alpha).map(JSON.integer) ?? .real(configuration.alpha)
        let targets = base.names.targetNames(configuration.targetModules).sorted()
        json = .object([
            .init("alpha_pattern", .object([])),
            .init("auto_mapping", .null),
            .init("base_model_name_or_path", baseModelName.map(JSON.string) ?? .null),
            .init("bias", .string("none")),
            .init("fan_in_fan_out", .bool(base.names.storesTransposed)),
            .init("inference_mode", .bool(true)),
            .init("init_lora_weights", .bool(true)),
            .init("layers_pattern", .null),
            .init(
                "layers_to_transform",
                configuration.layers.map { .array($0.map(JSON.integer)) } ?? .null),
            .init("lora_alpha", alpha),
            .init("lora_dropout", .real(0)),
            .init("modules_to_save", .null),
            .init("peft_type", .string("LORA")),
            .init("r", .integer(configuration.rank)),
            .init("rank_pattern", .object([])),
            .init("revision", .null),
            .init("target_modules", .array(targets.map(JSON.string))),
            .init("task_type", .string("CAUSAL_LM")),
            .init("use_dora", .bool(false)),
            .init("use_rslora", .bool(configuration.useRSLoRA)),
        ])
    }

    init(file: String) throws(CheckpointError) {
        json = try readJSONObject(file)
        self.file = file
    }

    /// The plain LoRA that the file describes.
    ///
    /// The linears are taken from the keys of the weights, because `target_modules` may be absent, a
    /// regular expression or a list of suffixes; a list of names must agree with them.
    /// The blocks too are taken from the keys, and must agree with `layers_to_transform`.
    func lora(
        consistentWith weights: SafeTensorsFile, base: ModelConfiguration
    ) throws(CheckpointError) -> LoRAConfiguration {
        let fields = ConfigurationFields(json: json, file: file)
        let type = try fields.string("peft_type")
        guard type == "LORA" else {
            throw fields.unsupported("peft_type", "\(type) is not supported yet; LORA is")
        }
        try requirePlain(fields, base)
        let rank = try fields.positive("r", default: 8)
        let modules = try modules(of: weights, base: base)
        if let listed = json["target_modules"]?.array?.compactMap(\.string) {
            for tensor in weights.tensors {
                // `.lora_A.weight` or `.lora_B.weight` follows the path that `peft` matches the end of.
                let path = ".\(tensor.name.dropLast(".lora_A.weight".count))"
                guard listed.contains(where: { path.hasSuffix(".\($0)") }) else {
                    throw CheckpointError(
                        .malformed, file: weights.path,
                        "has weights for \(path.dropFirst()), which target_modules does not list")
                }
            }
        }
        return LoRAConfiguration(
            rank: rank, alpha: try fields.positiveNumber("lora_alpha", default: 8), targetModules: modules,
            useRSLoRA: try fields.boolean("use_rslora", default: false),
            layers: try layers(of: weights, layerCount: base.layerCount))
    }

    /// The blocks that the weights adapt; nil for all of the base's.
    private func layers(
        of weights: SafeTensorsFile, layerCount: Int
    ) throws(CheckpointError) -> [Int]? {
        let found = Set(weights.tensors.compactMap { WeightLayout.block(of: $0.name) })
        let listed = json["layers_to_transform"].flatMap { value in
            value.array?.compactMap(\.integer) ?? value.integer.map { [$0] }
        }
        if let listed, Set(listed) != found {
            throw CheckpointError(
                .malformed, file: weights.path,
                "has weights for blocks \(found.sorted()), but layers_to_transform lists \(listed)")
        }
        let hint = "The adapter was made for another base; give the base that it was trained on"
        if listed == nil, let missing = (0..<layerCount).first(where: { !found.contains($0) }) {
            throw CheckpointError(
                .mismatch, file: weights.path,
                "has no weights for block \(missing), which this base of \(layerCount) layers needs",
                hint: hint)
        }
        if let layer = found.max(), layer >= layerCount {
            throw CheckpointError(
                .mismatch, file: weights.path,
                "adapts block \(layer), which belongs to no base of \(layerCount) layers", hint: hint)
        }
        return found.count == layerCount ? nil : found.sorted()
    }

    /// Refuses the variants that change what the weights mean.
    private func requirePlain(
        _ fields: ConfigurationFields, _ base: ModelConfiguration
    ) throws(CheckpointError) {
        for key in [
            "use_dora", "lora_bias", "use_qalora", "use_bdlora",
        ] where try fields.boolean(key, default: false) {
            throw fields.unsupported(key, "true is not supported")
        }
        // `peft` sets it by itself for GPT-2, whatever the file says.
        if try fields.boolean("fan_in_fan_out", default: false), !base.names.storesTransposed {
            throw fields.unsupported("fan_in_fan_out", "true does not fit a \(base.family.rawValue) model")
        }
        // Other initialisations (PiSSA, OLoRA, CorDA, LoftQ, …) change the base's weights as well.
        if let name = json["init_lora_weights"]?.string, !["gaussian", "eva", "orthogonal"].contains(name) {
            throw fields.unsupported("init_lora_weights", "\(name) is not supported")
        }
        let bias = try fields.string("bias", default: "none")
        guard bias == "none" else { throw fields.unsupported("bias", "\(bias) is not supported; none is") }
        for key in [
            "rank_pattern", "alpha_pattern", "modules_to_save", "target_parameters",
            "trainable_token_indices", "layer_replication", "alora_invocation_tokens",
        ] where fields.isPresent(key) {
            let value = json[key]!
            let isEmpty = value.array?.isEmpty ?? value.members?.isEmpty ?? false
            guard isEmpty else { throw fields.unsupported(key, "is not supported") }
        }
    }

    /// The linears that the weights adapt, from keys of the form
    /// `base_model.model.{blocks}.{i}.{module}.lora_{A|B}.weight`.
    private func modules(
        of weights: SafeTensorsFile, base: ModelConfiguration
    ) throws(CheckpointError) -> [LinearModule] {
        var modules = Set<LinearModule>()
        let prefix = "\(PeftAdapter.keyPrefix)\(base.names.blocks)."
        for tensor in weights.tensors {
            // After the prefix: the block's index, then the module's path.
            let rest = tensor.name.dropFirst(prefix.count).drop { $0 != "." }.dropFirst()
            let module = base.linearModules.first { module in
                rest == "\(base.names.path(module)).lora_A.weight"
                    || rest == "\(base.names.path(module)).lora_B.weight"
            }
            guard tensor.name.hasPrefix(prefix), let module else {
                throw CheckpointError(
                    .mismatch, file: weights.path,
                    "tensor \(tensor.name) is not the LoRA factor of a linear of this "
                        + "\(base.family.rawValue) model",
                    hint: "Give a LoRA adapter that was trained on a base of the same family")
            }
            modules.insert(module)
        }
        guard !modules.isEmpty else {
            throw CheckpointError(.malformed, file: weights.path, "holds no tensors")
        }
        return modules.sorted()
    }
}
