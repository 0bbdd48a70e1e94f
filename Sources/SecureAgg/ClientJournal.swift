import Sodium

/// What a client writes down before a message leaves it.
public struct JournalEntry: Hashable, Sendable {
    public let task: String
    public let round: UInt64
    public let manifest: Digest
    public let stage: Stage
    /// BLAKE2b-256 of the bytes about to be sent.
    public let message: Digest

    public init(task: String, round: UInt64, manifest: Digest, stage: Stage, message: Digest) {
        self.task = task
        self.round = round
        self.manifest = manifest
        self.stage = stage
        self.message = message
    }
}

/// A client's memory across restarts: which rounds it entered and what it sent.
///
/// `ClientSession` calls `record` before it hands out a message and refuses rounds that are not
/// later than `latestRound`. Together these make it impossible to answer a stage twice with different
/// bytes, because keys never outlive the process.
public protocol ClientJournal: AnyObject {
    /// The highest round of `task` ever entered, or nil.
    func latestRound(of task: String) throws -> UInt64?

    /// Makes the entry durable before it returns; throwing keeps the message from being sent.
    func record(_ entry: JournalEntry) throws
}

/// A journal that lives as long as the process: for simulations and tests.
public final class InMemoryJournal: ClientJournal {
    public private(set) var entries: [JournalEntry] = []

    public init() {}

    public func latestRound(of task: String) -> UInt64? {
        entries.lazy.filter { $0.task == task }.map(\.round).max()
    }

    public func record(_ entry: JournalEntry) {
        entries.append(entry)
    }
}
