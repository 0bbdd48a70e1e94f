import Foundation
import Models

/// Where test data lies.
enum Fixtures {
    /// `Tests/Vectors`.
    static let vectors = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Vectors").path

    /// The folder of larger data that is not part of the project, or nil.
    static let shared: String? = {
        let path =
            ProcessInfo.processInfo.environment["FEDTRAIN_SHARED"]
            ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared").path
        return FileManager.default.fileExists(atPath: path + "/reference/checkpoints") ? path : nil
    }()

    static func json(_ path: String) throws -> JSON {
        try JSON.parse(Array(Data(contentsOf: URL(fileURLWithPath: path))))
    }

    /// Calls `body` with a fresh directory that is removed afterwards.
    static func withDirectory<T>(_ body: (String) throws -> T) throws -> T {
        let path = NSTemporaryDirectory() + "fedtrain-test-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try body(path)
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    static func write(_ text: String, to path: String) throws {
        try write(Array(text.utf8), to: path)
    }

    static func read(_ path: String) throws -> [UInt8] {
        try Array(Data(contentsOf: URL(fileURLWithPath: path)))
    }
}

/// A fresh directory that goes away with its owner.
final class TemporaryFolder {
    let path = NSTemporaryDirectory() + "fedtrain-test-" + UUID().uuidString

    init() throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func path(_ name: String) -> String { "\(path)/\(name)" }

    func write(_ text: String, to name: String) throws { try Fixtures.write(text, to: path(name)) }
}
