import Models

/// One training example as a person wrote it, before any template or tokenizer.
public struct Record: Sendable, Equatable {
    public enum Content: Sendable, Equatable {
        /// A task and its answer. `instruction` or `input` may be empty, never both.
        case instruction(instruction: String, input: String, output: String)
        /// Running text, all of which is learned.
        case text(String)
    }

    public let content: Content
    /// What splits by category go by; nil if the record has none.
    public let category: String?

    public init(_ content: Content, category: String? = nil) {
        self.content = content
        self.category = category
    }
}

extension Record {
    // The names that Alpaca, Dolly, GSM8K, HumanEval and Natural Instructions use, as FS-LLM maps them.
    private static let instructionKeys = ["instruction", "question", "prompt"]
    private static let inputKeys = ["input", "context"]
    private static let outputKeys = ["output", "answer", "response", "completion", "canonical_solution"]

    /// Reads a JSON object: `{"text": …}`, or an instruction with its answer under any of the known
    /// names. A missing, null or empty input is no input. Other keys are ignored.
    init(json: JSON) throws(RecordFault) {
        guard json.members != nil else { throw .notAnObject(json.kind) }
        let category = try Self.string(json, ["category"])
        if let text = try Self.string(json, ["text"]) {
            self.init(.text(text), category: category)
            return
        }
        let instruction = try Self.string(json, Self.instructionKeys) ?? ""
        let input = try Self.string(json, Self.inputKeys) ?? ""
        guard !instruction.isEmpty || !input.isEmpty else { throw .noInstruction }
        // An answer that is null or empty is kept: it is counted and reported later on.
        guard Self.outputKeys.contains(where: { json[$0] != nil }) else { throw .noOutput }
        let output = try Self.string(json, Self.outputKeys) ?? ""
        self.init(.instruction(instruction: instruction, input: input, output: output), category: category)
    }

    /// Whether a JSON record has an input key at all, whatever its value.
    static func hasInput(_ json: JSON) -> Bool { inputKeys.contains { json[$0].map { !$0.isNull } ?? false } }

    /// The value of the first of `keys` that is there and not null.
    private static func string(_ json: JSON, _ keys: [String]) throws(RecordFault) -> String? {
        for key in keys {
            guard let value = json[key], !value.isNull else { continue }
            guard let text = value.string else { throw .notText(key: key, kind: value.kind) }
            return text
        }
        return nil
    }
}

/// Why a JSON value is no record.
enum RecordFault: Error, Equatable, CustomStringConvertible {
    case notAnObject(String)
    case notText(key: String, kind: String)
    case noInstruction
    case noOutput
    /// A key or column that was named is not there.
    case noField(String)

    var description: String {
        switch self {
        case .notAnObject(let kind): "a record must be a JSON object, not \(kind)"
        case .notText(let key, let kind): "the value of \"\(key)\" must be a string, not \(kind)"
        case .noInstruction: "the record has neither \"text\" nor \"instruction\" or \"input\""
        case .noOutput: "the record has no \"output\""
        case .noField(let name): "it has no \"\(name)\""
        }
    }
}
