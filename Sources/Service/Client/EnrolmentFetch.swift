import AsyncHTTPClient
import Foundation
import NIOCore
import NIOSSL

/// Gets a server's enrolment file from the server itself.
///
/// The connection proves nothing, so what comes is believed only if its fingerprint is the one that the
/// operator gave out: 80 bits over address, certificate and keys. From then on the file's pins hold.
package enum EnrolmentFetch {
    /// Far above any enrolment file with a chain of certificates.
    static let bytesMax = 64 << 10

    /// - Parameters:
    ///   - url: where the server is, `https://host:port`.
    ///   - fingerprint: as the operator reads it, in words or hexadecimal digits.
    /// - Throws: `EnrolmentError.fingerprintDiffers` for any other file; `ClientFailure.unreachable`.
    package static func fetch(_ url: String, fingerprint: String) async throws -> EnrolmentFile {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv13
        // Nothing is known of the server yet; the fingerprint decides.
        tls.certificateVerification = .none
        var configuration = HTTPClient.Configuration(tlsConfiguration: tls)
        configuration.httpVersion = .http1Only
        configuration.redirectConfiguration = .disallow
        configuration.timeout = .init(connect: .seconds(10), read: .seconds(20))
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        let bytes: [UInt8]
        do {
            let response = try await client.execute(
                HTTPClientRequest(url: url + "/v1/enrolment"), timeout: .seconds(30))
            guard response.status == .ok else {
                throw Problem(.notFound, "the server answered \(response.status.code)")
            }
            bytes = Array(try await response.body.collect(upTo: bytesMax).readableBytesView)
            try? await client.shutdown()
        } catch {
            try? await client.shutdown()
            throw ClientFailure.unreachable(
                url: url, seconds: 0, hadBegun: false, detail: printable("\(error)"))
        }
        let file = try EnrolmentFile(bytes: bytes, file: "\(url)/v1/enrolment")
        guard file.fingerprint.matches(fingerprint) else {
            throw EnrolmentError.fingerprintDiffers(
                expected: printable(fingerprint), found: file.fingerprint.words)
        }
        return file
    }
}
