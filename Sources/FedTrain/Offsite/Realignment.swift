import Models

/// Teaches an emulator's middle again around the adapter that the sites have tuned so far: the owner's
/// half of an alternation [FedBiOT, Wu et al. 2024].
///
/// Teacher and student carry the adapter; only the middle moves. Each re-shipped emulator shows attackers
/// a little more (rung A7), and the honest control is as many further rounds on the old emulator.
public struct Realignment {
    public let full: BaseModel
    public let emulator: BaseModel
    public let record: EmulatorOwnerRecord
    public let plugIn: PlugIn.Result
    /// As tuned on the emulator.
    public let adapter: LoRAAdapter

    public init(
        full: BaseModel, emulator: BaseModel, adapterDirectory: String, ownerRecord file: String
    ) throws {
        self.full = full
        self.emulator = emulator
        record = try EmulatorOwnerRecord.read(file)
        plugIn = try PlugIn.load(
            adapterDirectory: adapterDirectory, full: full, emulator: emulator, ownerRecord: file)
        adapter = try PeftAdapter.read(adapterDirectory, base: emulator.model.configuration)
    }

    /// The emulator with a middle that fits the tuned adapter.
    public func make(
        _ distillation: Distillation, text: PublicText, seed: UInt64,
        progress: (DistillationProgress) -> Bool
    ) throws -> EmulatorMaker.Result {
        let shape = record.shape
        let distiller = Distiller(
            teacher: try full.model.merging(plugIn.adapter), shape: shape, distillation: distillation)
        let student = try emulator.model.merging(adapter)
        let before = try distiller.loss(student, text.heldOut)
        let taught = try distiller.distil(
            student, on: text.training, heldOut: text.heldOut, seed: seed, progress: progress)
        let after = try distiller.loss(taught, text.heldOut)
        let middle = Dictionary(uniqueKeysWithValues: shape.standIns.map { ($0, $0) })
        return EmulatorMaker.Result(
            model: emulator.model.replacing(blocks: middle, from: taught), shape: shape, before: before,
            after: after)
    }
}
