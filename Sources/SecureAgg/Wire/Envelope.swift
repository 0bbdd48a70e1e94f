import Foundation
import Sodium
import SwiftProtobuf

package typealias MessageKind = Secagg_V1_Kind

/// What generated bodies have in common, named apart from this file's `Message`.
package typealias WireBody = SwiftProtobuf.Message

/// A message as it travels: what it is, which session it belongs to, its body and its signature, the
/// last two exactly as sent.
package struct Message {
    package var kind: MessageKind
    package var session: Digest?
    package var body: [UInt8]
    package var signature: [UInt8] = []
    package var attachment: [UInt8] = []

    package func encoded() -> [UInt8] {
        var envelope = Secagg_V1_Envelope()
        envelope.kind = kind
        if let session { envelope.session = Data(session.bytes) }
        envelope.body = Data(body)
        envelope.signature = Data(signature)
        envelope.attachment = Data(attachment)
        return encodeWire(envelope)
    }

    /// Decodes an envelope of at most `limit` bytes.
    package init(decoding bytes: [UInt8], limit: Int) throws(WireError) {
        guard bytes.count <= limit else { throw .tooLarge(bytes.count, limit: limit) }
        let envelope: Secagg_V1_Envelope = try decodeWire(bytes)
        guard envelope.signature.isEmpty || envelope.signature.count == VerifyingKey.signatureLength
        else { throw .malformed }
        kind = envelope.kind
        if envelope.session.isEmpty {
            session = nil
        } else {
            guard let digest = Digest(bytes: envelope.session) else { throw .malformed }
            session = digest
        }
        body = [UInt8](envelope.body)
        signature = [UInt8](envelope.signature)
        attachment = [UInt8](envelope.attachment)
    }

    package init(_ kind: MessageKind, session: Digest?, body: [UInt8], signature: [UInt8] = []) {
        self.kind = kind
        self.session = session
        self.body = body
        self.signature = signature
    }

    /// A message signed for its session under the label of its kind.
    package init(_ kind: MessageKind, session: Digest, body: [UInt8], label: Labels, signer: SigningKey) {
        self.init(
            kind, session: session, body: body,
            signature: signer.sign(signedDigest(label, scope: session, body: body)))
    }

    package func isSigned(by key: VerifyingKey, label: Labels, scope: Digest) -> Bool {
        key.accepts(signature: signature, over: signedDigest(label, scope: scope, body: body))
    }
}

/// Why bytes are not a message; the stage that reads them turns this into a fault with a culprit.
package enum WireError: Error {
    case tooLarge(Int, limit: Int)
    case malformed

    package func fault(at stage: Stage, scope: AggregationFault.Scope) -> AggregationFault {
        var culprits: [ClientID] = []
        if case .peer(let sender) = scope { culprits = [sender] }
        return switch self {
        case .tooLarge(let count, let limit):
            AggregationFault(
                .tooLarge, at: stage, scope: scope, culprits: culprits,
                "\(count) bytes, at most \(limit)")
        case .malformed:
            AggregationFault(.malformed, at: stage, scope: scope, culprits: culprits)
        }
    }
}

package func encodeWire(_ message: some SwiftProtobuf.Message) -> [UInt8] {
    do {
        return try message.serializedBytes()
    } catch {
        // proto3 without required fields: serialisation has nothing to object to.
        preconditionFailure("a protocol message could not be serialised")
    }
}

/// Decodes a body; its own length bounds what the decoder allocates.
package func decodeWire<Body: SwiftProtobuf.Message>(_ bytes: [UInt8]) throws(WireError) -> Body {
    do {
        // Unknown fields would be signed but not understood, so they are refused.
        let body = try Body(serializedBytes: bytes)
        guard body.unknownFields.data.isEmpty else { throw WireError.malformed }
        return body
    } catch {
        throw .malformed
    }
}

extension Digest {
    /// `count` digests one after another, or nil when the length is another.
    static func list(_ bytes: Data, count: Int) -> [Digest]? {
        guard bytes.count == count * length else { return nil }
        let bytes = [UInt8](bytes)
        return (0..<count).compactMap { Digest(bytes: bytes[$0 * length..<($0 + 1) * length]) }
    }
}

extension Data {
    /// The bytes as a digest-sized array, or nil when the length differs.
    package func exactly(_ count: Int) -> [UInt8]? { self.count == count ? [UInt8](self) : nil }
}
