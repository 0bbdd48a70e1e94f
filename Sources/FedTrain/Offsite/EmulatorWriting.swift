import Foundation
import Models
import Sodium

extension EmulatorMaker.Result {
    /// Writes the emulator as a Hugging Face directory with its notice, and the owner's record beside it.
    ///
    /// The configuration is the full model's with another number of blocks, the tokenizer's files are
    /// copied, and weights keep the type that they are stored in, so that a block that was merely kept
    /// stays bit-identical and is counted as such.
    /// - Parameter recipe: how it was made, in words.
    /// - Returns: the path of the owner's record.
    public func write(to directory: String, full: BaseModel, recipe: String) throws -> String {
        try AtomicFile.makeDirectory(directory)
        let checkpoint = try Checkpoint.load(directory: full.directory)
        let tensors = model.layout.tensors.map { tensor in
            let source = tensor.block.map { WeightLayout.name(tensor.name, inBlock: shape.sources[$0]) }
            let stored = checkpoint[source ?? tensor.name]?.entry.type
            return model.withTensor(tensor) { values in
                SafeTensor(
                    name: tensor.name, shape: tensor.shape, values: Array(values),
                    as: stored == .bf16 ? .bf16 : .f32)
            }
        }
        try SafeTensorsFile.write(
            tensors, metadata: ["format": "pt"], to: directory + "/model.safetensors")
        for file in checkpoint.fileList
        where file != "config.json" && !file.hasSuffix(".safetensors") && !file.hasSuffix(".index.json") {
            guard let data = FileManager.default.contents(atPath: "\(full.directory)/\(file)") else {
                throw CheckpointError(
                    .unreadable, file: "\(full.directory)/\(file)", "the file cannot be read any more")
            }
            try AtomicFile.write(String(decoding: data, as: UTF8.self), to: "\(directory)/\(file)")
        }
        try AtomicFile.write(
            offsiteJSON(EmulatorNotice(adapterBlocks: shape.adapterBlocks)),
            to: "\(directory)/\(EmulatorNotice.fileName)")
        try AtomicFile.write(
            configuration(of: full),
            to: "\(directory)/config.json")

        let written = try BaseModel.load(directory: directory)
        let record = EmulatorOwnerRecord(
            fullModel: full.digest, emulator: written.digest, shape: shape,
            recipe: recipe)
        let path = EmulatorOwnerRecord.path(for: directory)
        try AtomicFile.write(offsiteJSON(record), to: path)
        return path
    }

    /// The full model's `config.json` with another number of blocks; lists with an entry per block are cut.
    private func configuration(of full: BaseModel) throws -> String {
        let text = try Checkpoint.configurationText(directory: full.directory)
        let layers = shape.sources.count
        let changed = (text.members ?? []).map { member -> JSON.Member in
            switch member.key {
            case "num_hidden_layers", "n_layer", "num_layers":
                return .init(member.key, .integer(layers))
            case "layer_types":
                guard let list = member.value.array, list.count == shape.fullCount else { return member }
                return .init(member.key, .array(shape.sources.map { list[$0] }))
            default:
                return member
            }
        }
        return JSON.object(changed).text(.indented) + "\n"
    }
}
