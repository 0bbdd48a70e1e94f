import DP
import Sodium

/// What a verified ledger says about a run, arranged by round.
struct RunHistory: Sendable {
    enum Outcome: String, Sendable {
        case released
        /// Ended without a release after masked vectors may have left: paid for.
        case aborted
        /// Ended before anything had left: the reservation was given back.
        case returned
        /// In a client's own ledger: its masked vector was sent. Paid for.
        case sent
        /// The ledger ends inside the round: paid for.
        case unfinished
    }

    struct Round: Sendable {
        let number: Int
        let event: PrivacyEvent
        let reservedAt: Int
        var outcome = Outcome.unfinished
        var counts: RoundCounts?
        /// Contributions in the opened sum, as the ledger's rules checked them; nil if none was opened.
        var survivors: Int?
        var endedAt: Int
        /// Why the round ended without a release.
        var reason: String?
        /// Digest of the adapter that the round led to, as its release record names it.
        var adapter: String?

        var isCharged: Bool { outcome != .returned }

        init(reservation: LedgerRecord, number: Int, event: PrivacyEvent) {
            self.number = number
            self.event = event
            reservedAt = reservation.time
            endedAt = reservation.time
        }
    }

    /// Something other than a round that was charged.
    struct SideRelease: Sendable {
        let name: String
        let event: PrivacyEvent
        let isBeforeRounds: Bool
    }

    let plan: PlanStatement
    /// The plan's δ as the budget uses it.
    let delta: Double
    let key: VerifyingKey
    /// Digest of the last line, which names the whole chain.
    let head: Digest
    let recordCount: Int
    let startedAt: Int
    let endedAt: Int
    let isClosed: Bool
    private(set) var rounds: [Round] = []
    private(set) var scores: [ScoreFact] = []
    private(set) var sideReleases: [SideRelease] = []
    /// Digest of the adapter's files, as the last note about them says.
    private(set) var adapterFiles: String?
    /// Empirical audits of the plan, oldest first.
    private(set) var audits: [AuditOutcome] = []
    /// Remarks in the order they were written.
    private(set) var notes: [(time: Int, text: String)] = []

    init(_ ledger: Ledger) throws(ReportError) {
        plan = ledger.plan
        delta = ledger.budget.delta
        key = ledger.key
        head = ledger.head
        recordCount = ledger.records.count
        startedAt = ledger.records[0].time
        endedAt = (ledger.records.last { $0.kind != .audit } ?? ledger.records[0]).time
        isClosed = ledger.isClosed
        for record in ledger.records { try take(record) }
        for index in rounds.indices { try settle(&rounds[index], as: ledger) }
    }

    private mutating func take(_ record: LedgerRecord) throws(ReportError) {
        func unreadable(_ what: String) -> ReportError { .unreadable(line: record.sequence + 1, what) }
        switch record.kind {
        case .plan, .close:
            break
        case .reserve:
            guard let number = record.round, let event = record.event else {
                throw unreadable("a reservation without round or event")
            }
            rounds.append(Round(reservation: record, number: number, event: event))
        case .commit, .release, .abort:
            guard let index = rounds.lastIndex(where: { $0.number == record.round }) else {
                throw unreadable("a record of a round that was never reserved")
            }
            rounds[index].endedAt = record.time
            rounds[index].reason = record.payload["reason"]
            rounds[index].adapter = record.payload["adapter"]
            if record.payload["invited"] != nil {
                guard let counts = RoundCounts(payload: record.payload) else {
                    throw unreadable("counts of clients that are no numbers or rise from stage to stage")
                }
                rounds[index].counts = counts
            }
        case .score:
            if let event = record.event {
                let name = record.payload["name"] ?? record.payload["metric"] ?? "a charged figure"
                sideReleases.append(
                    SideRelease(name: name, event: event, isBeforeRounds: rounds.isEmpty))
            }
            if let score = ScoreFact(payload: record.payload) {
                scores.append(score)
            } else if record.event == nil {
                throw unreadable("a score without name, metric, value or count")
            }
        case .audit:
            guard let audit = AuditOutcome(payload: record.payload), audit.unit == plan.event.unit,
                audit.delta == delta,
                let tally = try? EventTally(plan.event, count: audit.participations),
                let claimed = try? plan.accountant.accountant.epsilon(of: tally, delta: delta).upper,
                Figures.rounded(claimed, .up) == audit.epsilonClaimed
            else { throw unreadable("an audit of another claim, or one whose figures do not follow") }
            audits.append(audit)
        case .note where record.payload[LedgerFacts.adapterFiles] != nil:
            adapterFiles = record.payload[LedgerFacts.adapterFiles]
        case .note:
            let fields = record.payload.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            let text =
                fields.count == 1
                ? fields[0].value : fields.map { "\($0.key): \($0.value)" }.joined(separator: "; ")
            notes.append((record.time, text))
        }
    }

    /// Takes the outcome from the ledger's own state, whose rules were checked line by line.
    private func settle(_ round: inout Round, as ledger: Ledger) throws(ReportError) {
        guard let state = ledger.rounds[round.number] else {
            throw .unreadable(line: 1, "round \(round.number) is unknown to the ledger's rules")
        }
        switch state.state {
        case .reserved: round.outcome = .unfinished
        case .committed: round.outcome = plan.role == .client ? .sent : .unfinished
        case .released: round.outcome = .released
        case .abortedSpent: round.outcome = .aborted
        case .abortedReturned: round.outcome = .returned
        }
        round.survivors = state.survivors
        if let survivors = state.survivors, let counts = round.counts, counts.survivors != survivors {
            throw .contradiction(
                "round \(round.number) names \(survivors) contributions and \(counts.survivors) "
                    + "clients after the mask stage")
        }
    }
}
