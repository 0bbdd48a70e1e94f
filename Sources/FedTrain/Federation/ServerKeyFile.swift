import Foundation
import Models
import Sodium

/// The server's signing key: 32 secret bytes in hexadecimal, readable by the owner alone.
public enum ServerKeyFile {
    /// The workspace's key; made on first use.
    public static func loadOrCreate(in workspace: Workspace) throws -> SigningKey {
        let path = Self.path(in: workspace)
        if FileManager.default.fileExists(atPath: path) { return try read(path) }
        var random = SystemRandom()
        let key = SigningKey(generatedBy: &random)
        try AtomicFile.makeDirectory(workspace.keysDirectory)
        try save(key, to: path)
        return key
    }

    /// The workspace's key; never makes one, since a new key could not sign for the old.
    public static func load(in workspace: Workspace) throws -> SigningKey {
        try read(path(in: workspace))
    }

    private static func path(in workspace: Workspace) -> String {
        "\(workspace.keysDirectory)/server.key"
    }

    private static func read(_ path: String) throws -> SigningKey {
        guard var data = FileManager.default.contents(atPath: path) else {
            throw CheckpointError(
                .missingFile, file: path, "the server's signing key is not there, or cannot be read",
                hint: "Restore it from a copy; only the key that signed the ledger can sign its report")
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

    private static func save(_ key: SigningKey, to path: String) throws {
        // Created with 0600 from the start: there is no moment at which others can read it.
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CheckpointError(.cannotWrite, file: path, "the key file cannot be created")
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
