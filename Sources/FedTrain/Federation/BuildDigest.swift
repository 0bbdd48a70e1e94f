import Foundation
import Sodium

/// The digest of the executable that this process runs, so that a report names the code that made it.
enum BuildDigest {
    /// nil where the system does not show a process its own executable.
    static let hex: String? = {
        guard let file = FileHandle(forReadingAtPath: "/proc/self/exe") else { return nil }
        defer { try? file.close() }
        var hasher = Hasher256()
        // In parts: the executable is larger than much of what this process holds.
        do {
            while let part = try file.read(upToCount: 1 << 20), !part.isEmpty { hasher.update([UInt8](part)) }
        } catch {
            return nil
        }
        return hasher.finish().hex
    }()
}
