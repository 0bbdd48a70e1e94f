import DP
import Models
import Sodium

/// The privacy report of a run, made from its ledger and from nothing else.
///
/// Every figure is derived by an accountant from the events that the ledger recorded; none is copied from
/// what the run said about itself. The same ledger gives the same bytes, on any machine and at any time,
/// which is what lets `ReportAudit` check a report by making it again. Bounds are rounded up.
public struct PrivacyReport: Sendable {
    /// ε of everything that was charged, at `delta`, rounded up to six digits.
    public let epsilon: Double
    /// `epsilon` and what earlier runs on the same people spent, as the plan states it.
    public let epsilonTotal: Double
    /// ε if every planned round is charged: what `plan` printed.
    public let epsilonPlanned: Double
    public let delta: Double
    public let unit: PrivacyUnit
    /// The guarantee in one sentence, with unit, neighbours, adversary and numbers.
    public let headline: String

    private let document: ReportDocument
    private let epsilonPlot: String

    /// Reads and verifies a ledger file, then derives the report.
    ///
    /// - Parameter key: the key that must have signed the ledger; nil accepts the ledger's own.
    public init(ledger bytes: [UInt8], expecting key: VerifyingKey? = nil) throws(ReportError) {
        let ledger: Ledger
        do { ledger = try Ledger.verify(bytes, expecting: key) } catch { throw .ledger(error) }
        try self.init(ledger)
    }

    /// Derives the report of a verified ledger.
    public init(_ ledger: Ledger) throws(ReportError) {
        let account: RunAccount
        let history = try RunHistory(ledger)
        do { account = try RunAccount(history) } catch { throw .accounting(error) }
        epsilon = account.spent.epsilon
        epsilonTotal = account.totalEpsilon
        epsilonPlanned = account.plannedEpsilon
        delta = Figures.rounded(history.delta)
        unit = account.unit
        headline = ReportSentences.guarantee(account)
        document = ReportDocument(account)
        epsilonPlot = ReportPlots.epsilonByRound(account).svg
    }

    /// The report for programs: canonical JSON, schema `fedtrain-report/2`.
    public func json() -> [UInt8] { document.json }

    /// The report for people: one HTML file without outside resources or scripts.
    public func html() -> [UInt8] { document.html }

    /// The plot of ε by round as an SVG file of its own.
    public func epsilonPlotSVG() -> [UInt8] {
        // The style sheet goes right after the opening tag.
        guard let end = epsilonPlot.firstIndex(of: ">") else { return Array(epsilonPlot.utf8) }
        let head = epsilonPlot[...end]
        let rest = epsilonPlot[epsilonPlot.index(after: end)...]
        return Array("\(head)<style>\(PageStyle.standalonePlot)</style>\(rest)\n".utf8)
    }
}

/// Why no report can be made of a ledger.
public enum ReportError: Error, Sendable {
    /// The ledger does not verify.
    case ledger(LedgerError)
    /// An accountant refuses an event of the ledger.
    case accounting(AccountingError)
    /// A line holds something that this version cannot read: line number from 1, what.
    case unreadable(line: Int, String)
    /// Two signed statements of the ledger contradict each other.
    case contradiction(String)
}

extension ReportError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .ledger(let error): "\(error)"
        case .accounting(let error): "the ledger's events cannot be priced: \(error)"
        case .unreadable(let line, let what):
            "ledger line \(line) holds \(what); this version makes no report of it"
        case .contradiction(let what): "the ledger contradicts itself: \(what)"
        }
    }
}
