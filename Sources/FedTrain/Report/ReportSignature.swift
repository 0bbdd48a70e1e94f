import Models
import Sodium

/// The detached signature over a report: which ledger, which JSON, which HTML, by the ledger's key.
///
/// Written as one line of canonical JSON, so that a file has exactly one spelling.
public struct ReportSignature: Sendable, Equatable {
    public static let schema = "fedtrain-report-signature/1"
    private static let label = "fedtrain/report/v1"

    public let ledger: Digest
    public let json: Digest
    public let html: Digest
    public let key: VerifyingKey
    public let signature: [UInt8]

    /// Signs the three files; `key` is the one that signed the ledger.
    public init(ledger: [UInt8], json: [UInt8], html: [UInt8], key: SigningKey) {
        self.ledger = .of(ledger)
        self.json = .of(json)
        self.html = .of(html)
        self.key = key.verifyingKey
        signature = key.sign(Self.message(ledger: self.ledger, json: self.json, html: self.html))
    }

    private init(ledger: Digest, json: Digest, html: Digest, key: VerifyingKey, signature: [UInt8]) {
        self.ledger = ledger
        self.json = json
        self.html = html
        self.key = key
        self.signature = signature
    }

    /// Reads a signature file; nil unless it is spelled exactly as `fileBytes` would spell it.
    public init?(fileBytes bytes: [UInt8]) {
        guard let document = try? JSON.parse(bytes),
            let ledger = document["ledger"]?.string.flatMap(Digest.init(hex:)),
            let json = document["json"]?.string.flatMap(Digest.init(hex:)),
            let html = document["html"]?.string.flatMap(Digest.init(hex:)),
            let key = document["key"]?.string.flatMap(bytesFromHex).flatMap(VerifyingKey.init(bytes:)),
            let signature = document["signature"]?.string.flatMap(bytesFromHex)
        else { return nil }
        self.init(ledger: ledger, json: json, html: html, key: key, signature: signature)
        guard fileBytes == bytes else { return nil }
    }

    /// The content of the signature file.
    public var fileBytes: [UInt8] {
        let document = JSON.object([
            .init("html", .string(html.hex)),
            .init("json", .string(json.hex)),
            .init("key", .string("\(key)")),
            .init("ledger", .string(ledger.hex)),
            .init("schema", .string(Self.schema)),
            .init("signature", .string(hexString(signature))),
        ])
        return Array((document.text() + "\n").utf8)
    }

    /// Whether the signature is the key's over the three digests.
    public var isGenuine: Bool {
        key.accepts(signature: signature, over: Self.message(ledger: ledger, json: json, html: html))
    }

    private static func message(ledger: Digest, json: Digest, html: Digest) -> [UInt8] {
        Digest.labelled(label, [ledger.bytes, json.bytes, html.bytes]).bytes
    }
}
