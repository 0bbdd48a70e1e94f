import Foundation
import Models
import Sodium

/// A client's own numbers on its own disk, from round to round: written whole, never sent.
///
/// Layout: a line of magic with the round, little-endian 32-bit floats, 32 bytes of BLAKE2b-256 over all of it.
package struct PersonalFile: Sendable {
    package let path: String

    package init(path: String) {
        self.path = path
    }

    private static let magic = "fedtrain-personal/1"

    /// - Throws: `CheckpointError.malformed` for a file that is not whole: a model of other numbers must not
    ///   take its place.
    package func read() throws -> [Float]? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        let bytes = Array(data)
        let body = bytes.dropLast(Digest.length)
        guard bytes.count > Digest.length, Digest.of(body).bytes == Array(bytes.suffix(Digest.length)),
            let end = body.firstIndex(of: UInt8(ascii: "\n")),
            String(decoding: body[..<end], as: UTF8.self).hasPrefix(Self.magic + " "),
            let numbers = [Float](littleEndianBytes: body[(end + 1)...])
        else {
            throw CheckpointError(
                .malformed, file: path, "this client's own numbers are damaged",
                hint: "Remove the file to start them again from the shared model")
        }
        return numbers
    }

    package func write(_ numbers: [Float], round: Int) throws {
        try AtomicFile.makeDirectory((path as NSString).deletingLastPathComponent)
        let bytes = Array("\(Self.magic) \(round)\n".utf8) + numbers.littleEndianBytes
        try AtomicFile.write(bytes + Digest.of(bytes).bytes, to: path)
    }
}
