import Kernels

/// A tensor to be written: name, element type, shape and little-endian bytes.
public struct SafeTensor: Sendable {
    public let name: String
    public let type: TensorDataType
    public let shape: [Int]
    public let bytes: [UInt8]

    /// - Precondition: `bytes` has exactly the size that type and shape ask for.
    public init(name: String, type: TensorDataType, shape: [Int], bytes: [UInt8]) {
        precondition(shape.allSatisfy { $0 >= 0 })
        precondition(
            shape.reduce(type.bitWidth, *) == bytes.count * 8, "\(name): bytes do not fit the shape")
        self.name = name
        self.type = type
        self.shape = shape
        self.bytes = bytes
    }

    /// Row-major `values`, stored as `F32` or rounded to `BF16` (nearest, ties to even).
    /// - Precondition: `type` is one of the two; the count fits the shape.
    public init(name: String, shape: [Int], values: [Float], as type: TensorDataType = .f32) {
        precondition(type == .f32 || type == .bf16)
        let width = type.bitWidth / 8
        let bytes = [UInt8](unsafeUninitializedCapacity: values.count * width) { buffer, count in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            for (index, value) in values.enumerated() {
                if type == .f32 {
                    raw.storeBytes(
                        of: value.bitPattern.littleEndian, toByteOffset: 4 * index, as: UInt32.self)
                } else {
                    raw.storeBytes(
                        of: bfloat16Bits(value).littleEndian, toByteOffset: 2 * index, as: UInt16.self)
                }
            }
            count = values.count * width
        }
        self.init(name: name, type: type, shape: shape, bytes: bytes)
    }
}

extension SafeTensorsFile {
    /// Writes tensors to `path`, atomically, with the bytes that the Rust library would write:
    /// tensors by descending type rank, then by name; compact header padded with spaces to a
    /// multiple of 8.
    ///
    /// The Rust library leaves the order of several metadata entries open; here they are sorted.
    /// - Precondition: names are distinct, and none is `__metadata__`.
    public static func write(
        _ tensors: [SafeTensor], metadata: [String: String]? = nil, to path: String
    ) throws(CheckpointError) {
        let (header, sorted) = layOut(tensors, metadata: metadata)
        try AtomicFile.write(to: path) { (append) throws(CheckpointError) in
            try AtomicFile.withBytes(header, append)
            for tensor in sorted {
                try AtomicFile.withBytes(tensor.bytes, append)
            }
        }
    }

    /// The file's first bytes, up to the data, and the tensors in data order.
    static func layOut(
        _ tensors: [SafeTensor], metadata: [String: String]?
    ) -> (header: [UInt8], sorted: [SafeTensor]) {
        precondition(
            Set(tensors.map { ByteString($0.name) }).count == tensors.count, "repeated tensor name")
        precondition(!tensors.contains { $0.name == "__metadata__" })
        let sorted = tensors.sorted { first, second in
            if first.type != second.type { return first.type.rank > second.type.rank }
            return first.name.utf8.lexicographicallyPrecedes(second.name.utf8)
        }
        var members: [JSON.Member] = []
        if let metadata {
            let entries = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            members.append(
                JSON.Member("__metadata__", .object(entries.map { JSON.Member($0.key, .string($0.value)) })))
        }
        var offset = 0
        for tensor in sorted {
            let end = offset + tensor.bytes.count
            members.append(
                JSON.Member(
                    tensor.name,
                    .object([
                        JSON.Member("dtype", .string(tensor.type.rawValue)),
                        JSON.Member("shape", .array(tensor.shape.map(JSON.integer))),
                        JSON.Member("data_offsets", .array([.integer(offset), .integer(end)])),
                    ])))
            offset = end
        }
        var text = Array(JSON.object(members).text().utf8)
        while !text.count.isMultiple(of: 8) { text.append(UInt8(ascii: " ")) }
        let length = withUnsafeBytes(of: UInt64(text.count).littleEndian, Array.init)
        return (length + text, sorted)
    }
}
