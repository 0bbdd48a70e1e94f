import Kernels

extension LanguageModel {
    /// The base with an adapter multiplied in: W + s·B·A for every adapted linear [Hu et al. 2021].
    /// - Throws: `EngineError.adapterDoesNotFit` for an adapter of another base.
    public func merging(_ adapter: LoRAAdapter) throws(EngineError) -> LanguageModel {
        let expected = LoRALayout(adapter.configuration, base: configuration)
        guard adapter.layout == expected else {
            throw .adapterDoesNotFit(expected: expected.count, found: adapter.layout.count)
        }
        var weights = flatWeights
        weights.withUnsafeMutableBufferPointer { weights in
            adapter.values.withUnsafeBufferPointer { values in
                for entry in expected.entries {
                    let names = configuration.names
                    let name = "\(names.block(entry.layer))\(names.path(entry.module)).weight"
                    let place = layout.named(name).offset
                    loraMerge(
                        inputs: entry.inputs, outputs: entry.outputs, rank: entry.rank,
                        scale: Float(adapter.configuration.scale),
                        a: values.baseAddress! + entry.aOffset, b: values.baseAddress! + entry.bOffset,
                        target: weights.baseAddress! + place)
                }
            }
        }
        return LanguageModel(like: self, weights: weights)
    }
}

extension LanguageModel {
    /// The base with an adapter multiplied into its weights: LoRA and IA3.
    /// - Throws: `EngineError.cannotMerge` for a kind that adds rows or layers instead of changing
    ///   weights; `adapterDoesNotFit` for an adapter of another base.
    public func merged(with adapter: Adapter) throws(EngineError) -> LanguageModel {
        switch adapter {
        case .lora(let lora):
            return try merging(lora)
        case .inserted(let inserted):
            guard inserted.configuration == .ia3 else {
                throw EngineError.cannotMerge(kind: inserted.configuration.name)
            }
            let expected = InsertedLayout(.ia3, base: configuration)
            guard inserted.layout == expected else {
                throw EngineError.adapterDoesNotFit(
                    expected: expected.count, found: inserted.layout.count)
            }
            var weights = flatWeights
            for tensor in inserted.layout.tensors { scale(inserted, tensor, &weights) }
            return LanguageModel(like: self, weights: weights)
        }
    }

    private func tensor(_ layer: Int, _ module: LinearModule, _ suffix: String) -> WeightLayout.Tensor? {
        let name = "\(configuration.names.block(layer))\(configuration.names.path(module)).\(suffix)"
        return layout.tensors.first { $0.name == name }
    }

    /// Factors of outputs scale rows and biases; those of `down`'s inputs scale columns.
    private func scale(
        _ adapter: InsertedAdapter, _ factors: InsertedLayout.Tensor, _ weights: inout [Float]
    ) {
        guard let layer = factors.layer, let module = LinearModule(rawValue: factors.name),
            let weight = tensor(layer, module, "weight")
        else { return }
        let columns = weight.shape[1]
        for index in 0..<weight.count {
            let place = module == .down ? index % columns : index / columns
            weights[weight.offset + index] *= adapter.values[factors.offset + place]
        }
        guard module != .down, let bias = tensor(layer, module, "bias") else { return }
        for index in 0..<bias.count {
            weights[bias.offset + index] *= adapter.values[factors.offset + index]
        }
    }
}

extension Checkpoint {
    /// Writes a model of the same shape to a new directory: weights as F32 under their stored names and
    /// in their stored form, and everything else as it is here. `config.json` comes last, so that a
    /// directory cut short by a crash does not load.
    public func write(_ model: LanguageModel, to directory: String) throws(CheckpointError) {
        precondition(model.configuration == configuration, "a model of this checkpoint's shape")
        try AtomicFile.makeDirectory(directory)
        let tensors = model.layout.tensors.map { tensor in
            SafeTensor(
                name: tensor.name, shape: tensor.storedShape,
                values: configuration.storedForm(of: tensor, model.withTensor(tensor, Array.init)))
        }
        try SafeTensorsFile.write(
            tensors, metadata: ["format": "pt"], to: "\(directory)/model.safetensors")
        for name in fileList where name != "config.json" && !name.hasPrefix("model") {
            let file = try MappedFile(path: "\(self.directory)/\(name)")
            try AtomicFile.write(Array(file.bytes), to: "\(directory)/\(name)")
        }
        let json = try readJSONObject("\(self.directory)/config.json")
        let members = (json.members ?? []).map { member in
            ["dtype", "torch_dtype"].contains(member.key)
                ? JSON.Member(member.key, .string("float32")) : member
        }
        try AtomicFile.write(
            JSON.object(members).text(.indented) + "\n", to: "\(directory)/config.json")
    }
}

extension ModelConfiguration {
    /// A tensor as the family stores it, from the graph's form.
    func storedForm(of tensor: WeightLayout.Tensor, _ values: [Float]) -> [Float] {
        switch tensor.stored {
        case .transposed where tensor.isMatrix:
            let (outputs, inputs) = (tensor.shape[0], tensor.shape[1])
            return (0..<inputs).flatMap { input in
                (0..<outputs).map { values[$0 * inputs + input] }
            }
        case .headInterleaved: return storedRows(of: .queryKeyValue, values)
        case .plain, .transposed: return values
        }
    }
}
