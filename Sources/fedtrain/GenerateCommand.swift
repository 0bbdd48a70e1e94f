import ArgumentParser
import FedTrain
import Models
import Sodium

/// `fedtrain generate`: continue a prompt.
struct GenerateCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Sample text from a model, with or without an adapter.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var source: ModelOptions

    @Option(help: "The text to continue.")
    var prompt: String

    @Option(help: "How many tokens at most.")
    var maxTokens: Int = 100

    @Option(help: "0 takes the likeliest token each time; larger values vary more.")
    var temperature: Float = 0

    @Option(help: "Seed for sampling; a fresh one when not given.")
    var seed: UInt64?

    struct Payload: Encodable {
        let text: String
        let prompt: String
        let tokens: Int
    }

    func validate() throws {
        guard maxTokens > 0 else { throw ValidationError("--max-tokens must be at least 1") }
        guard temperature >= 0 else { throw ValidationError("--temperature must not be negative") }
    }

    func execute(_ console: Console) throws -> Payload {
        let base = try source.loadBase(console)
        let adapter = try source.loadAdapter(for: base)
        let evaluator = try Evaluator(model: base.model, adapter: adapter)
        var generator = (seed.map(RunRandomness.seeded) ?? .system).generator("generate")
        let ids = base.tokenizer.encode(prompt)
        guard !ids.isEmpty else {
            throw CommandFailure(.usage, "the prompt is empty and the tokenizer adds no first token")
        }
        let continuation = try evaluator.generate(
            prompts: [ids],
            sampling: Sampling(
                maxNewTokens: maxTokens, stopTokens: Set(base.endTokens), temperature: temperature),
            generator: &generator)[0]
        // Decoded together with the prompt: a tokenizer may drop the space at the very start.
        return Payload(
            text: base.tokenizer.decode(ids + continuation, skipSpecialTokens: true), prompt: prompt,
            tokens: continuation.count)
    }

    func describe(_ payload: Payload) -> String { payload.text }
}
