import Foundation

/// An error as the service reports it: `application/problem+json` (RFC 9457).
///
/// Carries names, stages and counts, never values.
package struct Problem: Error, Equatable, Sendable {
    package let kind: Kind
    package let detail: String
    /// Seconds after which the same request may succeed.
    package var retryAfter: Int?
    /// Bytes that the server holds of an upload, for `offset`.
    package var offset: Int?

    package init(_ kind: Kind, _ detail: String, retryAfter: Int? = nil, offset: Int? = nil) {
        self.kind = kind
        self.detail = detail
        self.retryAfter = retryAfter
        self.offset = offset
    }

    /// The client has no session any more, whatever it asked for.
    var endsSession: Bool { kind == .noSession || kind == .superseded }

    static let typePrefix = "urn:fedtrain:problem:"
    package static let contentType = "application/problem+json"

    /// What went wrong, by name; the name ends the problem's `type`.
    package enum Kind: String, CaseIterable, Sendable {
        case malformed
        case unsupportedVersion = "unsupported-version"
        /// The token is unknown: open a session again.
        case noSession = "no-session"
        /// A later session of the same client took this one's place.
        case superseded
        case badSignature = "bad-signature"
        /// The identity is not in the roster, or has another key there.
        case unknownIdentity = "unknown-identity"
        case revoked
        case expired
        /// The identity or the request is for another server.
        case wrongServer = "wrong-server"
        case clockSkew = "clock-skew"
        case replayed
        case notFound = "not-found"
        case wrongMethod = "wrong-method"
        /// The message belongs to a stage that is not open.
        case wrongStage = "wrong-stage"
        case offset
        case tooLarge = "too-large"
        /// The message broke a rule of the protocol.
        case rejected
        case tooManyRequests = "too-many-requests"
        case overloaded
        case ended
        case failed

        package var status: Int {
            switch self {
            case .malformed, .unsupportedVersion: 400
            case .noSession, .superseded: 401
            case .badSignature, .unknownIdentity, .revoked, .expired, .wrongServer, .clockSkew, .replayed: 403
            case .notFound: 404
            case .wrongMethod: 405
            case .wrongStage, .offset: 409
            case .ended: 410
            case .tooLarge: 413
            case .rejected: 422
            case .tooManyRequests: 429
            case .failed: 500
            case .overloaded: 503
            }
        }

        var title: String {
            switch self {
            case .malformed: "The request cannot be read"
            case .unsupportedVersion: "The version is not one that this server speaks"
            case .noSession: "There is no such session"
            case .superseded: "A later session of this client took over"
            case .badSignature: "The signature does not belong to this request"
            case .unknownIdentity: "The roster does not list this identity"
            case .revoked: "The identity was revoked"
            case .expired: "The identity has expired"
            case .wrongServer: "The request was made for another server"
            case .clockSkew: "The client's clock is too far from the server's"
            case .replayed: "The request was made before"
            case .notFound: "There is nothing under this address"
            case .wrongMethod: "The address does not take this method"
            case .wrongStage: "The stage is not open"
            case .offset: "The piece does not continue what the server holds"
            case .tooLarge: "The body is longer than this request may be"
            case .rejected: "The message breaks a rule of the protocol"
            case .tooManyRequests: "There were too many requests"
            case .overloaded: "The server has no room for this at the moment"
            case .ended: "The run has ended"
            case .failed: "The server failed"
            }
        }
    }

    private struct Document: Codable {
        let type: String
        let title: String
        let status: Int
        let detail: String
        var offset: Int?
    }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let document = Document(
            type: Self.typePrefix + kind.rawValue, title: kind.title, status: kind.status, detail: detail,
            offset: offset)
        return (try? encoder.encode(document)).map { Array($0) } ?? Array("{}".utf8)
    }

    /// Reads an error body; nil when it is none of this service's.
    package init?(json: [UInt8]) {
        guard let document = try? JSONDecoder().decode(Document.self, from: Data(json)),
            document.type.hasPrefix(Self.typePrefix),
            let kind = Kind(rawValue: String(document.type.dropFirst(Self.typePrefix.count)))
        else { return nil }
        self.init(kind, printable(document.detail), offset: document.offset)
    }
}
