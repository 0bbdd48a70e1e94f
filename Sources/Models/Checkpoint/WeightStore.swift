import Kernels

/// How a loaded base keeps its matrices.
public enum WeightStore: String, CaseIterable, Sendable {
    /// 32-bit floats.
    case f32
    /// The upper half of a float: half the memory, eight bits of precision.
    case bf16
    /// One byte per weight and one scale per row.
    case int8
    /// Half a byte per weight and one scale for 32 of them; embedding and head stay int8.
    case int4
}

extension LanguageModel {
    /// The model in an opened checkpoint directory.
    ///
    /// Matrices that the file holds as wanted stay there: the file is mapped, not copied, and must not be
    /// rewritten in place while the model lives. Others are converted once.
    ///
    /// Values that are not finite are looked for at once in tensors that are copied and in small models. A large
    /// mapped model is not read through here; `BaseModel.load` does so before anything is made of it.
    /// - Parameter store: how to keep the matrices; nil for as the file has them.
    /// - Throws: `CheckpointError` for a family that cannot be run, or a tensor that is missing, has
    ///   another shape, cannot be expanded or holds a value that is not a finite number.
    public convenience init(checkpoint: Checkpoint, store: WeightStore? = nil) throws {
        let configuration = checkpoint.configuration
        let weights = try CheckpointWeights(checkpoint)
        let layout = WeightLayout(configuration)
        let isChecked = layout.count <= checkedCountMax

        let small = layout.tensors.filter { !$0.isMatrix || $0.offset == layout.positions }
        let vectors = FloatBuffer.Builder(count: small.reduce(0) { $0 + $1.count })
        var places: [Int: Int] = [:]
        var used = 0
        for tensor in small {
            places[tensor.offset] = used
            try weights.read(tensor, into: vectors.slice(used..<used + tensor.count))
            used += tensor.count
        }

        var matrices: [Int: StoredMatrix] = [:]
        var memory: [any AnyObject & Sendable] = []
        for tensor in layout.tensors where tensor.isMatrix && tensor.offset != layout.positions {
            let mapped = try weights.mapped(tensor)
            let stored = mapped?.matrix.storage
            let wanted = storage(
                store, of: tensor, stored,
                isTable: tensor.offset == layout.embedding || tensor.offset == layout.head)
            if let mapped, wanted == stored {
                if isChecked { try weights.requireFinite(tensor) }
                matrices[tensor.offset] = mapped.matrix
                memory.append(mapped.file)
                continue
            }
            let encoded = try withTensorFloats(tensor, weights) { values in
                EncodedMatrix(
                    wanted, outputs: tensor.shape[0], inputs: tensor.shape[1], pool: .shared
                ) { row, target in
                    target.update(from: values + row * tensor.shape[1], count: tensor.shape[1])
                }
            }
            matrices[tensor.offset] = encoded.matrix
            memory.append(encoded)
        }
        self.init(
            configuration, layout, rotary: RotaryTable(configuration), vectors: vectors.finish(),
            vectorPlaces: places, matrices: matrices, memory: memory)
    }
}

extension LanguageModel {
    /// A model whose tensors `fill` delivers one by one, row-major; matrices are encoded as they come.
    public convenience init(
        configuration: ModelConfiguration, store: WeightStore,
        fill: (WeightLayout.Tensor, UnsafeMutableBufferPointer<Float>) throws -> Void
    ) rethrows {
        let layout = WeightLayout(configuration)
        let small = layout.tensors.filter { !$0.isMatrix || $0.offset == layout.positions }
        let vectors = FloatBuffer.Builder(count: small.reduce(0) { $0 + $1.count })
        var places: [Int: Int] = [:]
        var used = 0
        var matrices: [Int: StoredMatrix] = [:]
        var memory: [any AnyObject & Sendable] = []
        for tensor in layout.tensors {
            if !tensor.isMatrix || tensor.offset == layout.positions {
                places[tensor.offset] = used
                try fill(tensor, vectors.slice(used..<used + tensor.count))
                used += tensor.count
                continue
            }
            let floats = UnsafeMutableBufferPointer<Float>.allocate(capacity: tensor.count)
            defer { floats.deallocate() }
            try fill(tensor, floats)
            let isTable = tensor.offset == layout.embedding || tensor.offset == layout.head
            let encoded = EncodedMatrix(
                storage(store, of: tensor, nil, isTable: isTable), outputs: tensor.shape[0],
                inputs: tensor.shape[1], pool: .shared
            ) { row, target in
                target.update(
                    from: floats.baseAddress! + row * tensor.shape[1], count: tensor.shape[1])
            }
            matrices[tensor.offset] = encoded.matrix
            memory.append(encoded)
        }
        self.init(
            configuration, layout, rotary: RotaryTable(configuration), vectors: vectors.finish(),
            vectorPlaces: places, matrices: matrices, memory: memory)
    }
}

/// Mapped models of more weights are not read through when they are loaded.
private let checkedCountMax = 1 << 24

/// How one matrix is kept.
private func storage(
    _ store: WeightStore?, of tensor: WeightLayout.Tensor, _ stored: MatrixStorage?, isTable: Bool
) -> MatrixStorage {
    switch store {
    case nil: stored ?? .f32
    case .f32: .f32
    case .bf16: .bf16
    case .int8: .int8
    // Few weights, and each decides about a token on its own; odd rows do not fill their bytes.
    case .int4: isTable || tensor.shape[1] % 2 == 1 ? .int8 : .int4
    }
}

private func withTensorFloats<Result>(
    _ tensor: WeightLayout.Tensor, _ weights: CheckpointWeights,
    _ body: (UnsafePointer<Float>) throws -> Result
) throws -> Result {
    let floats = UnsafeMutableBufferPointer<Float>.allocate(capacity: tensor.count)
    defer { floats.deallocate() }
    try weights.read(tensor, into: floats)
    return try body(floats.baseAddress!)
}
