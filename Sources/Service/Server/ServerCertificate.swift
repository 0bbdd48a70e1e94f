import Crypto
import Foundation
import Models
import NIOSSL
import SwiftASN1
import X509

/// The server's certificate: made by this program, or the operator's own.
package struct ServerCertificate: Sendable {
    /// PEM of the certificate, or of the chain with the server's own first.
    package let certificate: String
    package let privateKey: String

    /// Makes a P-256 key and a certificate that it signs itself.
    ///
    /// Clients pin exactly this certificate, so nobody else's signature would add anything. The key comes
    /// from the operating system's generator, through swift-crypto.
    ///
    /// - Parameters:
    ///   - hosts: names and addresses that the server is reached under.
    ///   - now: seconds since 1970; the certificate is valid from an hour before.
    package static func selfSigned(
        name: String, hosts: [String], now: Int, days: Int = 825
    ) throws -> ServerCertificate {
        let key = P256.Signing.PrivateKey()
        let subject = try DistinguishedName { CommonName("fedtrain \(name)") }
        let names: [GeneralName] = hosts.map { host in
            if let address = addressBytes(host) {
                return .ipAddress(ASN1OctetString(contentBytes: address[...]))
            }
            return .dnsName(host)
        }
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(),
            publicKey: Certificate.PublicKey(key.publicKey),
            notValidBefore: Date(timeIntervalSince1970: TimeInterval(now - 3600)),
            notValidAfter: Date(timeIntervalSince1970: TimeInterval(now + days * 86_400)),
            issuer: subject, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                Critical(KeyUsage(digitalSignature: true, keyCertSign: true))
                try ExtendedKeyUsage([.serverAuth])
                SubjectAlternativeNames(names)
            },
            issuerPrivateKey: Certificate.PrivateKey(key))
        return ServerCertificate(
            certificate: try certificate.serializeAsPEM().pemString + "\n",
            privateKey: key.pemRepresentation + "\n")
    }

    /// Four or sixteen bytes of an address in text; nil for a name.
    private static func addressBytes(_ host: String) -> [UInt8]? {
        var four = in_addr()
        if inet_pton(AF_INET, host, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
        var sixteen = in6_addr()
        if inet_pton(AF_INET6, host, &sixteen) == 1 { return withUnsafeBytes(of: &sixteen) { Array($0) } }
        return nil
    }

    /// Reads the operator's own.
    package init(certificateFile: String, keyFile: String) throws {
        certificate = try Self.text(certificateFile)
        privateKey = try Self.text(keyFile)
        _ = try tlsConfiguration()
    }

    private init(certificate: String, privateKey: String) {
        self.certificate = certificate
        self.privateKey = privateKey
    }

    private static func text(_ path: String) throws -> String {
        guard let data = FileManager.default.contents(atPath: path),
            let text = String(data: data, encoding: .utf8)
        else {
            throw CheckpointError(.missingFile, file: path, "there is no such file, or it cannot be read")
        }
        return text
    }

    /// The pair in a directory; made there if it is not.
    package static func loadOrCreate(
        in directory: String, name: String, hosts: [String], now: Int
    ) throws -> ServerCertificate {
        let certificateFile = "\(directory)/server.crt"
        let keyFile = "\(directory)/server-tls.key"
        if FileManager.default.fileExists(atPath: certificateFile) {
            return try ServerCertificate(certificateFile: certificateFile, keyFile: keyFile)
        }
        let made = try selfSigned(name: name, hosts: hosts, now: now)
        try AtomicFile.makeDirectory(directory)
        // The key first, with 0600 from the start: a certificate without a key would be found above.
        unlink(keyFile)
        let descriptor = open(keyFile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CheckpointError(.cannotWrite, file: keyFile, "the key file cannot be created")
        }
        defer { close(descriptor) }
        let bytes = Array(made.privateKey.utf8)
        guard write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else {
            throw CheckpointError(.cannotWrite, file: keyFile, "the key file cannot be written")
        }
        try AtomicFile.write(made.certificate, to: certificateFile)
        return made
    }

    /// TLS 1.3 and nothing older.
    package func tlsConfiguration() throws -> TLSConfiguration {
        let chain: [NIOSSLCertificate]
        let key: NIOSSLPrivateKey
        do {
            chain = try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8))
            key = try NIOSSLPrivateKey(bytes: Array(privateKey.utf8), format: .pem)
        } catch {
            throw CheckpointError(
                .malformed, file: "the server's certificate", "certificate or key cannot be read (\(error))",
                hint: "Both must be PEM files")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv13
        return configuration
    }
}
