import ArgumentParser
import FedTrain
import Foundation
import Models

/// `fedtrain emulator make`: compress a model's middle, teach it, and write the directory that travels.
struct EmulatorMakeCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "make",
        abstract: "Make the compressed emulator that sites get instead of the model.",
        discussion: """
            The first and last blocks stay and carry the adapter; the middle is thinned, cut, rounded and \
            taught on public text. The owner's record is written beside the directory and must not travel. \
            Stopped with Ctrl-C, the same command goes on where it was.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "Hugging Face directory of the full model; the built-in one when not given.")
    var base: String?

    @Option(help: "The directory to write; what sites get.")
    var output: String

    @Option(help: "Adapter blocks at the start.")
    var first: Int = 1

    @Option(help: "Adapter blocks at the end.")
    var last: Int = 1

    @Option(
        help: "Adapter blocks by number, such as 0,3,7, instead of --first and --last; the last block is one."
    )
    var adapterBlocks: String?

    @Option(help: "Middle blocks that stay; half of them when neither this nor --drop is given.")
    var keep: Int?

    @Option(help: "Share of middle blocks to drop, instead of --keep.")
    var drop: Double?

    @Option(help: "uniform-round, uniform-floor, cluster, or cluster-shared (repeated to full depth).")
    var rule: String = LayerRule.uniformRounded.rawValue

    @Option(help: "Share of singular values that the middle's matrices keep.")
    var rankShare: Double?

    @Option(help: "Round the middle's matrices to this many bits.")
    var bits: Int?

    @Option(help: "Most steps of distillation; 0 for none.")
    var steps: Int = 200

    @Option(help: "Peak learning rate of the distillation.")
    var learningRate: Float = 1e-3

    @Option(help: "Weight of the hidden-state term.")
    var hiddenWeight: Float = 1

    @Option(help: "Weight of the emulator's own language loss.")
    var languageWeight: Float = 0

    @Option(help: "Weight of the divergence from the full model's output.")
    var outputWeight: Float = 0

    @Flag(help: "Compare hidden states behind every block of the middle, not at its end alone.")
    var layerWise = false

    @Option(help: "Public JSONL text to teach with; the built-in model's generated text when not given.")
    var data: String?

    @Option(help: "Seed of the order of the text.")
    var seed: UInt64 = 1

    struct Payload: Encodable {
        let directory: String
        let ownerRecord: String
        let recipe: String
        let sources: [Int]
        let adapterBlocks: [Int]
        let fullParameters: Int
        let parameters: Int
        let exactFraction: Double
        let nearFraction: Double
        let before: DistillationLoss?
        let after: DistillationLoss?
        let stopped: Bool
    }

    func validate() throws {
        guard keep == nil || drop == nil else { throw ValidationError("Give --keep or --drop, not both.") }
        if let drop, !(drop >= 0 && drop < 1) { throw ValidationError("--drop must be from 0 to below 1.") }
        guard adapterBlocks == nil || (first == 1 && last == 1) else {
            throw ValidationError("Give --adapter-blocks or --first and --last, not both.")
        }
        _ = try chosenBlocks()
        guard steps >= 0 else { throw ValidationError("--steps must not be negative.") }
        guard hiddenWeight >= 0, languageWeight >= 0, outputWeight >= 0,
            hiddenWeight + languageWeight + outputWeight > 0
        else { throw ValidationError("Weights must not be negative, and one must be above 0.") }
        guard Self.rules.contains(rule) else {
            throw ValidationError("--rule must be one of \(Self.rules.joined(separator: ", ")).")
        }
    }

    private static let rules = EmulatorRecipe.ruleNames

    func execute(_ console: Console) throws -> Payload {
        guard !FileManager.default.fileExists(atPath: output) else {
            throw CommandFailure(
                .cannotCreate, "it exists already; nothing was changed", at: output,
                hint: "choose another name for --output")
        }
        let full = try BaseModel.load(directory: try base ?? BuiltInModel.directory())
        let recipe = try recipe(layers: full.model.configuration.layerCount)
        try recipe.check(full.model.configuration)
        let text = try PublicText(file: data, base: full)
        let maker = try EmulatorMaker(
            full: full, recipe: recipe, text: text.training, heldOut: text.heldOut)
        let state = DistillationFile(
            beside: output, fingerprint: "\(full.digest.hex) \(recipe) \(text.statement)")
        let resumed = try state.load()
        if let resumed { console.say("going on from step \(resumed.step)") }

        SignalWatch.start()
        var failure: (any Error)?
        let started = monotonicSeconds()
        let result = try maker.make(resuming: resumed) { progress in
            report(progress, since: started, from: resumed?.step ?? 0, console)
            do {
                if progress.step.isMultiple(of: 50) || SignalWatch.interrupted {
                    try state.save(progress.state)
                }
            } catch {
                failure = error
            }
            return !SignalWatch.interrupted && failure == nil
        }
        if let failure { throw failure }
        if SignalWatch.interrupted {
            throw CommandFailure(
                .tryAgain, "stopped; what was learned so far is kept", at: state.path,
                hint: "run the same command again to go on")
        }
        let record = try result.write(to: output, full: full, recipe: recipe.statement)
        state.remove()
        let disclosure = Disclosure(
            full: full.model, emulator: result.model, middle: result.shape.withheld)
        return Payload(
            directory: output, ownerRecord: record, recipe: recipe.statement,
            sources: result.shape.sources, adapterBlocks: result.shape.adapterBlocks,
            fullParameters: full.model.parameterCount, parameters: result.model.parameterCount,
            exactFraction: disclosure.exactFraction, nearFraction: disclosure.nearFraction,
            before: result.before, after: result.after, stopped: false)
    }

    func describe(_ payload: Payload) -> String {
        var lines = [
            "\(payload.directory): \(payload.parameters) parameters in \(payload.sources.count) blocks, of "
                + "\(payload.fullParameters) in the full model",
            "recipe: \(payload.recipe)",
            "travels bit-identical: \(decimal(payload.exactFraction * 100, 1)) % of the owner's parameters; "
                + "nearly identical: \(decimal(payload.nearFraction * 100, 1)) %",
        ]
        if let before = payload.before, let after = payload.after {
            lines.append(
                "held-out distillation loss \(decimal(before.total, 4)) → \(decimal(after.total, 4))")
        }
        lines.append("keep to yourself: \(payload.ownerRecord)")
        lines.append("next: set model.base in federation.yaml to \(payload.directory), then: fedtrain plan")
        return lines.joined(separator: "\n")
    }

    private func recipe(layers: Int) throws -> EmulatorRecipe {
        let (first, inner, last) = try places(layers: layers)
        let distillation =
            steps == 0
            ? nil
            : Distillation(
                steps: steps, learningRate: learningRate, hiddenWeight: hiddenWeight,
                languageWeight: languageWeight, outputWeight: outputWeight, isLayerWise: layerWise)
        return EmulatorRecipe(
            first: first, last: last, inner: inner,
            middle: .init(rule: rule, keep: keep, drop: drop, of: layers - first - last - inner.count),
            rankShare: rankShare, bits: bits,
            distillation: distillation, seed: seed)
    }

    /// Adapter blocks at the start, between and at the end.
    private func places(layers: Int) throws -> (first: Int, inner: [Int], last: Int) {
        guard let chosen = try chosenBlocks() else { return (first, [], last) }
        guard chosen.last == layers - 1 else {
            throw OffsiteError.recipe(
                "--adapter-blocks must end with the last block, \(layers - 1): what it reads is what the "
                    + "emulator is taught to give")
        }
        let first = chosen.indices.prefix { chosen[$0] == $0 }.count
        let last = chosen.reversed().enumerated().prefix { $1 == layers - 1 - $0 }.count
        // All blocks were chosen: the recipe's check says that no middle is left.
        guard first + last <= chosen.count else { return (layers - 1, [], 1) }
        return (first, Array(chosen[first..<chosen.count - last]), last)
    }

    private func chosenBlocks() throws -> [Int]? {
        guard let adapterBlocks else { return nil }
        let blocks = adapterBlocks.split(separator: ",").compactMap { Int($0) }
        guard blocks.count == adapterBlocks.split(separator: ",").count, !blocks.isEmpty,
            blocks == Set(blocks).sorted(), blocks[0] >= 0
        else { throw ValidationError("--adapter-blocks is an ascending list such as 0,3,7.") }
        return blocks
    }

    private func report(
        _ progress: DistillationProgress, since started: Double, from start: Int, _ console: Console
    ) {
        let rate = (monotonicSeconds() - started) / Double(max(1, progress.step - start))
        let line =
            "step \(progress.step)/\(progress.steps)  loss \(decimal(progress.loss.total, 4))  "
            + "\(Int(rate * Double(progress.steps - progress.step))) s left"
        if let held = progress.heldOut {
            console.say(line + "  held out \(decimal(held.total, 4))")
        } else {
            console.tick(line)
        }
    }
}
