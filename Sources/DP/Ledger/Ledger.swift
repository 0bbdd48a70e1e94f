import Sodium

/// What a run spent, as a chain of signed records that obeys the rules. A pure value: it reads and
/// judges bytes, `LedgerFile` keeps them.
///
/// Rules. The first record is the plan. Rounds are reserved in rising order, each once, and only
/// while the budget allows it; a client's ledger also keeps its participation limit and gap. The run's
/// ledger charges a unit for as many rounds as one client can have been in. A commit needs a reservation
/// and at least `minSurvivors`; a release needs a commit. An abort returns the reserved cost only
/// if nothing had left; otherwise it stays spent. Time never runs backwards. Nothing but audits
/// follows a close.
public struct Ledger: Sendable {
    public let plan: PlanStatement
    public let key: VerifyingKey
    public private(set) var records: [LedgerRecord] = []
    /// Digest of the last line: names the whole history.
    public private(set) var head: Digest
    public private(set) var budget: PrivacyBudget
    public private(set) var rounds: [Int: Round] = [:]
    public private(set) var isClosed = false
    private var charged: ChargedRounds

    /// How far a reserved round got.
    public struct Round: Hashable, Sendable {
        public enum State: String, Hashable, Sendable {
            case reserved, committed, released
            /// Ended; its cost stays spent.
            case abortedSpent
            /// Ended before anything left; its cost was returned.
            case abortedReturned
        }
        public fileprivate(set) var state: State
        public let event: PrivacyEvent
        public fileprivate(set) var survivors: Int?
    }

    static let keyField = "publicKey"
    static let survivorsField = "survivors"
    static let nothingLeftField = "beforeAnythingLeft"

    /// Rounds whose outcome is still open, in order.
    public var openRounds: [Int] {
        rounds.filter { $0.value.state == .reserved }.keys.sorted()
    }

    /// The most rounds, of those whose cost was not returned, that one client can have been in. In a
    /// client's own ledger: all of them.
    public var participations: Int { charged.participations }

    /// Whether limit and gap let the ledger's client into `round`; the budget is asked by reserving.
    public func admits(round: Int) -> Bool { boundsFault(round) == nil }

    /// Reads and checks a whole ledger file.
    ///
    /// Every byte is covered: lines by their spelling, signature and place in the chain, the end by
    /// `head` if it is given (without it, a history cut off after a complete line still verifies,
    /// as an earlier state of the run).
    public static func verify(
        _ bytes: [UInt8], expecting key: VerifyingKey? = nil, head: Digest? = nil
    ) throws(LedgerError) -> Ledger {
        let lines = try parse(bytes)
        let first = lines[0]
        var ledger = try Ledger(first: first.record, line: first.line, expecting: key)
        // Cheap checks of all lines come before signatures, and those before any accounting.
        var previous = ledger.head
        for (index, (record, line)) in lines.enumerated().dropFirst() {
            guard record.sequence == index, record.previous == previous else {
                throw .brokenChain(line: index + 1)
            }
            previous = Digest.of(line)
        }
        if let head, head != previous { throw .wrongHead }
        for (index, (record, line)) in lines.enumerated().dropFirst() {
            guard record.isSigned(by: ledger.key, line: line) else {
                throw .badSignature(line: index + 1)
            }
        }
        for (index, (record, line)) in lines.enumerated().dropFirst() {
            do {
                try ledger.apply(record)
            } catch .refused(let rule) {
                throw .ruleBroken(line: index + 1, rule)
            } catch {
                throw .ruleBroken(line: index + 1, "\(error)")
            }
            ledger.adopt(record, line: line)
        }
        return ledger
    }

