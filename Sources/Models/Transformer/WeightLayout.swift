/// Where each named tensor of a base model lies in its flat vector of weights.
///
/// Within a layer q, k and v follow one another, and so do gate and up: their rows form one matrix
/// each, which the graph multiplies in one go.
public struct WeightLayout: Sendable, Equatable {
    /// A tensor under its Hugging Face name.
    public struct Tensor: Sendable, Equatable {
        public let name: String
        /// `[rows, columns]` or `[count]`.
        public let shape: [Int]
        public let offset: Int
        public var count: Int { shape.reduce(1, *) }
        public var range: Range<Int> { offset..<offset + count }
        /// A matrix (not a norm's gain or a bias): weight decay applies to it.
        package var isMatrix: Bool { shape.count == 2 }
    }

    /// Offsets of one block's tensors. A bias is nil where the family has none.
    package struct Layer: Sendable, Equatable {
        package var inputNorm = 0
        package var fusedQKV = 0
        package var fusedQKVBias: Int?
        package var output = 0
        package var outputBias: Int?
        package var attentionNorm = 0
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
    package let layers: [Layer]
    package let finalNorm: Int
    /// The head's matrix; the embedding's when they are tied.
    package let head: Int

    public init(_ configuration: ModelConfiguration) {
        var tensors: [Tensor] = []
        var offset = 0
        func add(_ name: String, _ shape: Int...) -> Int {
            let tensor = Tensor(name: name, shape: shape, offset: offset)
            tensors.append(tensor)
            offset += tensor.count
            return tensor.offset
        }
        // Matrices that share an input are neighbours, and so are their biases.
        func linears(_ prefix: String, _ modules: LinearModule...) -> (weight: Int, bias: Int?) {
            let start = offset
            for module in modules {
                let (outputs, inputs) = configuration.dimensions(of: module)
                _ = add("\(prefix)\(module.path).weight", outputs, inputs)
            }
            guard configuration.hasBias(modules[0]) else { return (start, nil) }
            let bias = offset
            for module in modules {
                _ = add("\(prefix)\(module.path).bias", configuration.dimensions(of: module).outputs)
            }
            return (start, bias)
        }
        let hidden = configuration.hiddenSize
        embedding = add("model.embed_tokens.weight", configuration.vocabularySize, hidden)
        var layers: [Layer] = []
        for index in 0..<configuration.layerCount {
            let prefix = "model.layers.\(index)."
            var layer = Layer()
            layer.inputNorm = add("\(prefix)input_layernorm.weight", hidden)
            (layer.fusedQKV, layer.fusedQKVBias) = linears(prefix, .query, .key, .value)
            (layer.output, layer.outputBias) = linears(prefix, .output)
            layer.attentionNorm = add("\(prefix)post_attention_layernorm.weight", hidden)
            (layer.gateUp, layer.gateUpBias) = linears(prefix, .gate, .up)
            (layer.down, layer.downBias) = linears(prefix, .down)
            layers.append(layer)
        }
        finalNorm = add("model.norm.weight", hidden)
        head =
            configuration.tiesWordEmbeddings
            ? embedding : add("lm_head.weight", configuration.vocabularySize, hidden)
        self.layers = layers
        self.tensors = tensors
        self.count = offset
    }
}
