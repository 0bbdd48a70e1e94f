extension LanguageModel {
    /// A model of the same family that runs some blocks of this one, in the given order; a block may be
    /// taken more than once. Embedding, final norm and head come along.
    /// - Precondition: at least one block; indices of this model's blocks.
    public func taking(blocks: [Int]) -> LanguageModel {
        precondition(!blocks.isEmpty && blocks.allSatisfy { 0..<configuration.layerCount ~= $0 })
        var shorter = configuration
        shorter.layerCount = blocks.count
        return LanguageModel(configuration: shorter) { tensor, target in
            let source = tensor.block.map { layout.tensor(tensor, ofBlock: blocks[$0]) } ?? tensor
            withTensor(layout.named(source.name)) { _ = target.update(fromContentsOf: $0) }
        }
    }

    /// The same model with each matrix of some blocks replaced. Norms and biases stay.
    public func mapping(
        matricesOf blocks: Set<Int>,
        _ transform: (WeightLayout.Tensor, [Float]) throws -> [Float]
    ) rethrows -> LanguageModel {
        var weights = flatWeights
        for tensor in layout.tensors {
            guard let block = tensor.block, blocks.contains(block), tensor.isMatrix else { continue }
            weights.replaceSubrange(tensor.range, with: try transform(tensor, Array(weights[tensor.range])))
        }
        return LanguageModel(like: self, weights: weights)
    }

    /// The same model with some blocks' tensors taken from another model, block by block.
    public func replacing(blocks: [Int: Int], from other: LanguageModel) -> LanguageModel {
        var weights = flatWeights
        for tensor in layout.tensors {
            guard let block = tensor.block, let source = blocks[block] else { continue }
            let taken = other.layout.named(other.layout.tensor(tensor, ofBlock: source).name)
            precondition(taken.shape == tensor.shape, "blocks of one shape")
            other.withTensor(taken) { weights.replaceSubrange(tensor.range, with: $0) }
        }
        return LanguageModel(like: self, weights: weights)
    }
}

extension WeightLayout.Tensor {
    /// The block that the tensor belongs to.
    public var block: Int? { WeightLayout.block(of: name) }
}

extension WeightLayout {
    /// The block that a tensor belongs to: the first whole number in its dotted name.
    public static func block(of name: String) -> Int? {
        for part in name.split(separator: ".") {
            if let number = Int(part) { return number }
        }
        return nil
    }

    /// The name that a block's tensor has in another block.
    public static func name(_ name: String, inBlock block: Int) -> String {
        var parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard let place = parts.firstIndex(where: { Int($0) != nil }) else { return name }
        parts[place] = String(block)
        return parts.joined(separator: ".")
    }

    /// A vector laid out for a model that takes some of this one's blocks, each once, as one of this model:
    /// 0 for the blocks that it leaves out.
    package func spread(_ values: [Float], of shorter: WeightLayout, blocks: [Int]) -> [Float] {
        var result = [Float](repeating: 0, count: count)
        let places = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.range) })
        for tensor in shorter.tensors {
            let name = tensor.block.map { Self.name(tensor.name, inBlock: blocks[$0]) } ?? tensor.name
            result.replaceSubrange(places[name]!, with: values[tensor.range])
        }
        return result
    }

    fileprivate func tensor(_ tensor: Tensor, ofBlock block: Int) -> Tensor {
        Tensor(
            name: Self.name(tensor.name, inBlock: block), shape: tensor.shape, stored: tensor.stored,
            offset: 0)
    }

    /// - Precondition: the layout has a tensor of this name.
    package func named(_ name: String) -> Tensor {
        guard let tensor = tensors.first(where: { $0.name == name }) else {
            preconditionFailure("no tensor \(name) in this layout")
        }
        return tensor
    }
}
