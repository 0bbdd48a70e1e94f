/// The subset of JSON that ledgers are written in: objects, arrays and strings, nothing else.
///
/// One value has exactly one spelling: keys sorted by their UTF-8 bytes, no white space, only the
/// escapes that JSON demands, numbers as decimal or p/q strings. Digests and signatures are over
/// these bytes.
public enum CanonicalJSON: Hashable, Sendable {
    case string(String)
    case array([CanonicalJSON])
    case object([String: CanonicalJSON])

    public subscript(_ key: String) -> CanonicalJSON? {
        if case .object(let fields) = self { fields[key] } else { nil }
    }

    public var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The only spelling of this value.
    public var bytes: [UInt8] {
        var output: [UInt8] = []
        write(into: &output)
        return output
    }

    /// Reads a value; nil unless `bytes` are exactly its canonical spelling.
    public init?(canonical bytes: [UInt8]) {
        var reader = Reader(bytes: bytes)
        guard let value = reader.value(depth: 0), reader.position == bytes.count,
            value.bytes == bytes
        else { return nil }
        self = value
    }

    private func write(into output: inout [UInt8]) {
        switch self {
        case .string(let text):
            Self.writeString(text, into: &output)
        case .array(let values):
            output.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                value.write(into: &output)
            }
            output.append(UInt8(ascii: "]"))
        case .object(let fields):
            output.append(UInt8(ascii: "{"))
            let sorted = fields.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            for (index, field) in sorted.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                Self.writeString(field.key, into: &output)
                output.append(UInt8(ascii: ":"))
                field.value.write(into: &output)
            }
            output.append(UInt8(ascii: "}"))
        }
    }

    private static func writeString(_ text: String, into output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                output.append(UInt8(ascii: "\\"))
                output.append(byte)
            case 0..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                output += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            default:
                output.append(byte)
            }
        }
        output.append(UInt8(ascii: "\""))
    }
}

/// Reads what `write` writes. Other spellings of the same value may pass here and fail the byte
/// comparison afterwards.
private struct Reader {
    let bytes: [UInt8]
    var position = 0

    private static let depthMax = 32

    mutating func value(depth: Int) -> CanonicalJSON? {
        guard depth < Self.depthMax, position < bytes.count else { return nil }
        switch bytes[position] {
        case UInt8(ascii: "\""): return string().map(CanonicalJSON.string)
        case UInt8(ascii: "["): return array(depth: depth)
        case UInt8(ascii: "{"): return object(depth: depth)
        default: return nil
        }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func array(depth: Int) -> CanonicalJSON? {
        guard take("[") else { return nil }
        var values: [CanonicalJSON] = []
        if take("]") { return .array(values) }
        repeat {
            guard let element = value(depth: depth + 1) else { return nil }
            values.append(element)
        } while take(",")
        return take("]") ? .array(values) : nil
    }

    private mutating func object(depth: Int) -> CanonicalJSON? {
        guard take("{") else { return nil }
        var fields: [String: CanonicalJSON] = [:]
        if take("}") { return .object(fields) }
        repeat {
            guard let key = string(), fields[key] == nil, take(":"),
                let element = value(depth: depth + 1)
            else { return nil }
            fields[key] = element
        } while take(",")
        return take("}") ? .object(fields) : nil
    }

    private mutating func string() -> String? {
        guard take("\"") else { return nil }
        var content: [UInt8] = []
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(validating: content, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let escaped = escape() else { return nil }
                content.append(escaped)
            case 0..<0x20: return nil
            default: content.append(byte)
            }
        }
        return nil
    }

    private mutating func escape() -> UInt8? {
        guard position < bytes.count else { return nil }
        let character = bytes[position]
        position += 1
        switch character {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): return character
        case UInt8(ascii: "u"):
            guard position + 4 <= bytes.count else { return nil }
            let digits = String(decoding: bytes[position..<position + 4], as: UTF8.self)
            position += 4
            guard let code = UInt16(digits, radix: 16), code < 0x20 else { return nil }
            return UInt8(code)
        default: return nil
        }
    }
}
