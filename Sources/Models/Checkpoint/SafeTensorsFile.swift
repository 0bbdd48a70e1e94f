/// A safetensors file, memory-mapped and fully checked when opened.
///
/// Opening costs the header only; tensor bytes are read when asked for. Safe to share between
/// threads.
public final class SafeTensorsFile: Sendable {
    public let path: String
    /// The tensors in the order of their data.
    public let tensors: [TensorEntry]
    /// The file's `__metadata__`, for example `["format": "pt"]`.
    public let metadata: [String: String]

    private let file: MappedFile
    private let dataOffset: Int
    private let index: [ByteString: Int]

    /// Opens and checks the file.
    /// - Throws: `CheckpointError` if the file is missing, unreadable or breaks any rule of the format.
    public init(path: String) throws(CheckpointError) {
        let file = try MappedFile(path: path)
        let header: SafeTensorsHeader
        do {
            header = try SafeTensorsHeader(file: file.bytes)
        } catch {
            throw CheckpointError(
                .malformed, file: path, error.description,
                hint: "The file may be cut off or damaged; fetch it again")
        }
        self.path = path
        self.file = file
        tensors = header.tensors
        metadata = header.metadata
        dataOffset = header.dataOffset
        index = Dictionary(
            uniqueKeysWithValues: header.tensors.enumerated().map { (ByteString($1.name), $0) })
    }

    /// The tensor of that name, or nil.
    public subscript(name: String) -> TensorEntry? {
        index[ByteString(name)].map { tensors[$0] }
    }

    /// Calls `body` with the raw little-endian bytes of a tensor, which may be unaligned and are
    /// valid only during the call.
    public func withBytes<T>(of entry: TensorEntry, _ body: (UnsafeRawBufferPointer) throws -> T) rethrows
        -> T
    {
        try withExtendedLifetime(file) { try body(bytes(of: entry)) }
    }

    /// A tensor's raw little-endian bytes, which may be unaligned; valid as long as this object lives.
    func bytes(of entry: TensorEntry) -> UnsafeRawBufferPointer {
        let start = dataOffset + entry.range.lowerBound
        return UnsafeRawBufferPointer(rebasing: file.bytes[start..<start + entry.range.count])
    }

    /// Expands an `F32`, `F16` or `BF16` tensor into `destination`, row-major.
    /// - Precondition: `destination.count` equals the tensor's number of elements.
    public func read(
        _ entry: TensorEntry, into destination: UnsafeMutableBufferPointer<Float>
    ) throws(CheckpointError) {
        precondition(destination.count == entry.count)
        try requireExpandable(entry)
        withBytes(of: entry) { expandFloats(entry.type, from: $0, into: destination) }
    }

    /// The values of an `F32`, `F16` or `BF16` tensor, row-major.
    public func floats(_ entry: TensorEntry) throws(CheckpointError) -> [Float] {
        try requireExpandable(entry)
        return [Float](unsafeUninitializedCapacity: entry.count) { buffer, count in
            count = entry.count
            let destination = UnsafeMutableBufferPointer(rebasing: buffer[..<count])
            withBytes(of: entry) { expandFloats(entry.type, from: $0, into: destination) }
        }
    }

    /// The values of the tensor called `name`.
    /// - Throws: `CheckpointError` if there is no such tensor or its type cannot be expanded.
    public func floats(_ name: String) throws(CheckpointError) -> [Float] {
        guard let entry = self[name] else {
            throw CheckpointError(.mismatch, file: path, "has no tensor \(name)")
        }
        return try floats(entry)
    }

    private func requireExpandable(_ entry: TensorEntry) throws(CheckpointError) {
        guard entry.type.isExpandable else {
            throw CheckpointError(
                .unsupported, file: path,
                "tensor \(entry.name) has element type \(entry.type.rawValue); F32, F16 and BF16 can be read",
                hint: "Convert the file to one of these types")
        }
    }
}

/// A string that is equal to another only if the UTF-8 bytes are, unlike `String`.
struct ByteString: Hashable, Sendable {
    let bytes: [UInt8]

    init(_ string: String) {
        bytes = Array(string.utf8)
    }

    var string: String { String(decoding: bytes, as: UTF8.self) }
}
