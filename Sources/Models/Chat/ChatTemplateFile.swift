/// Where a model directory keeps its chat template, and the special tokens that the template may print. Reading
/// is left until somebody asks: a model with a template beyond this version still runs without chat.
struct ChatTemplateSource: Sendable {
    static let fileName = "chat_template.jinja"

    private(set) var file = ""
    private(set) var text: String?
    private var specialTokens: [(name: String, text: String)] = []

    init() {}

    /// Takes what `tokenizer_config.json` says; of several templates the one called `default`.
    init(configuration: JSON, file: String) {
        self.file = file
        let entry = configuration["chat_template"]
        text =
            entry?.string
            ?? entry?.array?.first { $0["name"]?.string == "default" }?["template"]?.string
        for name in [
            "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
        ] {
            guard let value = configuration[name], let text = value.string ?? value["content"]?.string else {
                continue
            }
            specialTokens.append((name, text))
        }
    }

    /// A file of its own goes before the configuration's entry, as in `transformers`.
    mutating func takeFile(in directory: String) throws(CheckpointError) {
        let path = directory + "/" + Self.fileName
        guard fileExists(path) else { return }
        text = try readText(path)
        file = path
    }

    func template() throws(CheckpointError) -> ChatTemplate {
        guard let text else {
            throw CheckpointError(
                .mismatch, file: file.isEmpty ? "tokenizer_config.json" : file,
                "the model has no chat template",
                hint: "Use a model that was tuned for chat, or leave chat out")
        }
        return try ChatTemplate(source: text, file: file, specialTokens: specialTokens)
    }
}

extension Tokenizer {
    /// The model's chat template.
    /// - Throws: `CheckpointError` if there is none, or one that this version does not run.
    public func chatTemplate() throws(CheckpointError) -> ChatTemplate { try chat.template() }

    /// The special token that ends the assistant's turn, if the template writes one.
    public func endOfTurn(_ template: ChatTemplate) throws(CheckpointError) -> Int32? {
        let (opening, whole) = try template.turn(question: "question", answer: "answer")
        let rest = String(decoding: whole.utf8.dropFirst(opening.utf8.count), as: UTF8.self)
        guard let answer = rest.firstRange(ofScalars: "answer") else { return nil }
        return encode(String(rest[answer.upperBound...]), addSpecialTokens: false)
            .first { id in addedTokens.contains { $0.id == id && $0.isSpecial } }
    }
}

extension ChatTemplate {
    /// A question alone, up to and with the opening of the assistant's turn.
    public func opening(
        system: String? = nil, question: String, date: ChatDate? = nil
    ) throws(CheckpointError) -> String {
        try render(
            (system.map { [ChatMessage(.system, $0)] } ?? []) + [ChatMessage(.user, question)],
            addGenerationPrompt: true, date: date)
    }

    /// A question alone, and the same with its answer.
    /// - Throws: `CheckpointError` if the answered text does not begin as the open one: what is learned would
    ///   not be what the model is asked for.
    public func turn(
        question: String, answer: String
    ) throws(CheckpointError) -> (opening: String, whole: String) {
        let opening = try opening(question: question)
        let whole = try render(
            [ChatMessage(.user, question), ChatMessage(.assistant, answer)], addGenerationPrompt: false)
        guard whole.utf8.starts(with: opening.utf8) else {
            throw CheckpointError(
                .unsupported, file: file,
                "the chat template opens the assistant's turn otherwise than it writes a given answer",
                hint: "Use --template plain, or data.template: plain")
        }
        return (opening, whole)
    }
}
