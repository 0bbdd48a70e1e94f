import Foundation
import Sodium
import SwiftProtobuf

/// Names of the generated messages without their package.
typealias WireNext = Fedtrain_Service_V1_Next
typealias WireInstruction = Fedtrain_Service_V1_Instruction
typealias WireTerms = Fedtrain_Service_V1_Terms

/// The service's version and what both ends must agree on beyond the messages.
package enum ServiceProtocol {
    static let version: UInt32 = 1
    static let contentType = "application/x-protobuf"
    static let requestLabel = "fedtrain/v1/session-request"
    static let sessionLabel = "fedtrain/v1/session"
    /// How far a client's clock may be off, in seconds.
    static let clockSkewMax: UInt64 = 300
    /// How long a long poll waits, in seconds.
    static let pollSeconds = 25
    /// The longest piece of an upload, in bytes.
    static let pieceBytes = 256 << 10
    /// The longest answer that a client reads, in bytes: a cohort of 2^17 clients.
    static let answerBytesMax = 64 << 20

    static let challengeHeader = "WWW-Authenticate"

    /// The digest that a signature under `label` covers.
    static func signed(_ label: String, _ body: [UInt8]) -> [UInt8] {
        Digest.labelled(label, [body]).bytes
    }
}

/// Decodes a body; unknown fields are refused, since they would be signed but not understood.
func decodeBody<Body: SwiftProtobuf.Message>(_ bytes: [UInt8]) throws(Problem) -> Body {
    guard let body = try? Body(serializedBytes: bytes), body.unknownFields.data.isEmpty else {
        throw Problem(.malformed, "the body is not one \(Body.protoMessageName)")
    }
    return body
}

func encodeBody(_ message: some SwiftProtobuf.Message) -> [UInt8] {
    // proto3 without required fields: serialisation has nothing to object to.
    (try? message.serializedBytes()) ?? []
}
