/// How an instruction record becomes text. A missing input leaves no trace in the text.
public enum PromptTemplate: String, Sendable, CaseIterable {
    /// Instruction and input, each on lines of its own, then the answer.
    case plain
    /// The headed blocks of Stanford Alpaca, which FS-LLM trains and evaluates with.
    case alpaca
    /// As `plain`, but the whole text is learned, not the answer alone.
    case text
    /// The model's own chat template: instruction and input are the user's turn, the answer the assistant's.
    case chat

    /// What precedes the answer; for `chat` the user's turn, to which the model's template adds the rest.
    public func prompt(instruction: String, input: String) -> String {
        switch self {
        case .plain, .text:
            return [instruction, input].filter { !$0.isEmpty }.map { $0 + "\n" }.joined()
        case .chat:
            return [instruction, input].filter { !$0.isEmpty }.joined(separator: "\n")
        case .alpaca:
            let preamble =
                input.isEmpty
                ? "Below is an instruction that describes a task. "
                : "Below is an instruction that describes a task, "
                    + "paired with an input that provides further context. "
            let inputBlock = input.isEmpty ? "" : "### Input:\n\(input)\n\n"
            return preamble + "Write a response that appropriately completes the request.\n\n"
                + "### Instruction:\n\(instruction)\n\n" + inputBlock + "### Response:"
        }
    }

    /// FS-LLM tokenizes prompt and answer as one text and the prompt alone only to count its tokens.
    /// Elsewhere the prompt's tokens are exactly those that generation starts from.
    var isTokenizedAsOneText: Bool { self == .alpaca }
}

/// What happens to a record with more tokens than allowed.
public enum OverlongPolicy: String, Sendable, CaseIterable {
    /// A prompt loses its start, down to half of the room; then the answer or text loses its end.
    case truncate
    /// The record is left out and counted.
    case drop
}
