import Sodium

/// The right to run one round. It exists only after the round's reservation is durable, and it
/// cannot be copied; whoever runs the round consumes it.
public struct Permit: ~Copyable, Sendable {
    public let run: String
    public let round: Int
    public let event: PrivacyEvent
    /// Digest of the ledger line that reserved the round.
    public let reservation: Digest

    fileprivate init(run: String, round: Int, event: PrivacyEvent, reservation: Digest) {
        self.run = run
        self.round = round
        self.event = event
        self.reservation = reservation
    }
}

/// A ledger that is being written: each call appends one record, durable when the call returns.
///
/// A record is written and synced first, then acknowledged in a second, atomically replaced file,
/// and only then does the caller hear of it. So after a crash an incomplete last line, or one the
/// acknowledgement does not know yet, was never acted on, while a line that was acted on is missing
/// only if someone removed it, and then `open` refuses. A complete line without acknowledgement is
/// kept: its cost counts, whether or not the round ran.
public final class LedgerFile {
    public private(set) var ledger: Ledger
    /// Bytes of an incomplete, never acknowledged last line that opening removed.
    public let repairedBytes: Int

    private let storage: any LedgerStorage
    private let key: SigningKey
    private var length: Int
    private var isStopped = false

    /// Starts a ledger with `plan`; refuses when one is already there.
    public static func create(
        in storage: any LedgerStorage, key: SigningKey, plan: PlanStatement, at time: Int
    ) throws(LedgerError) -> LedgerFile {
        do { try plan.validate() } catch { throw .accounting(error) }
        let found = try storage.load()
        guard found.acknowledgement == nil, !found.log.contains(UInt8(ascii: "\n")) else {
            throw .alreadyExists
        }
        // A first line that was torn by a crash was never acted on.
        if !found.log.isEmpty { try storage.truncate(to: 0) }
        var payload = plan.payload
        payload[Ledger.keyField] = hexString(key.verifyingKey.bytes)
        let record = LedgerRecord(
            sequence: 0, previous: LedgerRecord.noPrevious, time: time, run: plan.run, kind: .plan,
            round: nil, event: plan.event, payload: payload)
        let line = record.line(signedBy: key)
        let ledger = try Ledger(
            first: try LedgerRecord(line: line, number: 1), line: line, expecting: key.verifyingKey)
        let file = LedgerFile(ledger: ledger, storage: storage, key: key, length: 0, repairedBytes: 0)
        try file.persist(line: line, head: ledger.head)
        return file
    }

