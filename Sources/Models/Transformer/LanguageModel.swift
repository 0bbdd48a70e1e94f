import Kernels

/// A frozen base model: configuration and weights, read-only and shared by every client.
///
/// Matrices may stay in the checkpoint's mapped file or be kept in fewer bits (`WeightStore`); products
/// expand them to floats on the way. Norms, biases and learned positions are always floats.
public final class LanguageModel: Sendable {
    public let configuration: ModelConfiguration
    public let layout: WeightLayout
    /// The floats: all tensors in layout order, or the small ones alone.
    private let vectors: FloatBuffer
    /// Where a tensor starts in `vectors` by its offset in the layout; nil when it is the same.
    private let vectorPlaces: [Int: Int]?
    /// Matrices by their offset in the layout.
    private let matrices: [Int: StoredMatrix]
    /// What the matrices point into.
    private let memory: [any AnyObject & Sendable]
    /// The graph's products: four for each block.
    private let sites: [SiteWeights]
    /// Nil for a family with learned positions.
    package let rotary: RotaryTable?

    /// Takes each tensor of the layout from `fill`, which writes the tensor's numbers in row-major order.
    ///
    /// - Parameter fill: called once per tensor in layout order; throws when it cannot deliver.
    public convenience init(
        configuration: ModelConfiguration,
        fill: (WeightLayout.Tensor, UnsafeMutableBufferPointer<Float>) throws -> Void
    ) rethrows {
        let layout = WeightLayout(configuration)
        let builder = FloatBuffer.Builder(count: layout.count)
        for tensor in layout.tensors {
            try fill(tensor, builder.slice(tensor.range))
        }
        self.init(
            configuration, layout, rotary: RotaryTable(configuration), floats: builder.finish())
    }

    /// All weights as floats in layout order.
    private convenience init(
        _ configuration: ModelConfiguration, _ layout: WeightLayout, rotary: RotaryTable?,
        floats: FloatBuffer
    ) {
        var matrices: [Int: StoredMatrix] = [:]
        for tensor in layout.tensors where tensor.isMatrix {
            matrices[tensor.offset] = StoredMatrix(
                floats.base + tensor.offset, outputs: tensor.shape[0], inputs: tensor.shape[1])
        }
        self.init(
            configuration, layout, rotary: rotary, vectors: floats, vectorPlaces: nil,
            matrices: matrices, memory: [])
    }

    init(
        _ configuration: ModelConfiguration, _ layout: WeightLayout, rotary: RotaryTable?,
        vectors: FloatBuffer, vectorPlaces: [Int: Int]?, matrices: [Int: StoredMatrix],
        memory: [any AnyObject & Sendable]
    ) {
        self.configuration = configuration
        self.layout = layout
        self.rotary = rotary
        self.vectors = vectors
        self.vectorPlaces = vectorPlaces
        self.matrices = matrices
        self.memory = memory
        func vector(_ offset: Int) -> UnsafePointer<Float> {
            vectors.base + (vectorPlaces.map { $0[offset]! } ?? offset)
        }
        sites = layout.layers.flatMap { layer in
            Site.allCases.map { site in
                let (weight, bias) = layer.places(of: site)
                return SiteWeights(
                    configuration.modules(of: site).map { configuration.dimensions(of: $0) },
                    bias: bias.map(vector)
                ) { matrices[weight + $0]! }
            }
        }
    }

    /// The floats of a gain, a bias or the learned positions, by offset in the layout.
    package func vector(_ offset: Int) -> UnsafePointer<Float> {
        vectors.base + (vectorPlaces.map { $0[offset]! } ?? offset)
    }

    /// Embedding and head, by offset in the layout.
    package func matrix(_ offset: Int) -> StoredMatrix { matrices[offset]! }

    /// The frozen weights of one site.
    package func weights(_ layer: Int, _ site: Site) -> SiteWeights {
        sites[layer * Site.allCases.count + site.rawValue]
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
    package convenience init(like other: LanguageModel, weights: [Float]) {
        precondition(weights.count == other.layout.count, "weights have their layout's length")
        let builder = FloatBuffer.Builder(count: weights.count)
        _ = builder.slice(0..<weights.count).update(fromContentsOf: weights)
        self.init(other.configuration, other.layout, rotary: other.rotary, floats: builder.finish())
    }

    /// All weights in layout order, as floats.
    package var flatWeights: [Float] {
        [Float](unsafeUninitializedCapacity: layout.count) { buffer, count in
            for tensor in layout.tensors {
                copy(tensor, to: buffer.baseAddress! + tensor.offset)
            }
            count = layout.count
        }
    }

    /// Number of weights (a tied head counted once).
    public var parameterCount: Int { layout.count }

    /// Bytes that the weights take, in memory of their own or in a mapped file.
    public var weightBytes: Int {
        layout.tensors.reduce(0) { sum, tensor in
            sum + (matrices[tensor.offset].map(\.bytes) ?? 4 * tensor.count)
        }
    }

    /// Whether all matrices are kept as floats of 32 bits.
    package var keepsFloats: Bool { matrices.values.allSatisfy { $0.storage == .f32 } }

    /// Calls `body` with one tensor's numbers in row-major order, as floats.
    public func withTensor<Result>(
        _ tensor: WeightLayout.Tensor, _ body: (UnsafeBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        let values = [Float](unsafeUninitializedCapacity: tensor.count) { buffer, count in
            copy(tensor, to: buffer.baseAddress!)
            count = tensor.count
        }
        return try values.withUnsafeBufferPointer(body)
    }

    private func copy(_ tensor: WeightLayout.Tensor, to target: UnsafeMutablePointer<Float>) {
        if let matrix = matrices[tensor.offset] {
            matrix.expand(into: target)
        } else {
            target.update(from: vector(tensor.offset), count: tensor.count)
        }
    }

    /// The first tensor, in layout order, that holds a value that is not a finite number. Reads every matrix once.
    package var tensorNotFinite: String? {
        layout.tensors.first { tensor in
            if let matrix = matrices[tensor.offset] { return !matrix.isFinite(pool: .shared) }
            return withTensor(tensor) { !$0.allSatisfy(\.isFinite) }
        }?.name
    }
}
