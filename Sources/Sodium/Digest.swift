import CSodium

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

/// BLAKE2b-256 over bytes that arrive in pieces.
public struct Hasher256: ~Copyable {
    // libsodium keeps the state's layout to itself: 384 bytes, aligned to 64.
    private let state: OpaquePointer

    public init() {
        SodiumLibrary.ensureReady()
        state = OpaquePointer(
            UnsafeMutableRawPointer.allocate(
                byteCount: crypto_generichash_statebytes(), alignment: 64))
        precondition(crypto_generichash_init(state, nil, 0, Digest.length) == 0)
    }

    deinit {
        UnsafeMutableRawPointer(state).deallocate()
    }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        crypto_generichash_update(
            state, base.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count))
    }

    public mutating func update(_ bytes: some Collection<UInt8>) {
        let done: Void? = bytes.withContiguousStorageIfAvailable { update(UnsafeRawBufferPointer($0)) }
        if done == nil { Array(bytes).withUnsafeBytes { update($0) } }
    }

    public mutating func updateLengthPrefixed(_ bytes: [UInt8]) {
        update(littleEndianBytes(UInt32(bytes.count)))
        update(bytes)
    }

    public consuming func finish() -> Digest {
        let bytes = [UInt8](unsafeUninitializedCapacity: Digest.length) { buffer, count in
            crypto_generichash_final(state, buffer.baseAddress!, Digest.length)
            count = Digest.length
        }
        return Digest(unchecked: bytes)
    }
}

/// Lower-case hexadecimal of `bytes`.
public func hexString(_ bytes: some Collection<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count * 2)
    for byte in bytes {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}

/// The bytes of a hexadecimal string; nil unless it is well formed. Only lower case is accepted,
/// so that a value has one spelling.
public func bytesFromHex(_ text: String) -> [UInt8]? {
    let characters = Array(text.utf8)
    guard characters.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(characters.count / 2)
    func value(_ character: UInt8) -> UInt8? {
        switch character {
        case 0x30...0x39: character - 0x30
        case 0x61...0x66: character - 0x61 + 10
        default: nil
        }
    }
    for index in stride(from: 0, to: characters.count, by: 2) {
        guard let high = value(characters[index]), let low = value(characters[index + 1]) else {
            return nil
        }
        bytes.append(high << 4 | low)
    }
    return bytes
}
