/// Adapter directories in the layout of Hugging Face `peft`: `adapter_config.json` and
/// `adapter_model.safetensors`.
///
/// What is written loads in Python with every key consumed; what `peft` wrote is read with every key
/// consumed, or refused by name. Numbers are stored as F32, since `peft` would widen halves anyway.
public enum PeftAdapter {
    public static let configurationFile = "adapter_config.json"
    public static let weightsFile = "adapter_model.safetensors"

    /// What the library puts before the path of a module of the base model.
    static let keyPrefix = "base_model.model."

    /// Writes an adapter; the directory is made if need be. The same adapter gives the same bytes.
    ///
    /// The configuration comes last, so that a directory cut short by a crash does not load.
    /// - Parameter baseModelName: noted as `base_model_name_or_path`; nil for none.
    public static func write(
        _ adapter: LoRAAdapter, to directory: String, baseModelName: String? = nil
    ) throws(CheckpointError) {
        try AtomicFile.makeDirectory(directory)
        let names = adapter.base.names
        var tensors: [SafeTensor] = []
        for entry in adapter.layout.entries {
            let a = adapter.values[entry.aOffset..<entry.aOffset + entry.aCount]
            let b = adapter.values[entry.bOffset..<entry.bOffset + entry.bCount]
            tensors.append(
                SafeTensor(name: key(entry, "A", names), shape: [entry.rank, entry.inputs], values: Array(a)))
            tensors.append(
                SafeTensor(
                    name: key(entry, "B", names), shape: [entry.outputs, entry.rank],
                    values: adapter.base.storedRows(of: entry.module, Array(b))))
        }
        try SafeTensorsFile.write(
            tensors, metadata: ["format": "pt"], to: directory + "/" + weightsFile)
        let configuration = PeftConfiguration(
            adapter.configuration, base: adapter.base, baseModelName: baseModelName)
        try AtomicFile.write(
            configuration.json.text(.indented), to: directory + "/" + configurationFile)
    }

    /// Reads an adapter for a base model of this shape.
    /// - Throws: `CheckpointError`: `.mismatch` if the adapter was made for another base,
    ///   `.unsupported` if it is of a kind that this version does not have.
    public static func read(
        _ directory: String, base: ModelConfiguration
    ) throws(CheckpointError) -> LoRAAdapter {
        let configuration = try PeftConfiguration(file: directory + "/" + configurationFile)
        let file = try SafeTensorsFile(path: directory + "/" + weightsFile)
        let lora = try configuration.lora(consistentWith: file, base: base)
        let layout = LoRALayout(lora, base: base)

        var values = [Float](repeating: 0, count: layout.count)
        var unread = Set(file.tensors.map(\.name))
        for entry in layout.entries {
            let (nameOfA, nameOfB) = (key(entry, "A", base.names), key(entry, "B", base.names))
            let a = try tensor(nameOfA, shape: [entry.rank, entry.inputs], of: file, base: base)
            let b = try tensor(nameOfB, shape: [entry.outputs, entry.rank], of: file, base: base)
            values.replaceSubrange(entry.aOffset..<entry.aOffset + entry.aCount, with: a)
            values.replaceSubrange(
                entry.bOffset..<entry.bOffset + entry.bCount,
                with: base.graphRows(of: entry.module, b))
            unread.remove(nameOfA)
            unread.remove(nameOfB)
        }
        try requireAllRead(unread, of: file)
        return LoRAAdapter(configuration: lora, base: base, values: values)
    }

    private static func key(_ entry: LoRALayout.Entry, _ factor: String, _ names: FamilyNames) -> String {
        "\(keyPrefix)\(names.block(entry.layer))\(names.path(entry.module)).lora_\(factor).weight"
    }

    static func tensor(
        _ name: String, shape: [Int], of file: SafeTensorsFile, base: ModelConfiguration
    ) throws(CheckpointError) -> [Float] {
        let hint = "The adapter was made for another base; give the base that it was trained on"
        guard let entry = file[name] else {
            throw CheckpointError(
                .mismatch, file: file.path,
                "there is no tensor \(name), which this base of \(base.layerCount) layers needs", hint: hint)
        }
        guard entry.shape == shape else {
            throw CheckpointError(
                .mismatch, file: file.path,
                "tensor \(name) has shape \(entry.shape), this base needs \(shape)", hint: hint)
        }
        let numbers = try file.floats(entry)
        guard numbers.allSatisfy(\.isFinite) else {
            throw CheckpointError(
                .malformed, file: file.path, "tensor \(name) holds a value that is not a number",
                hint: "The training that made it diverged")
        }
        return numbers
    }
}
