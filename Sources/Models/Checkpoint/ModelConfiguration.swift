/// The shape of a causal language model, as a Hugging Face `config.json` states it.
///
/// One description serves all families; a field that a family lacks has the value that makes the
/// general graph compute the family's graph.
public struct ModelConfiguration: Sendable, Equatable {
    public enum Family: String, Sendable, CaseIterable {
        /// Also SmolLM and TinyLlama, which declare themselves `llama`.
        case llama
        case mistral
        case qwen2
        case gpt2
        /// Also Pythia, which declares itself `gpt_neox`.
        case gptNeoX = "gpt_neox"
    }

    public enum Activation: String, Sendable {
        case silu
        /// GELU by the tanh approximation.
        case geluTanh
        /// GELU by the error function.
        case gelu
    }

    public enum Normalisation: Sendable {
        case rootMeanSquare
        case layerNorm
    }

    public enum Positions: Sendable, Equatable {
        /// Rotary embedding of the two halves of each head.
        case rotary(RotaryEmbedding)
        /// A learned vector per position, added to the token embedding.
        case learned
    }

    /// θ and the rescaling of the rotation frequencies.
    public struct RotaryEmbedding: Sendable, Equatable {
        /// Base of the geometric series of frequencies, `rope_theta`.
        public var theta: Double
        public var scaling: RotaryScaling
        /// How many leading coordinates of a head turn; nil turns the whole head.
        public var width: Int?

        public init(theta: Double, scaling: RotaryScaling = .none, width: Int? = nil) {
            self.theta = theta
            self.scaling = scaling
            self.width = width
        }
    }

    public enum RotaryScaling: Sendable, Equatable {
        case none
        /// Every frequency divided by `factor`.
        case linear(factor: Double)
        /// Wavelengths above `originalPositions/lowFrequencyFactor` are stretched by `factor`, those
        /// below `originalPositions/highFrequencyFactor` kept, those between interpolated.
        case llama3(
            factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double,
            originalPositions: Int)
    }

    public var family: Family
    /// Rows of the embedding, `V`.
    public var vocabularySize: Int
    /// Width of the residual stream, `d`.
    public var hiddenSize: Int
    /// Width inside the feed-forward block, `f`.
    public var intermediateSize: Int
    public var layerCount: Int
    public var headCount: Int
    /// Fewer than `headCount` under grouped-query attention; divides it.
    public var keyValueHeadCount: Int
    /// Width of one head; need not be `hiddenSize / headCount`.
    public var headSize: Int
    /// Longest sequence the positions were made for.
    public var maximumPositions: Int
    /// Attention span of models trained with a sliding window; nil means unlimited.
    public var slidingWindow: Int?
    public var normalisation: Normalisation
    public var normalisationEpsilon: Float
    public var positions: Positions
    public var activation: Activation
    /// The feed-forward block multiplies an activated gate with a second linear of the same input.
    public var isGated: Bool
    /// Attention and feed-forward read the same residual stream and are added to it together, instead
    /// of one after the other.
    public var hasParallelResidual: Bool
    public var hasQueryKeyValueBias: Bool
    public var hasAttentionOutputBias: Bool
    public var hasFeedForwardBias: Bool
    /// The output head is the embedding matrix.
    public var tiesWordEmbeddings: Bool
    public var beginTokenID: Int?
    /// Any of these ends a text; empty if the file names none.
    public var endTokenIDs: [Int]

    /// A Llama model; what `pretrain` makes.
    public init(
        vocabularySize: Int, hiddenSize: Int, intermediateSize: Int, layerCount: Int, headCount: Int,
        keyValueHeadCount: Int, headSize: Int? = nil, maximumPositions: Int,
        rotaryTheta: Double = 10_000, normalisationEpsilon: Float = 1e-5,
        tiesWordEmbeddings: Bool = true, beginTokenID: Int? = nil, endTokenIDs: [Int] = []
    ) {
        family = .llama
        self.vocabularySize = vocabularySize
        self.hiddenSize = hiddenSize
        self.intermediateSize = intermediateSize
        self.layerCount = layerCount
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount
        self.headSize = headSize ?? hiddenSize / headCount
        self.maximumPositions = maximumPositions
        slidingWindow = nil
        normalisation = .rootMeanSquare
        self.normalisationEpsilon = normalisationEpsilon
        positions = .rotary(RotaryEmbedding(theta: rotaryTheta))
        activation = .silu
        isGated = true
        hasParallelResidual = false
        hasQueryKeyValueBias = false
        hasAttentionOutputBias = false
        hasFeedForwardBias = false
        self.tiesWordEmbeddings = tiesWordEmbeddings
        self.beginTokenID = beginTokenID
        self.endTokenIDs = endTokenIDs
    }

    /// The longest sequence on which full causal attention computes what the model was trained to
    /// compute: positions exist, and no sliding window cuts anything off.
    public var sequenceLengthMax: Int {
        min(maximumPositions, slidingWindow ?? maximumPositions)
    }
}
