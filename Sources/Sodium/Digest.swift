/// A BLAKE2b-256 digest (RFC 7693).
public struct Digest: Hashable, Sendable {
    public static let length = 32

    public let bytes: [UInt8]

    /// Wraps 32 bytes that came from elsewhere; nil when the length is wrong.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.length else { return nil }
        self.bytes = Array(bytes)
    }

    init(unchecked bytes: [UInt8]) {
        self.bytes = bytes
    }

    public init?(hex: String) {
        guard let bytes = bytesFromHex(hex) else { return nil }
        self.init(bytes: bytes)
    }

    public var hex: String { hexString(bytes) }

    /// BLAKE2b-256 of `bytes`.
    public static func of(_ bytes: some Collection<UInt8>) -> Digest {
        var hasher = Hasher256()
        hasher.update(bytes)
        return hasher.finish()
    }

    /// `TH(label, part…)`: BLAKE2b-256 over the label and parts, each prefixed by its length as a
    /// little-endian 32-bit integer, so that no two different lists of parts hash alike.
    public static func labelled(_ label: String, _ parts: [[UInt8]]) -> Digest {
        var hasher = Hasher256()
        hasher.updateLengthPrefixed(Array(label.utf8))
        for part in parts { hasher.updateLengthPrefixed(part) }
        return hasher.finish()
    }
}

extension Digest: CustomStringConvertible {
    public var description: String { hex }
}
