import Foundation

/// Runs code that a model wrote, in a child that can do nothing but compute.
///
/// The child has its own user, mount, process, network and IPC namespaces and no capability in them: no
/// network, no other process in sight, a root made of read-only system directories, nothing of the
/// home directory, 64 MB of scratch space that vanishes. Time, memory, processes and file sizes are
/// limited. Built from util-linux's `unshare`, `setpriv` and `prlimit`, and coreutils' `timeout`.
///
/// It keeps accidents and ordinary malice out. It is no defence against a hole in the kernel.
public struct CodeSandbox: Sendable {
    public enum Outcome: String, Sendable {
        case passed, failed, timedOut
    }

    /// Why nothing was run.
    public enum Fault: Error, Equatable, CustomStringConvertible {
        case noPython
        case noSandbox(reason: String)

        public var description: String {
            switch self {
            case .noPython: "there is no python3 to run the programs with"
            case .noSandbox(let reason): "programs cannot be isolated here: \(reason)"
            }
        }
    }

    private let python: String
    private let prefix: String
    private let isIsolated: Bool
    private let nonce: String
    public let seconds: Int
    private let megabytes: Int

    /// Finds the interpreter and tries the isolation once.
    ///
    /// - Parameters:
    ///   - nonce: printed by a program that reached its end; hard to guess, so that a program which ends
    ///     early has not passed.
    ///   - allowsUnsandboxed: run with this user's rights where isolation is not to be had.
    /// - Throws: `Fault`.
    public init(
        nonce: String, seconds: Int = 3, megabytes: Int = 1024, allowsUnsandboxed: Bool = false
    ) throws {
        self.nonce = nonce
        self.seconds = seconds
        self.megabytes = megabytes
        let answer = Self.run(
            [
                "/usr/bin/env", "python3", "-I", "-c",
                "import sys; print(sys.executable); print(sys.base_prefix)",
            ])
        let lines = answer.output.split(separator: "\n").map(String.init)
        guard answer.status == 0, lines.count == 2 else { throw Fault.noPython }
        python = lines[0]
        prefix = lines[1]
        if allowsUnsandboxed {
            isIsolated = false
            return
        }
        isIsolated = true
        // A probe that must pass, and one that must not reach the network or the home directory.
        let probe = execute("pass", seconds: 20)
        guard probe.outcome == .passed else { throw Fault.noSandbox(reason: probe.message) }
    }

    /// Whether a program reaches its end without an error, in time.
    public func run(_ program: String) -> Outcome { execute(program, seconds: seconds).outcome }

    private func execute(_ program: String, seconds: Int) -> (outcome: Outcome, message: String) {
        // The program's own prints go nowhere; only the last line knows the real output.
        let source = """
            import sys, os
            _out = os.dup(1)
            sys.stdin = open(os.devnull) if os.path.exists(os.devnull) else None
            class _Null:
                def write(self, text): return len(text)
                def flush(self): pass
            sys.stdout = sys.stderr = _Null()
            exec(compile(\(Self.literal(program)), "program", "exec"), {"__name__": "__program__"})
            os.write(_out, b"\(nonce)")
            """
        let limits = [
            "/usr/bin/prlimit", "--as=\(megabytes << 20)", "--cpu=\(seconds + 1)", "--nproc=64",
            "--fsize=16777216", "--nofile=64", "--core=0", "--", python, "-I", "-B", "-",
        ]
        let timeout = ["/usr/bin/timeout", "--signal=KILL", "\(seconds)"]
        let result = Self.run(timeout + (isIsolated ? isolated(limits) : limits), input: source)
        if result.output.hasSuffix(nonce) { return (.passed, "") }
        // `timeout` is killed with its child; 124 is its own word for it.
        let isLate = result.status == 137 || result.status == 124 || result.status == 9
        let message = result.errors.split(separator: "\n").last.map(String.init) ?? "status \(result.status)"
        return (isLate ? .timedOut : .failed, message)
    }

    /// The command in namespaces of its own, in a root of read-only system directories.
    private func isolated(_ command: [String]) -> [String] {
        let script = """
            set -e
            mount -t tmpfs -o size=64m tmpfs /tmp
            mkdir -p /tmp/root/tmp /tmp/root/dev
            for part in /usr /bin /lib /lib64 "$1"; do
                [ -e "$part" ] || continue
                case "$part" in /usr/?*) continue;; esac
                if [ -h "$part" ]; then cp -P "$part" "/tmp/root$part"; continue; fi
                mkdir -p "/tmp/root$part"
                mount --rbind "$part" "/tmp/root$part"
                mount -o remount,bind,ro "/tmp/root$part"
            done
            shift
            cd /tmp/root/tmp
            exec chroot /tmp/root setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
            """
        return [
            "/usr/bin/unshare", "--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc",
            "--uts", "--fork", "--kill-child=SIGKILL", "/bin/sh", "-c", script, "sh", prefix,
        ] + command
    }

    /// A Python string literal of any text.
    private static func literal(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case "\n": result += "\\n"
            case " "..."~": result.unicodeScalars.append(scalar)
            default:
                let digits = String(scalar.value, radix: 16)
                result += "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
            }
        }
        return result + "\""
    }

    private static let outputMax = 1 << 16

    private static func run(
        _ arguments: [String], input: String = ""
    ) -> (status: Int32, output: String, errors: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: arguments[0])
        process.arguments = Array(arguments.dropFirst())
        process.environment = ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"]
        // A file, not a pipe: a child that ends at once would break a pipe, and that a whole process.
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("fedtrain-program-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        guard
            FileManager.default.createFile(
                atPath: file.path, contents: Data(input.utf8), attributes: [.posixPermissions: 0o600]),
            let source = FileHandle(forReadingAtPath: file.path)
        else { return (127, "", "the program cannot be written to \(file.path)") }
        process.standardInput = source
        let (stdout, stderr) = (Pipe(), Pipe())
        process.standardOutput = stdout
        process.standardError = stderr
        do { try process.run() } catch { return (127, "", "\(error)") }
        let output = read(stdout, process)
        let errors = read(stderr, process)
        process.waitUntilExit()
        return (process.terminationStatus, output, errors)
    }

    /// The end of what a child writes; one that floods the pipe is stopped.
    private static func read(_ pipe: Pipe, _ process: Process) -> String {
        var bytes = Data()
        while let piece = try? pipe.fileHandleForReading.read(upToCount: 4096), !piece.isEmpty {
            bytes += piece
            if bytes.count > outputMax {
                process.terminate()
                break
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
