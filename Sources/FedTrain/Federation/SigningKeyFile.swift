import Foundation
import Models
import Sodium

/// A signing key on disk: 32 secret bytes in hexadecimal, readable by the owner alone.
package enum SigningKeyFile {
    /// Reads a key.
    ///
    /// - Parameters:
    ///   - whose: for the error, such as "the server's".
    ///   - ifMissing: what to do when the file is not there.
    package static func read(
        _ path: String, whose: String = "the", ifMissing: String = "Make one: fedtrain keys new"
    ) throws -> SigningKey {
        guard var data = FileManager.default.contents(atPath: path) else {
            throw CheckpointError(
                .missingFile, file: path, "\(whose) signing key is not there, or cannot be read",
                hint: ifMissing)
        }
        defer { data.resetBytes(in: data.indices) }
        let text = String(decoding: data, as: UTF8.self).split(separator: "\n").first ?? ""
        guard var bytes = bytesFromHex(String(text)), bytes.count == SigningKey.seedLength else {
            throw CheckpointError(
                .malformed, file: path, "this is no signing key",
                hint: "Restore it from a copy; a new key would start a new identity")
        }
        defer { wipe(&bytes) }
        return SigningKey(seed: SecretBytes(copying: bytes))
    }

    /// Writes a key to a file that must not exist yet.
    package static func create(_ path: String, _ key: SigningKey) throws {
        let directory = (path as NSString).deletingLastPathComponent
        if !directory.isEmpty { try AtomicFile.makeDirectory(directory) }
        // Created with 0600 from the start: there is no moment at which others can read it.
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CheckpointError(
                .cannotWrite, file: path,
                errno == EEXIST
                    ? "there is a key already; it is never replaced" : "the key file cannot be created",
                hint: "Choose another name")
        }
        defer { close(descriptor) }
        var text = key.withSeed { Array((hexString($0) + "\n").utf8) }
        defer { wipe(&text) }
        guard Foundation.write(descriptor, text, text.count) == text.count, fsync(descriptor) == 0 else {
            unlink(path)
            throw CheckpointError(.cannotWrite, file: path, "the key file cannot be written")
        }
    }
}
