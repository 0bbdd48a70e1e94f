/// A model directory in Hugging Face layout, opened: its configuration and its named tensors.
///
/// Reads `config.json` and either `model.safetensors` or the shards that
/// `model.safetensors.index.json` lists. The tokenizer is loaded separately
/// (`Tokenizer(directory:)`).
public struct Checkpoint: Sendable {
    public let directory: String
    public let configuration: ModelConfiguration
    /// One file, or all shards in the order of their names.
    public let files: [SafeTensorsFile]
    /// Names, relative to `directory`, of every file that defines the model and its tokenizer, in a
    /// fixed order. A digest over names and contents identifies the base model.
    public let fileList: [String]

    private let location: [ByteString: Int]

    /// Opens and checks the directory. Tensor data is mapped, not read.
    /// - Throws: `CheckpointError` naming the file at fault.
    public static func load(directory: String) throws(CheckpointError) -> Checkpoint {
        try Checkpoint(directory: directory)
    }

    private init(directory: String) throws(CheckpointError) {
        self.directory = directory
        configuration = try ModelConfiguration(file: directory + "/config.json")

        let indexPath = directory + "/model.safetensors.index.json"
        var weights = ["model.safetensors"]
        var weightMap: [ByteString: String]?
        if !fileExists(directory + "/" + weights[0]), fileExists(indexPath) {
            let map = try Self.weightMap(indexPath)
            weights = Set(map.values.map(ByteString.init)).map(\.string).sorted()
            weightMap = map
        }
        var files: [SafeTensorsFile] = []
        var location: [ByteString: Int] = [:]
        for (index, name) in weights.enumerated() {
            let file = try SafeTensorsFile(path: directory + "/" + name)
            for tensor in file.tensors {
                guard location.updateValue(index, forKey: ByteString(tensor.name)) == nil else {
                    throw CheckpointError(
                        .malformed, file: file.path, "tensor \(tensor.name) is also in another shard")
                }
            }
            files.append(file)
        }
        for (tensor, shard) in weightMap ?? [:] {
            guard let index = location[tensor], weights[index] == shard else {
                throw CheckpointError(
                    .malformed, file: indexPath, "tensor \(tensor.string) is not in \(shard)",
                    hint: "Fetch index and shards of the same version")
            }
        }
        self.files = files
        self.location = location
        let others = [
            "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
            ChatTemplateSource.fileName,
        ].filter { fileExists(directory + "/" + $0) }
        fileList = others + weights + (weightMap == nil ? [] : ["model.safetensors.index.json"])
    }

    /// The tensor called `name` and the file that holds it, or nil.
    public subscript(name: String) -> (file: SafeTensorsFile, entry: TensorEntry)? {
        guard let index = location[ByteString(name)], let entry = files[index][name] else { return nil }
        return (files[index], entry)
    }

    /// The `config.json` of a directory, whole.
    public static func configurationText(directory: String) throws(CheckpointError) -> JSON {
        try readJSONObject(directory + "/config.json")
    }

    /// Names of all tensors, in file order.
    public var tensorNames: [String] {
        files.flatMap { $0.tensors.map(\.name) }
    }

    /// The tensor's values as `Float`, row-major.
    /// - Parameter shape: what the model's graph needs.
    /// - Throws: `CheckpointError` if the tensor is missing, has another shape, or has an element
    ///   type that cannot be expanded.
    public func floats(_ name: String, shape: [Int]) throws(CheckpointError) -> [Float] {
        let (file, entry) = try tensor(name, shape: shape)
        return try file.floats(entry)
    }

    /// The tensor called `name` and the file that holds it.
    /// - Throws: `CheckpointError` if the tensor is missing or has another shape.
    func tensor(
        _ name: String, shape: [Int]
    ) throws(CheckpointError) -> (file: SafeTensorsFile, entry: TensorEntry) {
        guard let (file, entry) = self[name] else {
            throw CheckpointError(
                .mismatch, file: directory, "the weights have no tensor \(name)",
                hint: "config.json and weights may belong to different models")
        }
        guard entry.shape == shape else {
            throw CheckpointError(
                .mismatch, file: file.path,
                "tensor \(name) has shape \(entry.shape), config.json asks for \(shape)",
                hint: "config.json and weights may belong to different models")
        }
        return (file, entry)
    }

    private static func weightMap(_ path: String) throws(CheckpointError) -> [ByteString: String] {
        guard let members = try readJSONObject(path)["weight_map"]?.members, !members.isEmpty else {
            throw CheckpointError(.malformed, file: path, "has no weight_map")
        }
        var map: [ByteString: String] = [:]
        for member in members {
            // A shard is a plain file beside the index: a path could leave the directory.
            guard let name = member.value.string, !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")),
                name != ".", name != ".."
            else {
                throw CheckpointError(
                    .malformed, file: path, "the shard of tensor \(member.key) is not a file name")
            }
            guard map.updateValue(name, forKey: ByteString(member.key)) == nil else {
                throw CheckpointError(.malformed, file: path, "lists tensor \(member.key) twice")
            }
        }
        return map
    }
}
