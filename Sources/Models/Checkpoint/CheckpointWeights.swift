import Kernels

/// The tensors of a checkpoint as a model's graph wants them: found under either spelling, checked,
/// and turned from the family's stored form into outputs × inputs.
struct CheckpointWeights {
    private let checkpoint: Checkpoint
    /// The checkpoint's names lack the family's prefix, as GPT-2's on the hub do.
    private let isBare: Bool
    private let configuration: ModelConfiguration

    /// Checks that the checkpoint holds the graph's tensors and no others.
    /// - Throws: `CheckpointError` that names the tensor at fault.
    init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        self.checkpoint = checkpoint
        configuration = checkpoint.configuration
        let names = configuration.names
        isBare = !checkpoint.tensorNames.contains { $0.hasPrefix(names.prefix) }

        var unread = Set(checkpoint.tensorNames.filter { !names.isBuffer($0) })
        for tensor in WeightLayout(configuration).tensors { unread.remove(name(tensor)) }
        // Some writers repeat the embedding as the head that is tied to it.
        if configuration.tiesWordEmbeddings { unread.remove("\(names.head).weight") }
        if let surplus = unread.min(), let file = checkpoint[surplus]?.file {
            throw CheckpointError(
                .mismatch, file: file.path,
                "tensor \(surplus) has no place in a \(configuration.family.rawValue) model of "
                    + "\(configuration.layerCount) layers"
                    + (unread.count > 1 ? " (nor have \(unread.count - 1) others)" : ""),
                hint: "config.json and weights may belong to different models")
        }
    }

    /// Writes a tensor's numbers to `target`, row-major in the graph's shape.
    /// - Throws: `CheckpointError` for a tensor that is missing, has another shape or type, or holds a
    ///   value that is not a finite number.
    func read(
        _ tensor: WeightLayout.Tensor, into target: UnsafeMutableBufferPointer<Float>
    ) throws(CheckpointError) {
        let values = try checkpoint.floats(name(tensor), shape: tensor.storedShape)
        try requireFinite(tensor, values)
        switch tensor.stored {
        case .transposed where tensor.isMatrix:
            let (outputs, inputs) = (tensor.shape[0], tensor.shape[1])
            for output in 0..<outputs {
                for input in 0..<inputs {
                    target[output * inputs + input] = values[input * outputs + output]
                }
            }
        case .headInterleaved:
            _ = target.update(fromContentsOf: configuration.graphRows(of: .queryKeyValue, values))
        case .plain, .transposed:
            _ = target.update(fromContentsOf: values)
        }
    }

    /// - Throws: `CheckpointError` for a tensor that holds a value that is not a finite number.
    func requireFinite(_ tensor: WeightLayout.Tensor) throws(CheckpointError) {
        try requireFinite(tensor, try checkpoint.floats(name(tensor), shape: tensor.storedShape))
    }

    private func requireFinite(
        _ tensor: WeightLayout.Tensor, _ values: [Float]
    ) throws(CheckpointError) {
        guard values.allSatisfy(\.isFinite) else {
            throw CheckpointError(
                .malformed, file: checkpoint[name(tensor)]?.file.path ?? checkpoint.directory,
                "tensor \(name(tensor)) holds a value that is not a finite number",
                hint: "The file may be damaged, or the training that made it diverged")
        }
    }

    /// Where a tensor lies, if the graph can multiply with it as it is: plain or transposed floats on a fitting
    /// address.
    /// - Throws: `CheckpointError` for a tensor that is missing or has another shape or type.
    func mapped(
        _ tensor: WeightLayout.Tensor
    ) throws(CheckpointError) -> (matrix: StoredMatrix, file: SafeTensorsFile)? {
        guard tensor.isMatrix, tensor.stored != .headInterleaved else { return nil }
        let (file, entry) = try checkpoint.tensor(name(tensor), shape: tensor.storedShape)
        let storage: MatrixStorage
        switch entry.type {
        case .f32: storage = .f32
        case .bf16: storage = .bf16
        case .f16: storage = .f16
        default: return nil
        }
        #if _endian(big)
            return nil
        #else
            let bytes = file.bytes(of: entry)
            guard let base = bytes.baseAddress, Int(bitPattern: base) % (storage.bits / 8) == 0 else {
                return nil
            }
            return (
                StoredMatrix(
                    base, storage, outputs: tensor.shape[0], inputs: tensor.shape[1],
                    isTransposed: tensor.stored == .transposed), file
            )
        #endif
    }

    private func name(_ tensor: WeightLayout.Tensor) -> String {
        let prefix = configuration.names.prefix
        guard isBare, tensor.name.hasPrefix(prefix) else { return tensor.name }
        return String(tensor.name.dropFirst(prefix.count))
    }
}

extension ModelConfiguration {
    /// The rows of a tensor of one linear's outputs as the graph has them, from the order that the
    /// checkpoint keeps: GPT-NeoX stores query, key and value in turns, head by head.
    package func graphRows(of module: LinearModule, _ values: [Float]) -> [Float] {
        guard names.stored(module) == .headInterleaved else { return values }
        let width = values.count / fusedWidth
        return interleavedRows.flatMap { values[$0 * width..<($0 + 1) * width] }
    }

    /// The other way round.
    package func storedRows(of module: LinearModule, _ values: [Float]) -> [Float] {
        guard names.stored(module) == .headInterleaved else { return values }
        let width = values.count / fusedWidth
        var result = values
        for (row, stored) in interleavedRows.enumerated() {
            result.replaceSubrange(
                stored * width..<(stored + 1) * width, with: values[row * width..<(row + 1) * width])
        }
        return result
    }

    /// For each row of all query, then all key, then all value heads: its row where the three take turns
    /// head by head.
    private var interleavedRows: [Int] {
        (0..<3).flatMap { part in
            (0..<headCount).flatMap { head in
                (0..<headSize).map { (head * 3 + part) * headSize + $0 }
            }
        }
    }
}
