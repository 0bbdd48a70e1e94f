/// Adapters of every kind on disk: LoRA, prompt, P-tuning, prefix and IA3 as `peft` lays them out, a
/// bottleneck as the `adapters` library does.
extension PeftAdapter {
    /// File of a bottleneck's weights.
    public static let bottleneckFile = "adapter.safetensors"
    /// `peft` keeps only what P-tuning's encoder gave; the encoder itself is kept here, for more training.
    public static let encoderFile = "p_tuning_encoder.safetensors"
    /// Name of a bottleneck inside its file.
    static let bottleneckName = "fedtrain"

    /// Writes an adapter of any kind; the directory is made if need be. The same adapter gives the same
    /// bytes, and the configuration comes last.
    public static func write(
        _ adapter: Adapter, to directory: String, baseModelName: String? = nil
    ) throws(CheckpointError) {
        switch adapter {
        case .lora(let adapter):
            try write(adapter, to: directory, baseModelName: baseModelName)
        case .inserted(let adapter):
            try AtomicFile.makeDirectory(directory)
            var file = weightsFile
            if case .bottleneck = adapter.configuration { file = bottleneckFile }
            try SafeTensorsFile.write(
                storedTensors(adapter), metadata: ["format": "pt"], to: "\(directory)/\(file)")
            if case .pTuning = adapter.configuration {
                try SafeTensorsFile.write(
                    adapter.layout.tensors.map {
                        SafeTensor(name: $0.name, shape: $0.shape, values: adapter.values(of: $0))
                    }, metadata: ["format": "pt"], to: "\(directory)/\(encoderFile)")
            }
            let json = InsertedFileConfiguration.json(adapter, baseModelName: baseModelName)
            try AtomicFile.write(json.text(.indented), to: "\(directory)/\(configurationFile)")
        }
    }

    /// Reads an adapter of any kind for a base model of this shape, every key consumed.
    ///
    /// P-tuning without the encoder's own file is read as the prompt that the encoder gave.
    /// - Throws: `CheckpointError`: `.mismatch` if the adapter was made for another base,
    ///   `.unsupported` if it is of a kind that this version does not have.
    public static func readAny(
        _ directory: String, base: ModelConfiguration
    ) throws(CheckpointError) -> Adapter {
        let path = "\(directory)/\(configurationFile)"
        let json = try readJSONObject(path)
        guard json["peft_type"]?.string != "LORA" else { return .lora(try read(directory, base: base)) }
        var configuration = try InsertedFileConfiguration.read(json, file: path, base: base)
        if case .pTuning(let tokens, _) = configuration {
            let encoder = "\(directory)/\(encoderFile)"
            if fileExists(encoder) { return try readEncoder(encoder, configuration, base) }
            configuration = .prompt(tokens: tokens)
        }
        var name = weightsFile
        if case .bottleneck = configuration { name = bottleneckFile }
        let file = try SafeTensorsFile(path: "\(directory)/\(name)")
        let layout = InsertedLayout(configuration, base: base)
        let own = json["name"]?.string ?? bottleneckName
        var values: [Float] = []
        var unread = Set(file.tensors.map(\.name))
        for tensor in layout.tensors {
            let key = key(tensor, configuration, base, name: own)
            unread.remove(key)
            let numbers = try self.tensor(
                key, shape: storedShape(tensor, configuration), of: file, base: base)
            values += graphForm(tensor, configuration, base, numbers)
        }
        try requireAllRead(unread, of: file)
        return .inserted(InsertedAdapter(configuration: configuration, base: base, values: values))
    }

    private static func readEncoder(
        _ path: String, _ configuration: InsertedConfiguration, _ base: ModelConfiguration
    ) throws(CheckpointError) -> Adapter {
        let file = try SafeTensorsFile(path: path)
        var values: [Float] = []
        var unread = Set(file.tensors.map(\.name))
        for tensor in InsertedLayout(configuration, base: base).tensors {
            values += try self.tensor(tensor.name, shape: tensor.shape, of: file, base: base)
            unread.remove(tensor.name)
        }
        try requireAllRead(unread, of: file)
        return .inserted(InsertedAdapter(configuration: configuration, base: base, values: values))
    }

    static func requireAllRead(
        _ unread: Set<String>, of file: SafeTensorsFile
    ) throws(CheckpointError) {
        guard let name = unread.min() else { return }
        throw CheckpointError(
            .mismatch, file: file.path,
            "tensor \(name) belongs to no adapted part of this base"
                + (unread.count > 1 ? " (nor do \(unread.count - 1) others)" : ""),
            hint: "The adapter was made for another base; give the base that it was trained on")
    }

    // MARK: Names and shapes in files

    private static func storedTensors(_ adapter: InsertedAdapter) -> [SafeTensor] {
        if case .pTuning(let tokens, let inner) = adapter.configuration {
            let width = adapter.base.hiddenSize
            let encoder = PromptEncoder(tokens: tokens, width: width, inner: inner)
            return [
                SafeTensor(
                    name: "prompt_embeddings", shape: [tokens, width],
                    values: encoder.embeddings(adapter.values))
            ]
        }
        return adapter.layout.tensors.map { tensor in
            let values = adapter.values(of: tensor)
            let module = tensor.name == LinearModule.queryKeyValue.rawValue
            return SafeTensor(
                name: key(tensor, adapter.configuration, adapter.base, name: bottleneckName),
                shape: storedShape(tensor, adapter.configuration),
                values: module ? adapter.base.storedRows(of: .queryKeyValue, values) : values)
        }
    }

    private static func key(
        _ tensor: InsertedLayout.Tensor, _ configuration: InsertedConfiguration,
        _ base: ModelConfiguration, name: String
    ) -> String {
        guard let layer = tensor.layer else { return tensor.name }
        let block = base.names.block(layer)
        if configuration == .ia3, let module = LinearModule(rawValue: tensor.name) {
            return "\(keyPrefix)\(block)\(base.names.path(module)).ia3_l"
        }
        return "\(block)output_adapters.adapters.\(name).\(tensor.name)"
    }

    private static func storedShape(
        _ tensor: InsertedLayout.Tensor, _ configuration: InsertedConfiguration
    ) -> [Int] {
        guard configuration == .ia3 else { return tensor.shape }
        return tensor.name == LinearModule.down.rawValue ? [1, tensor.count] : [tensor.count, 1]
    }

    private static func graphForm(
        _ tensor: InsertedLayout.Tensor, _ configuration: InsertedConfiguration,
        _ base: ModelConfiguration, _ values: [Float]
    ) -> [Float] {
        guard configuration == .ia3, tensor.name == LinearModule.queryKeyValue.rawValue else { return values }
        return base.graphRows(of: .queryKeyValue, values)
    }
}
