import ArgumentParser
import FedTrain
import Foundation
import Models

/// `fedtrain emulator realign`: teach the middle again around the adapter tuned so far.
struct EmulatorRealignCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "realign",
        abstract: "Teach an emulator's middle again around the adapter that the sites tuned so far.",
        discussion: """
            Gives a new emulator to ship for the next rounds; go on from the tuned adapter with model.start. \
            The control is as many further rounds on the old emulator. Every re-shipped emulator shows \
            attackers a little more: see rung A7 of `fedtrain emulator assess --second`.
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

    @Option(help: "The directory to write: the new emulator.")
    var output: String

    @Option(help: "Most steps of distillation.")
    var steps: Int = 100

    @Option(help: "Peak learning rate of the distillation.")
    var learningRate: Float = 5e-4

    @Option(help: "Weight of the divergence from the full model's output.")
    var outputWeight: Float = 0

    @Option(help: "Public JSONL text to teach with; the built-in model's generated text when not given.")
    var data: String?

    @Option(help: "Seed of the order of the text.")
    var seed: UInt64 = 1

    struct Payload: Encodable {
        let directory: String
        let ownerRecord: String
        let before: DistillationLoss?
        let after: DistillationLoss?
    }

    func validate() throws {
        guard steps >= 1, outputWeight >= 0 else {
            throw ValidationError("--steps must be at least 1 and --output-weight not negative.")
        }
    }

    func execute(_ console: Console) throws -> Payload {
        guard !FileManager.default.fileExists(atPath: output) else {
            throw CommandFailure(
                .cannotCreate, "it exists already; nothing was changed", at: output,
                hint: "choose another name for --output")
        }
        let full = try BaseModel.load(directory: try base ?? BuiltInModel.directory())
        let realignment = try Realignment(
            full: full, emulator: try BaseModel.load(directory: emulator), adapterDirectory: adapter,
            ownerRecord: ownerRecord ?? EmulatorOwnerRecord.path(for: emulator))
        SignalWatch.start()
        let result = try realignment.make(
            Distillation(steps: steps, learningRate: learningRate, outputWeight: outputWeight),
            text: try PublicText(file: data, base: full), seed: seed
        ) { progress in
            console.tick("step \(progress.step)/\(progress.steps)  loss \(decimal(progress.loss.total, 4))")
            return !SignalWatch.interrupted
        }
        let record = try result.write(
            to: output, full: full, recipe: realignment.record.recipe + "; realigned with a tuned adapter")
        return Payload(
            directory: output, ownerRecord: record, before: result.before, after: result.after)
    }

    func describe(_ payload: Payload) -> String {
        let losses =
            payload.before.flatMap { before in
                payload.after.map { after in
                    "held-out distillation loss \(decimal(before.total, 4)) → \(decimal(after.total, 4))\n"
                }
            } ?? ""
        return """
            \(payload.directory): realigned
            \(losses)keep to yourself: \(payload.ownerRecord)
            next: set model.base to \(payload.directory) and model.start to \(adapter), then: fedtrain simulate
            """
    }
}
