/// One sequence of token ids, and from where on the model is asked to predict it.
///
/// The token at position p ≥ `targetStart` is predicted from those before it. `targetStart` 1 means
/// every token after the first; a larger one leaves a prompt out of the loss.
public struct TokenizedExample: Sendable, Equatable {
    public var tokens: [Int32]
    public var targetStart: Int

    public init(tokens: [Int32], targetStart: Int = 1) {
        self.tokens = tokens
        self.targetStart = targetStart
    }

    /// How many tokens are predicted.
    public var targetCount: Int { max(0, tokens.count - max(1, targetStart)) }
}

/// Why the engine refuses its input. Messages carry positions and bounds, never text.
public enum EngineError: Error, Equatable, CustomStringConvertible {
    /// An example has no token to predict.
    case nothingToPredict(example: Int, tokens: Int, targetStart: Int)
    /// An example or prompt is longer than the model's window.
    case sequenceTooLong(example: Int, tokens: Int, window: Int)
    /// A prompt without tokens.
    case emptyPrompt(prompt: Int)
    /// A token id outside the vocabulary: the tokenizer belongs to another model.
    case tokenOutOfRange(example: Int, position: Int, token: Int32, vocabulary: Int)
    /// No examples at all.
    case noExamples
    /// An adapter made for a base of other dimensions.
    case adapterDoesNotFit(expected: Int, found: Int)
    /// An adapter that adds rows or layers cannot become part of the weights.
    case cannotMerge(kind: String)
    /// A base without one of the graph's tensors, or with another shape.
    case missingTensor(name: String)
    case tensorShape(name: String, expected: [Int], found: [Int])
    /// The loss or a gradient is not finite.
    case diverged(step: Int)

    public var description: String {
        switch self {
        case .nothingToPredict(let example, let tokens, let start):
            "example \(example): nothing to predict (\(tokens) tokens, targets from position \(start)); "
                + "leave out records with an empty answer"
        case .sequenceTooLong(let example, let tokens, let window):
            "example \(example): \(tokens) tokens, but the model's window is \(window); "
                + "truncate or leave it out"
        case .emptyPrompt(let prompt):
            "prompt \(prompt): no tokens to continue; start it with the tokenizer's BOS token"
        case .tokenOutOfRange(let example, let position, let token, let vocabulary):
            "example \(example): token id \(token) at position \(position) is outside the model's "
                + "vocabulary of \(vocabulary); the tokenizer belongs to another model"
        case .noExamples:
            "no examples to learn from or score; check the data file and the split"
        case .adapterDoesNotFit(let expected, let found):
            "the adapter has \(found) numbers where this base needs \(expected); "
                + "it was made for another base"
        case .cannotMerge(let kind):
            "an adapter of kind \(kind) adds to the graph and cannot be multiplied into weights; "
                + "lora and ia3 can"
        case .missingTensor(let name):
            "the checkpoint has no tensor \(name); it is incomplete or of another family"
        case .tensorShape(let name, let expected, let found):
            "tensor \(name) has shape \(found) where config.json asks for \(expected)"
        case .diverged(let step):
            "step \(step): the loss is not a finite number; lower the learning rate"
        }
    }
}
