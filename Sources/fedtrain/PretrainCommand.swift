import ArgumentParser
import FedTrain
import Foundation
import Models

/// `fedtrain pretrain`: make a small base model, as the built-in one was made.
struct PretrainCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "pretrain",
        abstract: "Make a small base model: tokenizer and weights, in Hugging Face layout.",
        discussion: """
            Without options this is the recipe of the built-in model (docs/builtin-model.md). The whole text \
            of every record is learned. Ctrl-C keeps what was learned so far.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "The directory to write.")
    var output: String

    @Option(help: "JSONL corpus; the generated one when not given.")
    var corpus: String?

    @Option(help: "Training steps.")
    var steps: Int = BaseModelRecipe.builtIn.training.steps

    @Option(help: "Width of the model.")
    var hidden: Int = BaseModelRecipe.builtIn.hidden

    @Option(help: "Transformer blocks.")
    var layers: Int = BaseModelRecipe.builtIn.layers

    @Option(help: "Attention heads; half as many key-value heads.")
    var heads: Int = BaseModelRecipe.builtIn.heads

    @Option(help: "Tokens of the vocabulary.")
    var vocabulary: Int = BaseModelRecipe.builtIn.vocabulary

    @Option(help: "Longest sequence in tokens.")
    var window: Int = BaseModelRecipe.builtIn.window

    @Option(help: "Peak learning rate.")
    var learningRate: Float = BaseModelRecipe.builtIn.training.learningRate

    @Option(
        help: ArgumentHelp(
            "Chance that a step leaves a block out, each block by itself (LayerDrop): the model then bears "
                + "being thinned into an emulator."))
    var blockDrop: Double = BaseModelRecipe.builtIn.training.blockDrop

    @Option(help: "Seed of the first weights and of the order of examples.")
    var seed: UInt64 = BaseModelRecipe.builtIn.seed

    struct Payload: Encodable {
        let directory: String
        let parameters: Int
        let steps: Int
        let tokens: Int
        let loss: Double
        let seconds: Double
        let digests: [String: String]
        let stopped: Bool
    }

    func validate() throws {
        guard steps > 0, layers > 0, heads > 1, heads % 2 == 0 else {
            throw ValidationError("--steps and --layers must be positive, --heads even")
        }
        guard hidden % heads == 0, (hidden / heads) % 2 == 0 else {
            throw ValidationError("--hidden must be a multiple of twice --heads")
        }
        guard vocabulary >= 300, window >= 16 else {
            throw ValidationError("--vocabulary must be at least 300 and --window at least 16")
        }
        guard blockDrop >= 0, blockDrop < 1 else {
            throw ValidationError("--block-drop must be from 0 to below 1")
        }
    }

    func execute(_ console: Console) throws -> Payload {
        guard !FileManager.default.fileExists(atPath: output) else {
            throw CommandFailure(
                .cannotCreate, "it exists already; nothing was changed", at: output,
                hint: "choose another name for --output")
        }
        var recipe = BaseModelRecipe.builtIn
        recipe.hidden = hidden
        // 8/3 of the width, in multiples of 32: Llama's proportion.
        recipe.intermediate = (hidden * 8 / 3 + 31) / 32 * 32
        recipe.layers = layers
        recipe.heads = heads
        recipe.keyValueHeads = heads / 2
        recipe.vocabulary = vocabulary
        recipe.window = window
        recipe.seed = seed
        recipe.training.steps = steps
        recipe.training.learningRate = learningRate
        recipe.training.blockDrop = blockDrop
        let records = try corpus.map { try RecordFile.read($0) }

        SignalWatch.start()
        let started = monotonicSeconds()
        var last: PretrainingProgress?
        let contents = try recipe.make(from: records) { stage in
            switch stage {
            case .tokenizer(let records): console.step("tokenizer from \(records) records")
            case .training(let progress):
                last = progress
                report(progress, seconds: monotonicSeconds() - started, console)
            }
            return !SignalWatch.interrupted
        }
        try Checkpoint.write(contents, to: output)
        var digests: [String: String] = [:]
        for file in ["model.safetensors", "tokenizer.json", "config.json"] {
            digests[file] = try fileDigest("\(output)/\(file)").hex
        }
        return Payload(
            directory: output,
            parameters: contents.tensors.map { $0.shape.reduce(1, *) }.reduce(0, +),
            steps: last?.step ?? 0, tokens: last?.totalTokens ?? 0, loss: last?.loss ?? .nan,
            seconds: monotonicSeconds() - started, digests: digests, stopped: SignalWatch.interrupted)
    }

    func describe(_ payload: Payload) -> String {
        """
        \(payload.directory): \(payload.parameters) parameters, \(payload.steps) steps, \(payload.tokens) tokens, \
        loss \(decimal(payload.loss, 4)), \(decimal(payload.seconds, 0)) s
        \(payload.digests.sorted { $0.key < $1.key }.map { "BLAKE2b-256 \($0.value)  \($0.key)" }.joined(separator: "\n"))
        next: fedtrain generate --base \(payload.directory) --prompt "..."
        """
    }

    private func report(_ progress: PretrainingProgress, seconds: Double, _ console: Console) {
        let speed = Double(progress.totalTokens) / max(seconds, 1e-3)
        let left = seconds / Double(progress.step) * Double(progress.steps - progress.step)
        let line =
            "step \(progress.step)/\(progress.steps)  loss \(decimal(progress.loss, 3))  "
            + "\(Int(speed)) tokens/s  \(Int(left)) s left"
        if progress.step % 500 == 0 || progress.step == progress.steps {
            console.say(line)
        } else {
            console.tick(line)
        }
    }
}
