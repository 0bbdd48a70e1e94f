import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL

/// One client's connection to its server: requests with bytes in and bytes out.
///
/// The server's certificate must be the enrolment file's, or issued by it; no other authority counts.
struct HTTPTransport: Sendable {
    private let client: HTTPClient
    private let url: String

    init(_ enrolment: EnrolmentFile) throws {
        url = enrolment.url.hasSuffix("/") ? String(enrolment.url.dropLast()) : enrolment.url
        var configuration = HTTPClient.Configuration()
        configuration.httpVersion = .http1Only
        configuration.redirectConfiguration = .disallow
        configuration.timeout = .init(connect: .seconds(10), read: .seconds(60))
        if enrolment.isEncrypted {
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.minimumTLSVersion = .tlsv13
            do {
                tls.trustRoots = .certificates(
                    try NIOSSLCertificate.fromPEMBytes(Array(enrolment.certificate.utf8)))
            } catch {
                throw EnrolmentError.malformed(file: "the pinned certificate", kind: "PEM certificate")
            }
            // The pinned certificate says who the server is; under which name it is reached does not matter.
            tls.certificateVerification = .noHostnameVerification
            configuration.tlsConfiguration = tls
        }
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    func shutdown() async { try? await client.shutdown() }

    /// What can go wrong before the server has answered.
    enum Failure: Error {
        /// Worth another attempt.
        case transport(String)
        /// The certificate is not the pinned one, or not valid now.
        case certificate(String)
    }

    /// Sends one request.
    ///
    /// - Returns: the body of a successful answer.
    /// - Throws: `Failure` without an answer, `Problem` for an answer that reports one.
    func send(
        _ method: HTTPMethod, _ path: String, token: [UInt8]? = nil, body: [UInt8]? = nil,
        seconds: Int64
    ) async throws -> [UInt8] {
        var request = HTTPClientRequest(url: url + path)
        request.method = method
        if let token {
            request.headers.add(name: "Authorization", value: "Bearer " + hexText(token))
        }
        if let body {
            request.headers.add(name: "Content-Type", value: ServiceProtocol.contentType)
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        let response: HTTPClientResponse
        let bytes: [UInt8]
        do {
            response = try await client.execute(request, timeout: .seconds(seconds))
            bytes = Array(
                try await response.body.collect(upTo: ServiceProtocol.answerBytesMax).readableBytesView)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            let text = "\(error)"
            if text.contains("CERTIFICATE_VERIFY_FAILED") || text.contains("unableToValidateCertificate") {
                throw Failure.certificate(text)
            }
            if Task.isCancelled { throw CancellationError() }
            throw Failure.transport(text)
        }
        guard response.status == .ok else {
            var problem =
                Problem(json: bytes)
                ?? Problem(.failed, "the server answered \(response.status.code), in no form known here")
            problem.retryAfter = response.headers.first(name: "Retry-After").flatMap { Int($0) }
            throw problem
        }
        return bytes
    }
}

private func hexText(_ bytes: [UInt8]) -> String {
    bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}
