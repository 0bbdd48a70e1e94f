/// A JSON document that keeps what model files need and common readers lose: the order of
/// keys, repeated keys, and strings as exact Unicode scalars.
///
/// Swift compares strings by canonical equivalence, so a `[String: Int]` would merge vocabulary
/// entries such as U+212B and U+00C5. Lookups here compare UTF-8 bytes.
public enum JSON: Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case real(Double)
    case string(String)
    case array([JSON])
    case object([Member])

    public struct Member: Sendable {
        public let key: String
        public let value: JSON

        public init(_ key: String, _ value: JSON) {
            self.key = key
            self.value = value
        }
    }
}

extension JSON {
    /// The value of `key`, or nil if this is no object or lacks it. Linear in the object's size.
    public subscript(key: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key.utf8.elementsEqual(key.utf8) }?.value
    }

    public var isNull: Bool {
        if case .null = self { return true }
        return false
    }

    public var boolean: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    /// An integer, also when it was written as `8.0`.
    public var integer: Int? {
        switch self {
        case .integer(let value): return value
        case .real(let value): return Int(exactly: value)
        default: return nil
        }
    }

    public var number: Double? {
        switch self {
        case .integer(let value): return Double(value)
        case .real(let value): return value
        default: return nil
        }
    }

    public var string: String? {
        if case .string(let value) = self { return value }
        return nil
    }

    public var array: [JSON]? {
        if case .array(let value) = self { return value }
        return nil
    }

    public var members: [Member]? {
        if case .object(let value) = self { return value }
        return nil
    }

    /// What kind of value this is, for error messages.
    public var kind: String {
        switch self {
        case .null: return "null"
        case .bool: return "a boolean"
        case .integer, .real: return "a number"
        case .string: return "a string"
        case .array: return "a list"
        case .object: return "an object"
        }
    }

    /// The first key that occurs twice in this object, compared byte for byte.
    var repeatedKey: String? {
        guard case .object(let members) = self else { return nil }
        var seen = Set<[UInt8]>(minimumCapacity: members.count)
        return members.first { !seen.insert(Array($0.key.utf8)).inserted }?.key
    }
}
