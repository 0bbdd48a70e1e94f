/// A linear layer of a transformer block that an adapter can sit on, in canonical order.
///
/// The raw value is the module's name in Hugging Face's Llama, Mistral and Qwen2 checkpoints; what other
/// families call it is in `FamilyNames`.
public enum LinearModule: String, Sendable, Hashable, Codable, CaseIterable, Comparable {
    /// Query, key and value as one linear, which GPT-2 and GPT-NeoX have instead of three.
    case queryKeyValue = "qkv_proj"
    case query = "q_proj"
    case key = "k_proj"
    case value = "v_proj"
    case output = "o_proj"
    case gate = "gate_proj"
    case up = "up_proj"
    case down = "down_proj"

    /// Position in the canonical order.
    package var index: Int {
        switch self {
        case .queryKeyValue: 0
        case .query: 1
        case .key: 2
        case .value: 3
        case .output: 4
        case .gate: 5
        case .up: 6
        case .down: 7
        }
    }

    public static func < (left: Self, right: Self) -> Bool { left.index < right.index }
}

/// What defines a LoRA adapter apart from its numbers [Hu et al. 2021]: y = W x + s·B(A x).
public struct LoRAConfiguration: Sendable, Equatable, Codable {
    /// r ≥ 1, the inner dimension of B·A.
    public var rank: Int
    /// α; the product is scaled by α/r, or by α/√r with `useRSLoRA`.
    public var alpha: Double
    /// Which linears of every block carry an adapter; kept in canonical order without repetition.
    public let targetModules: [LinearModule]
    /// Rank-stabilised scaling [Kalajdzievski 2023].
    public var useRSLoRA: Bool
    /// The blocks that carry adapters, ascending; nil for all (peft's `layers_to_transform`).
    public let layers: [Int]?

    public init(
        rank: Int, alpha: Double, targetModules: [LinearModule], useRSLoRA: Bool = false,
        layers: [Int]? = nil
    ) {
        precondition(layers?.isEmpty != true, "a LoRA adapter sits on at least one block")
        precondition(rank >= 1, "a LoRA rank is at least 1")
        precondition(!targetModules.isEmpty, "a LoRA adapter needs at least one target module")
        self.rank = rank
        self.alpha = alpha
        self.targetModules = Set(targetModules).sorted()
        self.useRSLoRA = useRSLoRA
        self.layers = layers.map { Set($0).sorted() }
    }

    /// The same adapter on some blocks only.
    public func on(layers: [Int]) -> LoRAConfiguration {
        LoRAConfiguration(
            rank: rank, alpha: alpha, targetModules: targetModules, useRSLoRA: useRSLoRA, layers: layers)
    }

    /// s, the factor on B·A.
    public var scale: Double {
        alpha / (useRSLoRA ? Double(rank).squareRoot() : Double(rank))
    }
}

/// Which of an adapter's matrices a step trains, and therefore what an update vector consists of.
public enum TrainablePart: String, Sendable, Hashable, Codable, CaseIterable {
    /// Both factors (FedIT): averaging them is not the average of the products.
    case aAndB
    /// A frozen (FFA-LoRA): the product is linear in what is trained, so sums and noise stay linear.
    case bOnly
    /// B frozen; the other half of RoLoRA's alternation.
    case aOnly

    package var includesA: Bool { self != .bOnly }
    package var includesB: Bool { self != .aOnly }
}
