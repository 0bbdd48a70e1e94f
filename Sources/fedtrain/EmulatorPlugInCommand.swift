import ArgumentParser
import FedTrain
import Foundation
import Models

/// `fedtrain emulator plug-in`: bring a tuned adapter back into the full model.
struct EmulatorPlugInCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "plug-in",
        abstract: "Turn an adapter tuned on the emulator into one of the full model.",
        discussion: """
            Works by tensor name with the owner's record: another model, another emulator, a missing or \
            extra tensor, or an adapter of withheld blocks is refused and nothing is written.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "The emulator's directory.")
    var emulator: String

    @Option(help: "Hugging Face directory of the full model; the built-in one when not given.")
    var base: String?

    @Option(help: "Adapter directory in `peft` layout, tuned on the emulator.")
    var adapter: String

    @Option(help: "The owner's record; EMULATOR.owner.json when not given.")
    var ownerRecord: String?

    @Option(help: "The directory to write: the adapter of the full model.")
    var output: String

    struct Payload: Encodable {
        let directory: String
        let blocks: [Int]
        let parameters: Int
    }

    func execute(_ console: Console) throws -> Payload {
        guard !FileManager.default.fileExists(atPath: output) else {
            throw CommandFailure(
                .cannotCreate, "it exists already; nothing was changed", at: output,
                hint: "choose another name for --output")
        }
        let full = try BaseModel.load(directory: try base ?? BuiltInModel.directory())
        let result = try PlugIn.load(
            adapterDirectory: adapter, full: full, emulator: try BaseModel.load(directory: emulator),
            ownerRecord: ownerRecord ?? EmulatorOwnerRecord.path(for: emulator))
        try PeftAdapter.write(result.adapter, to: output, baseModelName: base)
        return Payload(
            directory: output, blocks: Set(result.adapter.layout.entries.map(\.layer)).sorted(),
            parameters: result.adapter.layout.count)
    }

    func describe(_ payload: Payload) -> String {
        """
        \(payload.directory): \(payload.parameters) parameters on blocks \
        \(payload.blocks.map(String.init).joined(separator: ", ")) of the full model
        next: fedtrain evaluate --base FULL --adapter \(payload.directory) --data FILE.jsonl
        """
    }
}
