/// What defines an adapter that inserts parameters of its own beside the frozen linears: the kinds of
/// parameter-efficient tuning that are not LoRA.
public enum InsertedConfiguration: Sendable, Equatable, Codable {
    /// `tokens` trained embeddings before every sequence [Lester et al. 2021].
    case prompt(tokens: Int)
    /// The same, made by a small encoder of three linears that is trained with them [Liu et al. 2021].
    case pTuning(tokens: Int, encoderWidth: Int)
    /// `tokens` trained keys and values before every sequence, in every block [Li, Liang 2021].
    case prefix(tokens: Int)
    /// Trained factors on key, value and the feed-forward block's inner activations [Liu et al. 2022].
    case ia3
    /// A narrow residual MLP after every block: hidden → hidden/`reduction` → ReLU → hidden
    /// [Pfeiffer et al. 2021].
    case bottleneck(reduction: Int)

    /// `prompt`, `p-tuning`, `prefix`, `ia3` or `bottleneck`.
    public var name: String {
        switch self {
        case .prompt: "prompt"
        case .pTuning: "p-tuning"
        case .prefix: "prefix"
        case .ia3: "ia3"
        case .bottleneck: "bottleneck"
        }
    }

    /// Rows that every sequence gains at its start.
    public var virtualTokens: Int {
        switch self {
        case .prompt(let tokens), .pTuning(let tokens, _), .prefix(let tokens): tokens
        case .ia3, .bottleneck: 0
        }
    }

    /// The linears that IA3 scales, `peft`'s choice for the family: their outputs, except for `down`, whose
    /// inputs are scaled.
    package static func ia3Modules(_ base: ModelConfiguration) -> [LinearModule] {
        if base.hasFusedQueryKeyValue { return [.queryKeyValue, .down] }
        return base.family == .qwen2 ? [.query, .value, .down] : [.key, .value, .down]
    }

    /// Width of a bottleneck.
    package static func bottleneckWidth(_ base: ModelConfiguration, reduction: Int) -> Int {
        max(1, base.hiddenSize / reduction)
    }
}

/// Where each tensor of an inserted adapter lies in its flat vector: block by block.
public struct InsertedLayout: Sendable, Equatable {
    public struct Tensor: Sendable, Equatable {
        /// Block; nil for tensors of the whole model.
        public let layer: Int?
        public let name: String
        public let shape: [Int]
        public let offset: Int
        public var count: Int { shape.reduce(1, *) }
        public var range: Range<Int> { offset..<offset + count }
    }

    public let tensors: [Tensor]
    public let count: Int

    public init(_ configuration: InsertedConfiguration, base: ModelConfiguration) {
        var tensors: [Tensor] = []
        var offset = 0
        func add(_ layer: Int?, _ name: String, _ shape: Int...) {
            tensors.append(Tensor(layer: layer, name: name, shape: shape, offset: offset))
            offset += tensors.last!.count
        }
        let width = base.hiddenSize
        switch configuration {
        case .prompt(let tokens):
            add(nil, "prompt_embeddings", tokens, width)
        case .pTuning(let tokens, let inner):
            add(nil, "embedding.weight", tokens, width)
            for (place, outputs, inputs) in [(0, inner, width), (2, inner, inner), (4, width, inner)] {
                add(nil, "mlp_head.\(place).weight", outputs, inputs)
                add(nil, "mlp_head.\(place).bias", outputs)
            }
        case .prefix(let tokens):
            // Of each virtual token: block by block its keys, then its values.
            add(nil, "prompt_embeddings", tokens, 2 * base.layerCount * base.keyValueWidth)
        case .ia3:
            for layer in 0..<base.layerCount {
                for module in InsertedConfiguration.ia3Modules(base) {
                    let (outputs, inputs) = base.dimensions(of: module)
                    add(layer, module.rawValue, module == .down ? inputs : outputs)
                }
            }
        case .bottleneck(let reduction):
            let inner = InsertedConfiguration.bottleneckWidth(base, reduction: reduction)
            for layer in 0..<base.layerCount {
                add(layer, "adapter_down.0.weight", inner, width)
                add(layer, "adapter_down.0.bias", inner)
                add(layer, "adapter_up.weight", width, inner)
                add(layer, "adapter_up.bias", width)
            }
        }
        self.tensors = tensors
        count = offset
    }

    /// Where a tensor of a block starts.
    package func offset(_ layer: Int?, _ name: String) -> Int? {
        tensors.first { $0.layer == layer && $0.name == name }?.offset
    }
}
