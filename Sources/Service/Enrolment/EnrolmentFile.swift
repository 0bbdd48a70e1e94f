import FedTrain
import Foundation
import Models
import Sodium

/// What a client is given, over a channel it trusts, before it joins: where the server is, and the
/// certificate and keys that it must have. Nothing in it is secret.
package struct EnrolmentFile: Equatable, Sendable {
    package let federation: String
    /// `https://host:port`, or `http://…` for a server that runs without TLS.
    package let url: String
    /// The server's certificate (or the authority that issued it) as PEM; empty without TLS.
    package let certificate: String
    /// Signs manifests, results and sessions.
    package let server: VerifyingKey
    /// Signs the roster.
    package let authority: VerifyingKey

    private static let schema = "fedtrain-enrolment/1"

    private struct Document: Codable {
        let schema: String
        let federation: String
        let url: String
        let certificate: String
        let server: String
        let authority: String
    }

    package init(
        federation: String, url: String, certificate: String, server: VerifyingKey,
        authority: VerifyingKey
    ) {
        self.federation = federation
        self.url = url
        self.certificate = certificate
        self.server = server
        self.authority = authority
    }

    package var bytes: [UInt8] {
        get throws {
            try JSONFile.bytes(
                Document(
                    schema: Self.schema, federation: federation, url: url, certificate: certificate,
                    server: "\(server)", authority: "\(authority)"))
        }
    }

    package init(bytes: [UInt8], file: String) throws(EnrolmentError) {
        guard let document = try? JSONDecoder().decode(Document.self, from: Data(bytes)),
            document.schema == Self.schema, document.url.hasPrefix("http"),
            let server = bytesFromHex(document.server).flatMap({ VerifyingKey(bytes: $0) }),
            let authority = bytesFromHex(document.authority).flatMap({ VerifyingKey(bytes: $0) })
        else { throw .malformed(file: file, kind: "enrolment file") }
        self.init(
            federation: document.federation, url: document.url, certificate: document.certificate,
            server: server, authority: authority)
    }

    /// The same server, reached under another address: its pins stay.
    package func reached(at url: String) -> EnrolmentFile {
        EnrolmentFile(
            federation: federation, url: url, certificate: certificate, server: server,
            authority: authority)
    }

    package var isEncrypted: Bool { url.hasPrefix("https://") }

    /// One fingerprint over everything in the file, to compare by telephone.
    package var fingerprint: Fingerprint {
        Fingerprint(
            of: Digest.labelled(
                "fedtrain/v1/enrolment",
                [
                    Array(federation.utf8), Array(url.utf8), Array(certificate.utf8), server.bytes,
                    authority.bytes,
                ]))
    }
}
