import Foundation
import Models
import SecureAgg
import Sodium

/// Where the parts of one published round lie: the transcript's file and its companions beside it.
///
/// Every byte is described in docs/transcript.md. Keys are one line of hexadecimal, so that a person can
/// compare them with the ones that were pinned.
public struct PublishedRound: Hashable, Sendable {
    public let transcript: String

    public init(transcript: String) { self.transcript = transcript }

    /// The server's signed result message, as sent to every survivor.
    public var result: String { transcript + ".result" }
    /// d elements in 0 ..< 2^b, each as four little-endian bytes.
    public var sum: String { transcript + ".sum" }
    /// The survivors' masked vectors as they were sent: in ascending order of client, chunk after chunk.
    public var vectors: String { transcript + ".vectors" }
    /// The roster under the authority's signature; absent for a semi-honest round without one.
    public var roster: String { transcript + ".roster" }
    public var serverKey: String { transcript + ".server-key" }
    public var authorityKey: String { transcript + ".authority-key" }

    /// Writes a drill's released round; the vectors come from their spool.
    public func write(_ report: Drill.Report, vectors spool: VectorSpool) throws {
        guard let sum = report.sum, let message = report.resultMessage else {
            preconditionFailure("only a released round is published")
        }
        try AtomicFile.write(sum.transcript.bytes, to: transcript)
        try AtomicFile.write(message, to: result)
        try AtomicFile.write(sum.elements.flatMap { littleEndianBytes($0) }, to: self.sum)
        try AtomicFile.write("\(report.serverKey)\n", to: serverKey)
        if let roster = report.signedRoster, let authority = report.authorityKey {
            try AtomicFile.write(roster, to: self.roster)
            try AtomicFile.write("\(authority)\n", to: authorityKey)
        }
        try AtomicFile.write(to: vectors) { (append) throws(CheckpointError) in
            for survivor in sum.survivors { try spool.read(survivor, append) }
        }
    }
}

/// Keeps masked vectors in a file as they arrive, in any order, until the survivors are known.
public final class VectorSpool {
    private let file: FileHandle
    private let path: String
    private var length: UInt64 = 0
    private var chunks: [ClientID: [Int: (offset: UInt64, count: Int)]] = [:]
    private var failure: CheckpointError?

    /// - Parameter path: a file that is created now and removed when the spool is released.
    public init(path: String) throws {
        try AtomicFile.write([], to: path)
        guard let file = FileHandle(forUpdatingAtPath: path) else { throw Self.error(path) }
        self.file = file
        self.path = path
    }

    deinit {
        try? file.close()
        unlink(path)
    }

    /// Takes one chunk; a repeat of it changes nothing.
    public func append(_ client: ClientID, _ index: Int, _ packed: [UInt8]) {
        guard failure == nil, chunks[client]?[index] == nil else { return }
        do {
            try file.seek(toOffset: length)
            try file.write(contentsOf: packed)
        } catch {
            failure = Self.error(path)
            return
        }
        chunks[client, default: [:]][index] = (length, packed.count)
        length += UInt64(packed.count)
    }

    /// Hands out one client's chunks in order.
    ///
    /// - Throws: what went wrong when the chunks were written, too.
    func read(
        _ client: ClientID, _ append: (UnsafeRawBufferPointer) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        if let failure { throw failure }
        for (_, place) in (chunks[client] ?? [:]).sorted(by: { $0.key < $1.key }) {
            var bytes: [UInt8] = []
            do {
                try file.seek(toOffset: place.offset)
                bytes = [UInt8](try file.read(upToCount: place.count) ?? Data())
            } catch {}
            guard bytes.count == place.count else { throw Self.error(path) }
            try AtomicFile.withBytes(bytes, append)
        }
    }

    private static func error(_ path: String) -> CheckpointError {
        CheckpointError(
            .cannotWrite, file: path, "the masked vectors cannot be kept here",
            hint: "Check free space and permissions")
    }
}
