import ArgumentParser
import FedTrain
import Foundation
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

    @Flag(help: "The prompt is a user's turn in the model's own chat template; prints the reply alone.")
    var chat = false

    @Option(help: "With --chat: what stands in the system's turn.")
    var system: String?

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
        guard system == nil || chat else { throw ValidationError("--system goes with --chat") }
        guard temperature >= 0 else { throw ValidationError("--temperature must not be negative") }
    }

    func execute(_ console: Console) throws -> Payload {
        let base = try source.loadBase(console)
        let adapter = try source.loadAdapter(for: base)
        let evaluator = try Evaluator(model: base.model, adapter: adapter)
        var generator = (seed.map(RunRandomness.seeded) ?? .system).generator("generate")
        var stopTokens = Set(base.endTokens)
        let ids: [Int32]
        if chat {
            let template = try base.tokenizer.chatTemplate()
            let text = try template.opening(system: system, question: prompt, date: ChatDate(Date()))
            ids = base.tokenizer.encode(text, addSpecialTokens: false)
            if let end = try base.tokenizer.endOfTurn(template) { stopTokens.insert(end) }
        } else {
            ids = base.tokenizer.encode(prompt)
        }
        guard !ids.isEmpty else {
            throw CommandFailure(.usage, "the prompt is empty and the tokenizer adds no first token")
        }
        let continuation = try evaluator.generate(
            prompts: [ids],
            sampling: Sampling(
                maxNewTokens: maxTokens, stopTokens: stopTokens, temperature: temperature),
            generator: &generator)[0]
        // Decoded together with the prompt: a tokenizer may drop the space at the very start.
        return Payload(
            text: base.tokenizer.decode((chat ? [] : ids) + continuation, skipSpecialTokens: true),
            prompt: prompt,
            tokens: continuation.count)
    }

    func describe(_ payload: Payload) -> String { payload.text }
}

extension ChatDate {
    /// The day at the machine's place, as a model's user sees it.
    fileprivate init(_ date: Date) {
        let parts = Calendar(identifier: .gregorian).dateComponents([.year, .month, .day], from: date)
        self.init(year: parts.year ?? 1, month: parts.month ?? 1, day: parts.day ?? 1)
    }
}