    /// Continues a ledger after a restart. Rounds left open stay reserved, hence spent, until they
    /// are committed or aborted.
    public static func open(
        _ storage: any LedgerStorage, key: SigningKey
    ) throws(LedgerError) -> LedgerFile {
        let found = try storage.load()
        let complete = (found.log.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
        guard complete > 0 else {
            if let bytes = found.acknowledgement {
                throw .truncated(acknowledged: try Acknowledgement(bytes).length, found: found.log.count)
            }
            throw .empty
        }
        let lines = Array(found.log[..<complete])
        let ledger = try Ledger.verify(lines, expecting: key.verifyingKey)
        if let bytes = found.acknowledgement {
            let acknowledged = try Acknowledgement(bytes)
            guard acknowledged.length <= complete else {
                throw .truncated(acknowledged: acknowledged.length, found: found.log.count)
            }
            let prefix = try Ledger.verify(
                Array(lines[..<acknowledged.length]), expecting: key.verifyingKey)
            guard prefix.head == acknowledged.head else {
                throw .acknowledgementUnreadable("its digest is not that of the line it names")
            }
        } else if ledger.records.count > 1 {
            throw .acknowledgementUnreadable("it is missing")
        }
        let torn = found.log.count - complete
        if torn > 0 { try storage.truncate(to: complete) }
        let file = LedgerFile(
            ledger: ledger, storage: storage, key: key, length: complete, repairedBytes: torn)
        try storage.acknowledge(Acknowledgement(length: complete, head: ledger.head).bytes)
        return file
    }

    private init(
        ledger: Ledger, storage: any LedgerStorage, key: SigningKey, length: Int, repairedBytes: Int
    ) {
        self.ledger = ledger
        self.storage = storage
        self.key = key
        self.length = length
        self.repairedBytes = repairedBytes
    }

    // MARK: Records

    /// Sets the cost of `round` aside: the planned event, unless another is given. Refuses when the
    /// budget, the participation limit or the gap forbid it.
    public func reserve(
        round: Int, event: PrivacyEvent? = nil, at time: Int, payload: [String: String] = [:]
    ) throws(LedgerError) -> Permit {
        let event = event ?? ledger.plan.event
        try append(.reserve, round: round, event: event, at: time, payload: payload)
        return Permit(run: ledger.plan.run, round: round, event: event, reservation: ledger.head)
    }

    /// Records that the round's sum was opened, or the masked vector sent: its cost is final.
    public func commit(
        round: Int, survivors: Int? = nil, at time: Int, payload: [String: String] = [:]
    ) throws(LedgerError) {
        var payload = payload
        payload[Ledger.survivorsField] = survivors.map(String.init)
        try append(.commit, round: round, at: time, payload: payload)
    }

    /// Records that the round's result was published.
    public func release(
        round: Int, at time: Int, payload: [String: String] = [:]
    ) throws(LedgerError) {
        try append(.release, round: round, at: time, payload: payload)
    }

    /// Records that the round ended without a release. Its cost is returned only when the caller
    /// knows that nothing had left (`beforeAnythingLeft`).
    public func abort(
        round: Int, beforeAnythingLeft: Bool, reason: String, at time: Int,
        payload: [String: String] = [:]
    ) throws(LedgerError) {
        var payload = payload
        payload["reason"] = reason
        payload[Ledger.nothingLeftField] = "\(beforeAnythingLeft)"
        try append(.abort, round: round, at: time, payload: payload)
    }

    /// Records a metric; `event` is its cost if it touched the units' data.
    public func score(
        event: PrivacyEvent? = nil, at time: Int, payload: [String: String]
    ) throws(LedgerError) {
        try append(.score, event: event, at: time, payload: payload)
    }

    public func note(at time: Int, payload: [String: String]) throws(LedgerError) {
        try append(.note, at: time, payload: payload)
    }

    /// Records what an empirical audit found; the only record that a closed ledger takes.
    public func audit(at time: Int, payload: [String: String]) throws(LedgerError) {
        try append(.audit, at: time, payload: payload)
    }

    public func close(at time: Int, payload: [String: String] = [:]) throws(LedgerError) {
        try append(.close, at: time, payload: payload)
    }

    // MARK: Writing

    private func append(
        _ kind: LedgerRecord.Kind, round: Int? = nil, event: PrivacyEvent? = nil, at time: Int,
        payload: [String: String]
    ) throws(LedgerError) {
        guard !isStopped else { throw .writerStopped }
        let record = LedgerRecord(
            sequence: ledger.records.count, previous: ledger.head, time: time, run: ledger.plan.run,
            kind: kind, round: round, event: event, payload: payload)
        var next = ledger
        try next.apply(record)
        let line = record.line(signedBy: key)
        // What is about to be written must read back as the same record.
        guard try LedgerRecord(line: line, number: ledger.records.count + 1) == record else {
            throw .refused("the record has no exact spelling")
        }
        next.adopt(record, line: line)
        try persist(line: line, head: next.head)
        ledger = next
    }

    private func persist(line: [UInt8], head: Digest) throws(LedgerError) {
        let bytes = line + [UInt8(ascii: "\n")]
        let acknowledgement = Acknowledgement(length: length + bytes.count, head: head).bytes
        do {
            try storage.append(bytes)
            try storage.acknowledge(acknowledgement)
        } catch {
            // Back to the last acknowledged state. If that cannot be, or if the acknowledgement did
            // get through, the line stays, its cost counts, and this process writes no further.
            if let found = try? storage.load(), found.acknowledgement != acknowledgement,
                (try? storage.truncate(to: length)) != nil
            {
                throw error
            }
            isStopped = true
            throw error
        }
        length += bytes.count
    }
}

/// How much of the log was durable when the caller was last told so.
private struct Acknowledgement {
    let length: Int
    let head: Digest

    init(length: Int, head: Digest) {
        self.length = length
        self.head = head
    }

    init(_ bytes: [UInt8]) throws(LedgerError) {
        guard let fields = CanonicalJSON(canonical: bytes), let text = fields["length"]?.string,
            let length = Int(text), String(length) == text, length >= 0,
            let hex = fields["head"]?.string, let head = Digest(hex: hex)
        else { throw .acknowledgementUnreadable("it is not a length and a digest") }
        self.init(length: length, head: head)
    }

    var bytes: [UInt8] {
        CanonicalJSON.object(["head": .string(head.hex), "length": .string("\(length)")]).bytes
    }
}
