import Sodium

/// Every domain-separation string of the protocol. A label is used for one purpose only.
package enum Labels: String {
    package static let prefix = "secagg/v1/"

    // Hashes and signatures
    case manifest
    case roster
    case advertise
    case session
    case share
    case commitSelfMask = "commit-b"
    case commitNoise = "commit-noise"
    case shareAssociatedData = "share-aad"
    case maskedChunk = "y-chunk"
    case masked
    case survivors = "u3"
    case unmask
    case result
    case transcript = "log"

    // Key derivation
    case graph
    case maskSecretKey = "mask-sk"
    case channel
    case pairMask = "pair-mask"
    case selfMask = "self-mask"

    package var text: String { Self.prefix + rawValue }
    package var bytes: [UInt8] { Array(text.utf8) }

    /// `TH(label, parts…)`, BLAKE2b-256 over length-prefixed label and parts.
    package func hash(_ parts: [[UInt8]]) -> Digest { .labelled(text, parts) }
}

/// The 32-byte digest that a signature over `body` covers: the label names the purpose and `scope`
/// the manifest or session, so a signature is valid for one message of one session only.
package func signedDigest(_ label: Labels, scope: Digest, body: [UInt8]) -> [UInt8] {
    label.hash([scope.bytes, body]).bytes
}

/// Little-endian integers in byte strings.
package enum ByteOrder {
    package static func uint64(_ bytes: [UInt8], at offset: Int) -> UInt64 {
        bytes[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    package static func bytes(_ value: Int) -> [UInt8] { littleEndianBytes(UInt32(value)) }
}
