/// One turn of a chat.
public struct ChatMessage: Sendable, Equatable {
    public enum Role: String, Sendable { case system, user, assistant }

    public let role: Role
    public let content: String

    public init(_ role: Role, _ content: String) {
        self.role = role
        self.content = content
    }
}

/// The chat template that a model directory brings, run as `transformers`' `apply_chat_template` runs it.
///
/// Templates are programs in Jinja. They are run by an interpreter that knows the part of the language which
/// the templates of common families use, reaches nothing outside, and refuses by name whatever else it meets.
public struct ChatTemplate: Sendable {
    /// Where it comes from.
    public let file: String
    private let nodes: [TemplateNode]
    private let specialTokens: [(name: String, value: TemplateValue)]

    /// - Parameter specialTokens: texts such as `bos_token`, which the template may print.
    /// - Throws: `CheckpointError` for text that is no Jinja, or Jinja that this version does not run.
    public init(
        source: String, file: String, specialTokens: [(name: String, text: String)] = []
    ) throws(CheckpointError) {
        self.file = file
        self.specialTokens = specialTokens.map { ($0.name, .string($0.text)) }
        do {
            var parser = try TemplateParser(source)
            nodes = try parser.template()
        } catch {
            throw Self.error(error, file: file)
        }
    }

    /// The text that the model sees.
    /// - Parameter addGenerationPrompt: whether the text ends with the opening of the assistant's turn.
    /// - Parameter date: today, for templates that print it; without it they print what they have.
    /// - Throws: `CheckpointError` if the template refuses these messages, or comes to something that this
    ///   version does not run.
    public func render(
        _ messages: [ChatMessage], addGenerationPrompt: Bool, date: ChatDate? = nil
    ) throws(CheckpointError) -> String {
        let turns = messages.map {
            TemplateValue.dictionary([("role", .string($0.role.rawValue)), ("content", .string($0.content))])
        }
        var renderer = TemplateRenderer(
            names: specialTokens + [
                ("messages", .list(turns)), ("tools", .none), ("documents", .none),
                ("add_generation_prompt", .boolean(addGenerationPrompt)),
            ], date: date)
        do {
            try renderer.run(nodes)
        } catch {
            throw Self.error(error, file: file)
        }
        return renderer.output
    }

    private static func error(_ fault: TemplateFault, file: String) -> CheckpointError {
        switch fault.kind {
        case .malformed:
            CheckpointError(.malformed, file: file, "the chat template is no Jinja: \(fault.reason)")
        case .unsupported:
            CheckpointError(
                .unsupported, file: file, "the chat template uses what is not supported: \(fault.reason)",
                hint: "Leave chat out and write the model's turns into the text yourself")
        case .refused:
            CheckpointError(.mismatch, file: file, "the chat template refuses: \(fault.reason)")
        }
    }
}
