import Sodium

/// A client's number in the roster; stable across rounds, public.
public struct ClientID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let number: UInt64

    public init(_ number: UInt64) { self.number = number }

    public static func < (left: ClientID, right: ClientID) -> Bool { left.number < right.number }

    public var description: String { "client \(number)" }
}

/// A client's number and its long-lived signing key.
public struct ClientIdentity: Sendable {
    public let id: ClientID
    public let signingKey: SigningKey

    public init(id: ClientID, signingKey: SigningKey) {
        self.id = id
        self.signingKey = signingKey
    }

    public var verifyingKey: VerifyingKey { signingKey.verifyingKey }
}

/// Who may take part: client number → identity key, in ascending order of numbers.
///
/// The enrolment authority signs it offline (`signed(by:)`); everyone else holds the authority's
/// public key and reads it with `init(signedBytes:authority:)`, so a value of this type was either
/// made by the authority or verified against it.
public struct Roster: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public let id: ClientID
        public let key: VerifyingKey

        public init(id: ClientID, key: VerifyingKey) {
            self.id = id
            self.key = key
        }
    }

    /// Grows with every edition, so that a client can refuse an older one.
    public let epoch: UInt64
    public let entries: [Entry]
    /// `TH("secagg/v1/roster", bytes)`: the root that manifests name.
    public let digest: Digest
    private let keys: [ClientID: VerifyingKey]

    /// - Throws: `RosterError.notDistinct` when a number or key appears twice.
    public init(epoch: UInt64, entries: [Entry]) throws(RosterError) {
        let sorted = entries.sorted { $0.id < $1.id }
        var keys: [ClientID: VerifyingKey] = [:]
        for entry in sorted {
            guard keys.updateValue(entry.key, forKey: entry.id) == nil else {
                throw .notDistinct(entry.id)
            }
        }
        guard Set(sorted.map(\.key)).count == sorted.count else { throw .keyUsedTwice }
        self.epoch = epoch
        self.entries = sorted
        self.keys = keys
        self.digest = Labels.roster.hash([Self.encode(epoch: epoch, entries: sorted)])
    }

    /// Reads and verifies a roster that the authority signed: 64 bytes of signature, then the body.
    public init(signedBytes: [UInt8], authority: VerifyingKey) throws(RosterError) {
        guard signedBytes.count >= VerifyingKey.signatureLength + 16,
            signedBytes.count <= Limits.rosterBytes
        else { throw .malformed }
        let signature = Array(signedBytes[..<VerifyingKey.signatureLength])
        let body = Array(signedBytes[VerifyingKey.signatureLength...])
        guard authority.accepts(signature: signature, over: Labels.roster.hash([body]).bytes) else {
            throw .badSignature
        }
        try self.init(body: body)
    }

    /// The roster's bytes under the authority's signature.
    public func signed(by authority: SigningKey) -> [UInt8] {
        authority.sign(digest.bytes) + Self.encode(epoch: epoch, entries: entries)
    }

    public func key(of id: ClientID) -> VerifyingKey? { keys[id] }

    // Body: epoch u64 ‖ count u64 ‖ count × (id u64 ‖ key 32 bytes), little-endian.
    private static func encode(epoch: UInt64, entries: [Entry]) -> [UInt8] {
        var bytes = littleEndianBytes(epoch) + littleEndianBytes(UInt64(entries.count))
        for entry in entries { bytes += littleEndianBytes(entry.id.number) + entry.key.bytes }
        return bytes
    }

    private init(body: [UInt8]) throws(RosterError) {
        let count = ByteOrder.uint64(body, at: 8)
        guard count <= UInt64(Limits.rosterEntries), body.count == 16 + Int(count) * 40 else {
            throw .malformed
        }
        var entries: [Entry] = []
        entries.reserveCapacity(Int(count))
        for index in 0..<Int(count) {
            let start = 16 + index * 40
            let id = ClientID(ByteOrder.uint64(body, at: start))
            if let last = entries.last, last.id >= id { throw .malformed }
            guard let key = VerifyingKey(bytes: body[start + 8..<start + 40]) else { throw .malformed }
            entries.append(Entry(id: id, key: key))
        }
        try self.init(epoch: ByteOrder.uint64(body, at: 0), entries: entries)
    }
}

public enum RosterError: Error, Hashable, Sendable, CustomStringConvertible {
    case malformed
    case badSignature
    case notDistinct(ClientID)
    case keyUsedTwice

    public var description: String {
        switch self {
        case .malformed: "the roster's bytes are damaged or not a roster; fetch it again from the authority"
        case .badSignature:
            "the roster is not signed by the expected authority; check the pinned authority key"
        case .notDistinct(let id): "\(id) is listed twice in the roster"
        case .keyUsedTwice: "two clients of the roster have the same identity key"
        }
    }
}
