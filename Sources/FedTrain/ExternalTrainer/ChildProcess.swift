import Foundation

/// A program that is spoken to by lines and does not outlive its owner.
///
/// It gets a process group of its own, no open file but its three streams, and this process's standard error for
/// its talk. Time comes from the caller's clock.
final class ChildProcess {
    enum Fault: Error, Equatable {
        case cannotStart(String)
        case tooLate
        /// It closed its output or ended; the exit code, or the signal as a negative number.
        case ended(status: Int32)
        case lineTooLong
    }

    /// Far above any message; a line without end must not fill the memory.
    static let lineMax = 1 << 16

    private let identifier: pid_t
    private let input: Int32
    private let output: Int32
    private let monotonic: () -> Double
    private let deadline: Double
    private var buffer: [UInt8] = []
    private var status: Int32?

    /// - Parameters:
    ///   - command: a path, or a name to be found on PATH, and its arguments; never seen by a shell.
    ///   - deadline: by `monotonic`, for everything that the program does.
    init(
        _ command: [String], deadline: Double, monotonic: @escaping () -> Double
    ) throws(Fault) {
        precondition(!command.isEmpty)
        self.monotonic = monotonic
        self.deadline = deadline
        // A socket for its input: writing to a program that is gone must be an error, not a signal.
        var inputs: [Int32] = [0, 0]
        var outputs: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &inputs) == 0
        else { throw .cannotStart(String(cString: strerror(errno))) }
        guard pipe(&outputs) == 0 else {
            let reason = String(cString: strerror(errno))
            for descriptor in inputs { close(descriptor) }
            throw .cannotStart(reason)
        }
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_adddup2(&actions, inputs[1], 0)
        posix_spawn_file_actions_adddup2(&actions, outputs[1], 1)
        Self.keepDescriptors()
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        let arguments = command.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child = pid_t()
        let result = posix_spawnp(&child, command[0], &actions, &attributes, arguments, environ)
        close(inputs[1])
        close(outputs[1])
        identifier = child
        input = inputs[0]
        output = outputs[0]
        guard result == 0 else {
            status = 0
            throw .cannotStart(String(cString: strerror(result)))
        }
    }

    /// Marks every open file of this process as its own, but for the three streams: ledgers, keys and sockets do not
    /// pass to the program.
    private static func keepDescriptors() {
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for descriptor in open.compactMap({ Int32($0) }) where descriptor > 2 {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
    }

    /// Ends the program and all that it started.
    deinit {
        if status == nil {
            kill(-identifier, SIGKILL)
            var ignored: Int32 = 0
            while waitpid(identifier, &ignored, 0) < 0, errno == EINTR {}
        }
        close(input)
        close(output)
    }

    /// Writes a line. What a program that does not read leaves unwritten is an error at the deadline.
    func write(_ line: String) throws(Fault) {
        var bytes = Array((line + "\n").utf8)[...]
        while !bytes.isEmpty {
            try wait(input, for: Int16(POLLOUT))
            let sent = bytes.withUnsafeBytes {
                send(
                    input, $0.baseAddress, $0.count,
                    Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if sent > 0 {
                bytes = bytes.dropFirst(sent)
            } else if errno != EAGAIN, errno != EINTR {
                throw .ended(status: reap())
            }
        }
    }

    /// The next line that it prints.
    func readLine() throws(Fault) -> String {
        while true {
            if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: buffer[..<end], as: UTF8.self)
                buffer.removeFirst(end + 1)
                return line
            }
            guard buffer.count < Self.lineMax else { throw .lineTooLong }
            try wait(output, for: Int16(POLLIN))
            var chunk = [UInt8](repeating: 0, count: 4096)
            let count = read(output, &chunk, chunk.count)
            if count > 0 {
                buffer += chunk[..<count]
            } else if count == 0 || errno != EINTR {
                throw .ended(status: reap())
            }
        }
    }

    private func wait(_ descriptor: Int32, for events: Int16) throws(Fault) {
        while true {
            let left = deadline - monotonic()
            guard left > 0 else { throw .tooLate }
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            // Short turns, so that the caller's clock decides and not the kernel's.
            if poll(&entry, 1, Int32(min(200, (left * 1000).rounded(.up)))) > 0 { return }
        }
    }

    /// How it ended, after a moment to do so; −9 when it had to be killed.
    private func reap() -> Int32 {
        if let status { return status }
        var raw: Int32 = 0
        for attempt in 0..<20 where status == nil {
            let result = waitpid(identifier, &raw, WNOHANG)
            if result == identifier {
                let signal = raw & 0x7F
                status = signal == 0 ? (raw >> 8) & 0xFF : -signal
            } else if attempt < 19 {
                usleep(10_000)
            }
        }
        // Whatever it started goes with it.
        kill(-identifier, SIGKILL)
        if status == nil {
            while waitpid(identifier, &raw, 0) < 0, errno == EINTR {}
            status = -SIGKILL
        }
        return status!
    }
}
