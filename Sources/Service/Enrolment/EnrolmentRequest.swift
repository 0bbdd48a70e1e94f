import FedTrain
import Foundation
import Models
import Sodium

/// A client's wish to be in the roster: a name and a public key, signed by that key, so that nobody can
/// enrol a key that is not theirs. The private key stays where it was made.
package struct EnrolmentRequest: Equatable, Sendable {
    package let name: String
    package let key: VerifyingKey

    private static let label = "fedtrain/v1/enrolment-request"
    private static let schema = "fedtrain-request/1"

    private struct Document: Codable {
        let schema: String
        let name: String
        let key: String
        let signature: String
    }

    /// The request's file.
    package static func bytes(name: String, key: SigningKey) throws -> [UInt8] {
        let signature = key.sign(digest(name: name, key: key.verifyingKey))
        return try JSONFile.bytes(
            Document(
                schema: schema, name: name, key: "\(key.verifyingKey)", signature: hexString(signature)))
    }

    /// Reads a request and checks that its maker holds the private key.
    package init(bytes: [UInt8], file: String) throws(EnrolmentError) {
        guard let document = try? JSONDecoder().decode(Document.self, from: Data(bytes)),
            document.schema == Self.schema, ClientName.isValid(document.name),
            let key = bytesFromHex(document.key).flatMap({ VerifyingKey(bytes: $0) }),
            let signature = bytesFromHex(document.signature)
        else { throw .malformed(file: file, kind: "enrolment request") }
        guard key.accepts(signature: signature, over: Self.digest(name: document.name, key: key)) else {
            throw .badSignature(file: file)
        }
        name = document.name
        self.key = key
    }

    private static func digest(name: String, key: VerifyingKey) -> [UInt8] {
        Digest.labelled(label, [Array(name.utf8), key.bytes]).bytes
    }
}

/// Names of clients: short, printable, and safe in file names and logs.
package enum ClientName {
    package static func isValid(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count)
            && name.utf8.allSatisfy {
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
                    || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
            }
    }
}

/// JSON documents that people may read: sorted keys, indented, one line feed at the end.
enum JSONFile {
    static func bytes(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
    }
}
