import Foundation
import Sodium

/// The server's signing key in its workspace.
public enum ServerKeyFile {
    /// The workspace's key; made on first use.
    public static func loadOrCreate(in workspace: Workspace) throws -> SigningKey {
        let path = Self.path(in: workspace)
        if FileManager.default.fileExists(atPath: path) { return try load(in: workspace) }
        var random = SystemRandom()
        let key = SigningKey(generatedBy: &random)
        try SigningKeyFile.create(path, key)
        return key
    }

    /// The workspace's key; never makes one, since a new key could not sign for the old.
    public static func load(in workspace: Workspace) throws -> SigningKey {
        try SigningKeyFile.read(
            path(in: workspace), whose: "the server's",
            ifMissing: "Restore it from a copy; only the key that signed the ledger can sign its report")
    }

    private static func path(in workspace: Workspace) -> String {
        "\(workspace.keysDirectory)/server.key"
    }
}
