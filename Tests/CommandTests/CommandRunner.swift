import Foundation

/// Runs the built executable as a shell would, and catches what it says.
struct CommandRunner {
    struct Result {
        let status: Int32
        let output: String
        let errors: String

        /// The JSON envelope on stdout.
        var json: [String: Any] {
            (try? JSONSerialization.jsonObject(with: Data(output.utf8))) as? [String: Any] ?? [:]
        }

        var data: [String: Any] { json["data"] as? [String: Any] ?? [:] }
        var error: [String: Any] { json["error"] as? [String: Any] ?? [:] }
    }

    /// The package's root, from this file's place in it.
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// The executable that the same build made: beside the test bundle.
    static let executable: URL = {
        let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        let beside = bundle.deletingLastPathComponent().appendingPathComponent("fedtrain")
        return FileManager.default.isExecutableFile(atPath: beside.path)
            ? beside : root.appendingPathComponent(".build/release/fedtrain")
    }()

    /// A directory of its own for each test, removed by the system's own rules.
    let directory: URL

    init() throws {
        directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("fedtrain-command-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    func path(_ name: String) -> String { directory.appendingPathComponent(name).path }

    func write(_ text: String, to name: String) throws -> String {
        try Data(text.utf8).write(to: directory.appendingPathComponent(name))
        return path(name)
    }

    func run(_ arguments: String...) throws -> Result { try run(arguments) }

    func run(_ arguments: [String]) throws -> Result {
        let process = Process()
        process.executableURL = Self.executable
        process.arguments = arguments
        process.currentDirectoryURL = directory
        let output = path("stdout-\(UUID().uuidString)")
        let errors = path("stderr-\(UUID().uuidString)")
        // Files instead of pipes: no output can fill a buffer and block.
        for file in [output, errors] { try Data().write(to: URL(fileURLWithPath: file)) }
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = FileHandle(forWritingAtPath: errors)
        process.standardInput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus,
            output: try String(contentsOfFile: output, encoding: .utf8),
            errors: try String(contentsOfFile: errors, encoding: .utf8))
    }

    /// Starts the executable and lets it run.
    func start(_ arguments: String...) throws -> RunningCommand { try start(arguments) }

    /// - Parameter point: where the process is to die as by `kill -9`; nil: nowhere.
    func start(_ arguments: [String], crashAt point: String? = nil) throws -> RunningCommand {
        let errors = path("stderr-\(UUID().uuidString)")
        try Data().write(to: URL(fileURLWithPath: errors))
        let process = Process()
        process.executableURL = Self.executable
        process.arguments = arguments
        process.currentDirectoryURL = directory
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle(forWritingAtPath: errors)
        process.standardInput = FileHandle.nullDevice
        if let point {
            process.environment = ProcessInfo.processInfo.environment
                .merging(["FEDTRAIN_CRASH_AT": point]) { $1 }
        }
        try process.run()
        return RunningCommand(process: process, errorFile: errors)
    }
}

/// A process of the built executable that has not ended yet.
final class RunningCommand {
    private let process: Process
    private let errorFile: String

    fileprivate init(process: Process, errorFile: String) {
        self.process = process
        self.errorFile = errorFile
    }

    /// Nothing outlives its test.
    deinit { if process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) } }

    /// What it has said so far.
    var errors: String { (try? String(contentsOfFile: errorFile, encoding: .utf8)) ?? "" }

    struct TimedOut: Error {
        let awaited: String
        let said: String
    }

    func wait(for text: String, seconds: Double) throws {
        let deadline = Date().addingTimeInterval(seconds)
        while !errors.contains(text) {
            guard Date() < deadline, process.isRunning || errors.contains(text) else {
                throw TimedOut(awaited: text, said: errors)
            }
            Thread.sleep(forTimeInterval: 0.02)
        }
    }

    /// As `kill -9` does.
    func kill() {
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// The exit code, or nil if it is still running after so long.
    func finish(seconds: Double) -> Int32? {
        let deadline = Date().addingTimeInterval(seconds)
        while process.isRunning {
            guard Date() < deadline else { return nil }
            Thread.sleep(forTimeInterval: 0.05)
        }
        return process.terminationStatus
    }
}
