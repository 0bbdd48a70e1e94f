/// Where each named tensor of a base model lies in its flat vector of weights.
///
/// Within a layer q, k and v follow one another, and so do gate and up: their rows form one matrix
/// each, which the graph multiplies in one go.
public struct WeightLayout: Sendable, Equatable {
    /// How a checkpoint keeps a tensor that the graph wants as outputs × inputs.
    package enum StoredForm: Sendable, Equatable {
        case plain
        /// Inputs × outputs (GPT-2's `Conv1D`); a bias is plain.
        case transposed
        /// Rows of query, key and value take turns head by head (GPT-NeoX).
        case headInterleaved
    }

    /// A tensor under its Hugging Face name.
    public struct Tensor: Sendable, Equatable {
        public let name: String
        /// `[rows, columns]` or `[count]`, as the graph has it.
        public let shape: [Int]
        package let stored: StoredForm
        public let offset: Int
        public var count: Int { shape.reduce(1, *) }
        public var range: Range<Int> { offset..<offset + count }
        /// A matrix (not a norm's gain or a bias): weight decay applies to it.
        package var isMatrix: Bool { shape.count == 2 }
        /// Shape in the checkpoint.
        package var storedShape: [Int] {
            stored == .transposed && isMatrix ? shape.reversed() : shape
        }
    }

    /// Offsets of a norm's gain and, for a layer norm, of its bias.
    package struct Norm: Sendable, Equatable {
        package var gain = 0
        package var bias: Int?
    }

    /// Offsets of one block's tensors. A bias is nil where the family has none.
    package struct Layer: Sendable, Equatable {
        package var inputNorm = Norm()
        package var fusedQKV = 0
        package var fusedQKVBias: Int?
        package var output = 0
        package var outputBias: Int?
        package var attentionNorm = Norm()
        package var gateUp = 0
        package var gateUpBias: Int?
        package var down = 0
        package var downBias: Int?
    }

    /// In the order of the flat vector.
    public let tensors: [Tensor]
    /// Length of the flat vector.
    public let count: Int
    package let embedding: Int
    /// Learned positions, where the family has them.
    package let positions: Int?
    package let layers: [Layer]
    package let finalNorm: Norm
    /// The head's matrix; the embedding's when they are tied.
    package let head: Int

    public init(_ configuration: ModelConfiguration) {
        var tensors: [Tensor] = []
        var offset = 0
        let names = configuration.names
        func add(_ name: String, _ shape: Int..., stored: StoredForm = .plain) -> Int {
            let tensor = Tensor(name: name, shape: shape, stored: stored, offset: offset)
            tensors.append(tensor)
            offset += tensor.count
            return tensor.offset
        }
        // Matrices that share an input are neighbours, and so are their biases.
        func linears(_ prefix: String, _ site: Site) -> (weight: Int, bias: Int?) {
            let modules = configuration.modules(of: site)
            let start = offset
            for module in modules {
                let (outputs, inputs) = configuration.dimensions(of: module)
                _ = add(
                    "\(prefix)\(names.path(module)).weight", outputs, inputs, stored: names.stored(module))
            }
            guard configuration.hasBias(modules[0]) else { return (start, nil) }
            let bias = offset
            for module in modules {
                _ = add(
                    "\(prefix)\(names.path(module)).bias", configuration.dimensions(of: module).outputs,
                    stored: names.stored(module))
            }
            return (start, bias)
        }
        func norm(_ name: String) -> Norm {
            let gain = add("\(name).weight", configuration.hiddenSize)
            guard configuration.normalisation == .layerNorm else { return Norm(gain: gain) }
            return Norm(gain: gain, bias: add("\(name).bias", configuration.hiddenSize))
        }
        let hidden = configuration.hiddenSize
        embedding = add("\(names.embedding).weight", configuration.vocabularySize, hidden)
        positions =
            configuration.positions == .learned
            ? add("\(names.positions).weight", configuration.maximumPositions, hidden) : nil
        var layers: [Layer] = []
        for index in 0..<configuration.layerCount {
            let prefix = names.block(index)
            var layer = Layer()
            layer.inputNorm = norm("\(prefix)\(names.inputNorm)")
            (layer.fusedQKV, layer.fusedQKVBias) = linears(prefix, .queryKeyValue)
            (layer.output, layer.outputBias) = linears(prefix, .output)
            layer.attentionNorm = norm("\(prefix)\(names.attentionNorm)")
            (layer.gateUp, layer.gateUpBias) = linears(prefix, .gateUp)
            (layer.down, layer.downBias) = linears(prefix, .down)
            layers.append(layer)
        }
        finalNorm = norm(names.finalNorm)
        head =
            configuration.tiesWordEmbeddings
            ? embedding : add("\(names.head).weight", configuration.vocabularySize, hidden)
        self.layers = layers
        self.tensors = tensors
        self.count = offset
    }
}