    private static func parse(
        _ bytes: [UInt8]
    ) throws(LedgerError) -> [(record: LedgerRecord, line: [UInt8])] {
        var lines: [(record: LedgerRecord, line: [UInt8])] = []
        var start = 0
        while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = Array(bytes[start..<end])
            lines.append((try LedgerRecord(line: line, number: lines.count + 1), line))
            start = end + 1
        }
        guard start == bytes.count else { throw .tornTail(bytes: bytes.count - start) }
        guard !lines.isEmpty else { throw .empty }
        return lines
    }

    init(first record: LedgerRecord, line: [UInt8], expecting expected: VerifyingKey?) throws(LedgerError) {
        guard record.kind == .plan, record.sequence == 0, record.round == nil,
            record.previous == LedgerRecord.noPrevious, let event = record.event
        else { throw .ruleBroken(line: 1, "a ledger begins with its plan") }
        var payload = record.payload
        guard let text = payload.removeValue(forKey: Self.keyField), let bytes = bytesFromHex(text),
            let key = VerifyingKey(bytes: bytes)
        else { throw .malformedLine(1, "the plan carries no public key") }
        if let expected, expected != key { throw .wrongKey }
        guard record.isSigned(by: key, line: line) else { throw .badSignature(line: 1) }
        do { plan = try PlanStatement(payload: payload, event: event) } catch { throw .accounting(error) }
        guard plan.run == record.run else {
            throw .ruleBroken(line: 1, "the record and its plan name different runs")
        }
        self.key = key
        budget = PrivacyBudget(plan: plan)
        charged = ChargedRounds(plan.participationBounds)
        records = [record]
        head = Digest.of(line)
    }

    /// Puts a record that was applied at the end of the chain.
    mutating func adopt(_ record: LedgerRecord, line: [UInt8]) {
        records.append(record)
        head = Digest.of(line)
    }

    /// Changes the state by one record, or says which rule forbids it and changes nothing.
    mutating func apply(_ record: LedgerRecord) throws(LedgerError) {
        guard !isClosed || record.kind == .audit else { throw .refused("the ledger is closed") }
        guard record.run == plan.run else { throw .refused("the record is about another run") }
        if let last = records.last, record.time < last.time {
            throw .refused("its time \(record.time) is before \(last.time), that of the record it follows")
        }
        if record.event != nil && record.kind != .reserve && record.kind != .score {
            throw .refused("only reservations and scores carry events")
        }
        switch record.kind {
        case .plan:
            throw .refused("a ledger has one plan")
        case .reserve:
            try applyReserve(round: try Self.round(of: record), record)
        case .commit:
            try applyCommit(round: try Self.round(of: record), record)
        case .release:
            let round = try Self.round(of: record)
            guard rounds[round]?.state == .committed else {
                throw .refused("round \(round) was not committed, so it has nothing to release")
            }
            rounds[round]!.state = .released
        case .abort:
            try applyAbort(round: try Self.round(of: record), record)
        case .score:
            if let event = record.event { try budget.charge(event) }
        case .note, .audit:
            break
        case .close:
            guard openRounds.isEmpty else {
                throw .refused("round \(openRounds[0]) is still open: commit or abort it first")
            }
            isClosed = true
        }
    }

    private mutating func applyReserve(round: Int, _ record: LedgerRecord) throws(LedgerError) {
        guard let event = record.event else { throw .refused("a reservation needs its event") }
        if let latest = rounds.keys.max(), round <= latest {
            throw .refused("round \(round) is not after round \(latest); a round is never paid twice")
        }
        if let fault = boundsFault(round) { throw fault }
        // Which rounds cost one client most is only clear when all cost the same.
        if plan.role == .server, plan.participationBounds.isBinding, event != plan.event {
            throw .refused("with a participation limit or gap, every round is the planned event")
        }
        if charged.raisesParticipations(round) { try budget.charge(event) }
        charged.append(round)
        rounds[round] = Round(state: .reserved, event: event)
    }

    /// Why limit or gap keep the ledger's client out of `round`; the run's ledger keeps nobody out.
    private func boundsFault(_ round: Int) -> LedgerError? {
        guard plan.role == .client else { return nil }
        if let limit = plan.participationLimit, participations >= limit { return .participationLimit(limit) }
        if let gap = plan.participationGap, let latest = charged.latest, round - latest < gap {
            return .participationGap(required: gap, actual: round - latest)
        }
        return nil
    }

    private mutating func applyCommit(round: Int, _ record: LedgerRecord) throws(LedgerError) {
        guard rounds[round]?.state == .reserved else {
            throw .refused("round \(round) has no open reservation")
        }
        let text = record.payload[Self.survivorsField]
        let survivors = text.flatMap { Int($0) }
        guard text == survivors.map(String.init) else {
            throw .refused("the survivor count of round \(round) is not a number")
        }
        if plan.role == .server {
            guard let survivors, survivors >= plan.minSurvivors, survivors <= plan.clients else {
                throw .refused(
                    """
                    a sum over \(text ?? "an unknown number of") contributions was opened in round \
                    \(round); the plan allows \(plan.minSurvivors) to \(plan.clients)
                    """)
            }
        }
        rounds[round]!.state = .committed
        rounds[round]!.survivors = survivors
    }

    private mutating func applyAbort(round: Int, _ record: LedgerRecord) throws(LedgerError) {
        guard let entry = rounds[round], entry.state == .reserved || entry.state == .committed else {
            throw .refused("round \(round) has nothing to abort")
        }
        switch record.payload[Self.nothingLeftField] {
        case "true":
            guard entry.state == .reserved else {
                throw .refused("round \(round) was committed: its cost cannot be returned")
            }
            let before = participations
            charged.remove(round)
            if participations < before { budget.refund(entry.event) }
            rounds[round]!.state = .abortedReturned
        case "false":
            rounds[round]!.state = .abortedSpent
        default:
            throw .refused("an abort must say whether anything had left")
        }
    }

    private static func round(of record: LedgerRecord) throws(LedgerError) -> Int {
        guard let round = record.round, round >= 0 else {
            throw .refused("a \(record.kind.rawValue) record needs a round number")
        }
        return round
    }
}
