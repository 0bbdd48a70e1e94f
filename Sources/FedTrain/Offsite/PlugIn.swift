import Models

/// Brings an adapter that was trained on an emulator into the full model: by name, with every file
/// checked, or not at all.
public enum PlugIn {
    public struct Result: Sendable {
        public let adapter: LoRAAdapter
        public let shape: EmulatorShape
    }

    /// The adapter for the full model.
    ///
    /// - Parameters:
    ///   - adapterDirectory: in `peft` layout, as the federation left it.
    ///   - ownerRecord: what `fedtrain emulator make` left beside the emulator.
    /// - Throws: `OffsiteError.mismatch` for another model or emulator than the record was made for;
    ///   `CheckpointError` for an adapter with missing, extra or ill-shaped tensors, or of another layout.
    public static func load(
        adapterDirectory: String, full: BaseModel, emulator: BaseModel, ownerRecord file: String
    ) throws -> Result {
        let record = try EmulatorOwnerRecord.read(file)
        try record.check(full: full, emulator: emulator, file: file)
        let shape = record.shape
        let adapter = try PeftAdapter.read(adapterDirectory, base: emulator.model.configuration)
        let blocks = Set(adapter.layout.entries.map(\.layer)).sorted()
        guard blocks.allSatisfy(shape.adapterBlocks.contains) else {
            throw OffsiteError.mismatch(
                file: adapterDirectory,
                "adapts blocks \(blocks) of the emulator, but only \(shape.adapterBlocks) stand for blocks of "
                    + "the full model; nothing was plugged in")
        }
        return Result(
            adapter: try shape.plugIn(adapter, into: full.model.configuration), shape: shape)
    }
}
