/// One tensor of a safetensors file: what it is and where its bytes lie.
public struct TensorEntry: Sendable, Equatable {
    public let name: String
    public let type: TensorDataType
    /// Row-major shape; empty for a single number.
    public let shape: [Int]
    /// Byte range counted from the start of the file's data section.
    public let range: Range<Int>

    /// Number of elements.
    public var count: Int { shape.reduce(1, *) }
}

/// The header of a safetensors file, checked in full against the length of the file.
///
/// Layout: 8 bytes little-endian header length, JSON, data. The tensors cover the data section from
/// its first byte to its last, in order, without gaps or overlaps, so two files with the same
/// tensors cannot hide different bytes. Source: `safetensors/src/tensor.rs` of
/// huggingface/safetensors.
struct SafeTensorsHeader: Equatable {
    static let headerBytesMax = 100_000_000

    /// In the order of their data.
    let tensors: [TensorEntry]
    let metadata: [String: String]
    /// Offset of the data section in the file.
    let dataOffset: Int

    /// - Parameter file: the whole file.
    init(file: UnsafeRawBufferPointer) throws(SafeTensorsFault) {
        guard file.count >= 8 else { throw .fileTooShort(bytes: file.count) }
        let length = UInt64(littleEndian: file.loadUnaligned(as: UInt64.self))
        guard length <= Self.headerBytesMax else { throw .headerTooLarge(bytes: length) }
        let dataOffset = 8 + Int(length)
        guard dataOffset <= file.count else {
            throw .headerTruncated(needed: dataOffset, found: file.count)
        }
        guard length > 0, file[8] == UInt8(ascii: "{") else { throw .headerStart }

        let document: JSON
        do {
            document = try JSON.parse(UnsafeRawBufferPointer(rebasing: file[8..<dataOffset]))
        } catch {
            throw .headerNotJSON(error)
        }
        if let name = document.repeatedKey { throw .repeatedTensor(name) }

        var tensors: [TensorEntry] = []
        var metadata: [String: String] = [:]
        for member in document.members ?? [] {
            if member.key == "__metadata__" {
                metadata = try Self.metadata(member.value)
            } else {
                tensors.append(try Self.entry(member.key, member.value))
            }
        }
        tensors.sort {
            ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
        }
        try Self.requireContiguous(tensors, dataBytes: file.count - dataOffset)

        self.tensors = tensors
        self.metadata = metadata
        self.dataOffset = dataOffset
    }

    private static func metadata(_ value: JSON) throws(SafeTensorsFault) -> [String: String] {
        guard let members = value.members else { throw .badMetadata }
        if value.repeatedKey != nil { throw .badMetadata }
        var metadata: [String: String] = [:]
        for member in members {
            guard let text = member.value.string else { throw .badMetadata }
            metadata[member.key] = text
        }
        return metadata
    }

    private static func entry(_ name: String, _ value: JSON) throws(SafeTensorsFault) -> TensorEntry {
        if let key = value.repeatedKey { throw .badEntry(name, "repeats \(key)") }
        guard let typeName = value["dtype"]?.string else { throw .badEntry(name, "has no dtype") }
        guard let type = TensorDataType(rawValue: typeName) else {
            throw .badEntry(name, "has the unknown dtype \(typeName)")
        }
        guard let dimensions = value["shape"]?.array else { throw .badEntry(name, "has no shape") }
        guard let offsets = value["data_offsets"]?.array, offsets.count == 2,
            case .integer(let begin) = offsets[0], case .integer(let end) = offsets[1],
            begin >= 0, end >= begin
        else { throw .badEntry(name, "has bad data_offsets") }

        var shape: [Int] = []
        var bits = type.bitWidth
        for dimension in dimensions {
            guard case .integer(let extent) = dimension, extent >= 0 else {
                throw .badEntry(name, "has a bad shape")
            }
            let (product, overflow) = bits.multipliedReportingOverflow(by: extent)
            guard !overflow else { throw .badEntry(name, "has a shape that overflows") }
            bits = product
            shape.append(extent)
        }
        guard bits.isMultiple(of: 8), bits / 8 == end - begin else {
            throw .badEntry(
                name, "needs \(bits / 8) bytes for \(typeName) \(shape) but spans \(end - begin)")
        }
        return TensorEntry(name: name, type: type, shape: shape, range: begin..<end)
    }

    private static func requireContiguous(
        _ tensors: [TensorEntry], dataBytes: Int
    ) throws(SafeTensorsFault) {
        var expected = 0
        for tensor in tensors {
            guard tensor.range.lowerBound == expected else {
                throw .notContiguous(tensor.name, expected: expected, found: tensor.range.lowerBound)
            }
            expected = tensor.range.upperBound
        }
        guard expected == dataBytes else { throw .dataLength(expected: expected, found: dataBytes) }
    }
}

/// What is wrong with a safetensors file.
enum SafeTensorsFault: Error, Equatable, CustomStringConvertible {
    case fileTooShort(bytes: Int)
    case headerTooLarge(bytes: UInt64)
    case headerTruncated(needed: Int, found: Int)
    case headerStart
    case headerNotJSON(JSONError)
    case repeatedTensor(String)
    case badMetadata
    case badEntry(String, String)
    case notContiguous(String, expected: Int, found: Int)
    case dataLength(expected: Int, found: Int)

    var description: String {
        switch self {
        case .fileTooShort(let bytes):
            return "is \(bytes) bytes long; a safetensors file has at least 8"
        case .headerTooLarge(let bytes):
            return
                "claims a header of \(bytes) bytes; at most \(SafeTensorsHeader.headerBytesMax) are allowed"
        case .headerTruncated(let needed, let found):
            return "is cut off inside its header: needs \(needed) bytes, has \(found)"
        case .headerStart:
            return "has a header that does not start with '{', so this is not a safetensors file"
        case .headerNotJSON(let error):
            return "has a header that is \(error)"
        case .repeatedTensor(let name):
            return "describes tensor \(name) twice"
        case .badMetadata:
            return "has __metadata__ that is not an object of strings"
        case .badEntry(let name, let reason):
            return "tensor \(name) \(reason)"
        case .notContiguous(let name, let expected, let found):
            return
                "tensor \(name) starts at \(found) instead of \(expected): its data overlaps or leaves a hole"
        case .dataLength(let expected, let found):
            return found < expected
                ? "is cut off: its tensors need \(expected) bytes of data, it has \(found)"
                : "has \(found - expected) bytes after its last tensor"
        }
    }
}
