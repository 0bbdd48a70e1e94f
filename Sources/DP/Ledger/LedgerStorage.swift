import Glibc

/// Where a ledger's bytes live. Every method returns only when its effect would survive a power
/// cut, or throws; after a throw any part of the effect may have happened.
public protocol LedgerStorage: AnyObject {
    /// The log, and the last acknowledgement if there is one.
    func load() throws(LedgerError) -> (log: [UInt8], acknowledgement: [UInt8]?)
    func append(_ bytes: [UInt8]) throws(LedgerError)
    func truncate(to length: Int) throws(LedgerError)
    /// Replaces the acknowledgement as a whole: the old one or the new one, never a mixture.
    func acknowledge(_ bytes: [UInt8]) throws(LedgerError)
}

/// A ledger in memory, for simulations and tests.
public final class MemoryLedgerStorage: LedgerStorage {
    public var log: [UInt8]
    public var acknowledgement: [UInt8]?

    public init(log: [UInt8] = [], acknowledgement: [UInt8]? = nil) {
        self.log = log
        self.acknowledgement = acknowledgement
    }

    public func load() throws(LedgerError) -> (log: [UInt8], acknowledgement: [UInt8]?) {
        (log, acknowledgement)
    }

    public func append(_ bytes: [UInt8]) throws(LedgerError) { log += bytes }

    public func truncate(to length: Int) throws(LedgerError) { log.removeLast(log.count - length) }

    public func acknowledge(_ bytes: [UInt8]) throws(LedgerError) { acknowledgement = bytes }
}

/// A ledger in a file, with its acknowledgement beside it (`<path>.ack`).
///
/// The file is locked for as long as the object lives, so two processes never write one ledger.
public final class FileLedgerStorage: LedgerStorage {
    private let path: String
    private let descriptor: Int32
    private var length: Int

    /// Opens or creates the file; its directory must exist.
    public init(path: String) throws(LedgerError) {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .storage("cannot open \(path): \(Self.reason())") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw .inUse
        }
        let end = lseek(descriptor, 0, SEEK_END)
        guard end >= 0 else {
            let reason = Self.reason()
            close(descriptor)
            throw .storage("cannot read the size of \(path): \(reason)")
        }
        length = Int(end)
        do {
            try Self.syncDirectory(of: path)
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    public func load() throws(LedgerError) -> (log: [UInt8], acknowledgement: [UInt8]?) {
        let log = try Self.read(descriptor, count: length, name: path)
        let other = open(path + ".ack", O_RDONLY | O_CLOEXEC)
        guard other >= 0 else {
            guard errno == ENOENT else { throw .storage("cannot open \(path).ack: \(Self.reason())") }
            return (log, nil)
        }
        defer { close(other) }
        let size = lseek(other, 0, SEEK_END)
        guard size >= 0 else { throw .storage("cannot read \(path).ack: \(Self.reason())") }
        return (log, try Self.read(other, count: Int(size), name: path + ".ack"))
    }

    public func append(_ bytes: [UInt8]) throws(LedgerError) {
        let start = length
        // Counted before writing: a failed write may have left any part of it behind.
        length = start + bytes.count
        try Self.write(descriptor, bytes, at: start, name: path)
        guard fsync(descriptor) == 0 else { throw .storage("cannot sync \(path): \(Self.reason())") }
    }

    public func truncate(to length: Int) throws(LedgerError) {
        guard ftruncate(descriptor, off_t(length)) == 0, fsync(descriptor) == 0 else {
            throw .storage("cannot shorten \(path): \(Self.reason())")
        }
        self.length = length
    }

    public func acknowledge(_ bytes: [UInt8]) throws(LedgerError) {
        let temporary = path + ".ack.new"
        let other = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard other >= 0 else { throw .storage("cannot create \(temporary): \(Self.reason())") }
        defer { close(other) }
        try Self.write(other, bytes, at: 0, name: temporary)
        guard fsync(other) == 0, rename(temporary, path + ".ack") == 0 else {
            throw .storage("cannot replace \(path).ack: \(Self.reason())")
        }
        try Self.syncDirectory(of: path)
    }

    private static func reason() -> String { String(cString: strerror(errno)) }

    private static func read(_ descriptor: Int32, count: Int, name: String) throws(LedgerError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes {
                pread(descriptor, $0.baseAddress! + done, count - done, off_t(done))
            }
            if got < 0 && errno == EINTR { continue }
            guard got > 0 else { throw .storage("cannot read \(name): \(got < 0 ? reason() : "it shrank")") }
            done += got
        }
        return bytes
    }

    private static func write(
        _ descriptor: Int32, _ bytes: [UInt8], at offset: Int, name: String
    ) throws(LedgerError) {
        var done = 0
        while done < bytes.count {
            let put = bytes.withUnsafeBytes {
                pwrite(descriptor, $0.baseAddress! + done, bytes.count - done, off_t(offset + done))
            }
            if put < 0 && errno == EINTR { continue }
            guard put > 0 else { throw .storage("cannot write \(name): \(reason())") }
            done += put
        }
    }

    /// Makes a created or renamed entry durable.
    private static func syncDirectory(of path: String) throws(LedgerError) {
        let directory =
            path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .storage("cannot open \(directory): \(reason())") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .storage("cannot sync \(directory): \(reason())") }
    }
}
