import Kernels

/// A frozen base model: configuration and f32 weights, read-only and shared by every client.
public final class LanguageModel: Sendable {
    public let configuration: ModelConfiguration
    public let layout: WeightLayout
    package let weights: FloatBuffer
    /// Nil for a family with learned positions.
    package let rotary: RotaryTable?

    /// Takes each tensor of the layout from `fill`, which writes the tensor's numbers in row-major order.
    ///
    /// - Parameter fill: called once per tensor in layout order; throws when it cannot deliver.
    public init(
        configuration: ModelConfiguration,
        fill: (WeightLayout.Tensor, UnsafeMutableBufferPointer<Float>) throws -> Void
    ) rethrows {
        let layout = WeightLayout(configuration)
        let builder = FloatBuffer.Builder(count: layout.count)
        for tensor in layout.tensors {
            try fill(tensor, builder.slice(tensor.range))
        }
        self.configuration = configuration
        self.layout = layout
        self.weights = builder.finish()
        rotary = configuration.rotary.map {
            RotaryTable(
                frequencies: $0.frequencies(headSize: configuration.headSize),
                positions: configuration.sequenceLengthMax)
        }
    }

    /// Loads the weights of an opened checkpoint directory, expanded to f32.
    /// - Throws: `CheckpointError` for a family that cannot be run, or a tensor that is missing, has
    ///   another shape or cannot be expanded.
    public convenience init(checkpoint: Checkpoint) throws {
        let configuration = checkpoint.configuration
        let weights = try CheckpointWeights(checkpoint)
        try self.init(configuration: configuration) { tensor, target in
            try weights.read(tensor, into: target)
        }
    }

    /// A model with the given flat vector of weights, `WeightLayout(configuration).count` long.
    public convenience init(configuration: ModelConfiguration, weights: [Float]) {
        precondition(
            weights.count == WeightLayout(configuration).count, "weights have their layout's length")
        self.init(configuration: configuration) { tensor, target in
            _ = target.update(fromContentsOf: weights[tensor.range])
        }
    }

    /// A model to pretrain: matrices normal with the given deviation, those that write to the residual
    /// stream divided by √(2·layers) [Radford et al. 2019], gains 1, biases 0. Two words of `generator`
    /// for each number of a matrix.
    public convenience init(
        configuration: ModelConfiguration,
        initialisedBy generator: inout some RandomNumberGenerator, deviation standard: Double = 0.02
    ) {
        let residualScale = 1 / Double(2 * configuration.layerCount).squareRoot()
        self.init(configuration: configuration) { tensor, target in
            if tensor.isMatrix {
                let writesResidual =
                    tensor.name.hasSuffix("o_proj.weight") || tensor.name.hasSuffix("down_proj.weight")
                let deviation = standard * (writesResidual ? residualScale : 1)
                for index in target.indices {
                    target[index] = Float(deviation * standardNormal(&generator))
                }
            } else if tensor.name.hasSuffix("norm.weight") {
                target.update(repeating: 1)
            }
        }
    }

    /// The same graph with other weights; the rotary table is shared.
    package init(like other: LanguageModel, weights: [Float]) {
        precondition(weights.count == other.layout.count, "weights have their layout's length")
        let builder = FloatBuffer.Builder(count: weights.count)
        _ = builder.slice(0..<weights.count).update(fromContentsOf: weights)
        configuration = other.configuration
        layout = other.layout
        rotary = other.rotary
        self.weights = builder.finish()
    }

    /// All weights in layout order.
    package var flatWeights: [Float] { Array(weights.slice(0..<layout.count)) }

    /// Number of weights (a tied head counted once).
    public var parameterCount: Int { layout.count }

    /// Calls `body` with one tensor's numbers in row-major order.
    public func withTensor<Result>(
        _ tensor: WeightLayout.Tensor, _ body: (UnsafeBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        try body(weights.slice(tensor.range))
    }
}
