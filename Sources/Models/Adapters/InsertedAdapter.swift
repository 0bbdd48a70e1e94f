/// The numbers of an adapter that inserts parameters of its own, for one base model.
public struct InsertedAdapter: Sendable, Equatable {
    public let configuration: InsertedConfiguration
    /// The shape of the model it belongs to.
    public let base: ModelConfiguration
    public let layout: InsertedLayout
    /// All tensors, `layout.count` long.
    public let values: [Float]

    /// An adapter with given numbers; `values.count` must be `layout.count`.
    public init(configuration: InsertedConfiguration, base: ModelConfiguration, values: [Float]) {
        let layout = InsertedLayout(configuration, base: base)
        precondition(values.count == layout.count, "an adapter's values have its layout's length")
        self.configuration = configuration
        self.base = base
        self.layout = layout
        self.values = values
    }

    /// A fresh adapter as `peft` (or, for a bottleneck, `adapters`) starts it: embeddings and prefixes
    /// N(0, 1), an encoder's linears uniform in ±1/√inputs, factors 1, a bottleneck's weights
    /// N(0, 0.02²) and its biases 0. One word of `generator` per uniform number, two per normal one.
    public init(
        configuration: InsertedConfiguration, base: ModelConfiguration,
        generator: inout some RandomNumberGenerator
    ) {
        let layout = InsertedLayout(configuration, base: base)
        var values = [Float](repeating: 0, count: layout.count)
        for tensor in layout.tensors {
            switch configuration {
            case .ia3:
                for index in tensor.range { values[index] = 1 }
            case .bottleneck:
                guard tensor.shape.count == 2 else { continue }
                for index in tensor.range { values[index] = Float(0.02 * standardNormal(&generator)) }
            case .pTuning(_, let inner) where tensor.name.hasPrefix("mlp_head"):
                let inputs = tensor.name.hasPrefix("mlp_head.0") ? base.hiddenSize : inner
                let bound = 1 / Double(inputs).squareRoot()
                for index in tensor.range {
                    values[index] = Float((2 * uniform(&generator) - 1) * bound)
                }
            case .prompt, .pTuning, .prefix:
                for index in tensor.range { values[index] = Float(standardNormal(&generator)) }
            }
        }
        self.init(configuration: configuration, base: base, values: values)
    }

    /// The numbers of one tensor.
    public func values(of tensor: InsertedLayout.Tensor) -> [Float] { Array(values[tensor.range]) }
}

/// An adapter of any kind.
///
/// What is trained is one flat vector; for LoRA a `TrainablePart` of it, for the others always all.
public enum Adapter: Sendable, Equatable {
    case lora(LoRAAdapter)
    case inserted(InsertedAdapter)

    public var base: ModelConfiguration {
        switch self {
        case .lora(let adapter): adapter.base
        case .inserted(let adapter): adapter.base
        }
    }

    /// All numbers.
    public var values: [Float] {
        switch self {
        case .lora(let adapter): adapter.values
        case .inserted(let adapter): adapter.values
        }
    }

    /// `lora`, or the name of an inserted kind.
    public var kind: String {
        switch self {
        case .lora: "lora"
        case .inserted(let adapter): adapter.configuration.name
        }
    }

    /// Rows that every sequence gains at its start.
    public var virtualTokens: Int {
        switch self {
        case .lora: 0
        case .inserted(let adapter): adapter.configuration.virtualTokens
        }
    }

    /// Length of what is trained.
    public func count(_ part: TrainablePart) -> Int {
        switch self {
        case .lora(let adapter): adapter.count(part)
        case .inserted(let adapter): adapter.layout.count
        }
    }

    /// What is trained, as one vector.
    public func extract(_ part: TrainablePart) -> [Float] {
        switch self {
        case .lora(let adapter): adapter.extract(part)
        case .inserted(let adapter): adapter.values
        }
    }

    /// The adapter with `vector` in place of what is trained.
    public func replacing(_ part: TrainablePart, with vector: [Float]) -> Adapter {
        switch self {
        case .lora(let adapter):
            .lora(adapter.replacing(part, with: vector))
        case .inserted(let adapter):
            .inserted(
                InsertedAdapter(
                    configuration: adapter.configuration, base: adapter.base, values: vector))
        }
    }

    /// The adapter with `scale · update` added to what is trained.
    public func adding(_ update: [Float], _ part: TrainablePart, scale: Float = 1) -> Adapter {
        replacing(part, with: zip(extract(part), update).map { $0 + scale * $1 })
    }
}
