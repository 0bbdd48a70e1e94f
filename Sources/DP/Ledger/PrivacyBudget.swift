/// How much may be spent, how much is, and whether a further event still fits: the filter.
///
/// Validity. With one fixed event per round, stopping early is post-processing of running to the
/// largest count that fits, so any accountant's bound holds at a stopping time chosen on the way.
/// Other events are admitted only where sums of one number are an exact filter under full
/// adaptivity: zCDP ([FZ21]) and GDP ([ST22]).
public struct PrivacyBudget: Sendable {
    public let epsilon: Double
    public let delta: Double
    public let accountant: AccountantKind
    /// The one event that `rdp` and `pld` admit.
    public let plannedEvent: PrivacyEvent

    public private(set) var spent: EventTally
    /// A tally known to fit; whatever it dominates needs no new computation.
    private var knownToFit: EventTally?

    init(plan: PlanStatement) {
        // Both conversions round towards zero, so that nothing slips in by them.
        epsilon = plan.budgetEpsilon.asDouble
        delta = plan.delta.asDouble
        accountant = plan.accountant
        plannedEvent = plan.event
        spent = EventTally(unit: plan.event.unit, adjacency: plan.event.adjacency)
    }

    /// What the spent events cost now: the odometer.
    public func epsilonSpent() throws(AccountingError) -> EpsilonInterval {
        try accountant.accountant.epsilon(of: spent, delta: delta)
    }

    /// Charges `event`, or refuses and changes nothing.
    mutating func charge(_ event: PrivacyEvent) throws(LedgerError) {
        if accountant != .zcdp && accountant != .gdp && event != plannedEvent {
            throw .refused(
                "the \(accountant.rawValue) filter admits only the planned event; plan with gdp or zcdp")
        }
        do {
            let after = try spent.adding(event)
            if let knownToFit, knownToFit.dominates(after) {
                spent = after
                return
            }
            let method = accountant.accountant
            let further = try Calibration.count(
                epsilon: epsilon, delta: delta, accountant: method, of: event, after: spent,
                countMax: 1 << 20)
            guard further >= 1 else {
                throw LedgerError.budgetExceeded(
                    spent: Self.printed(try method.epsilon(of: spent, delta: delta).upper),
                    requested: Self.printed(try method.epsilon(of: after, delta: delta).upper),
                    budget: Self.printed(epsilon))
            }
            knownToFit = try spent.adding(event, count: further)
            spent = after
        } catch let error as AccountingError {
            throw .accounting(error)
        } catch let error as LedgerError {
            throw error
        } catch {
            throw .refused("\(error)")
        }
    }

    /// Takes back a charge whose event did not happen.
    mutating func refund(_ event: PrivacyEvent) {
        spent.remove(event)
    }

    /// ε with four digits, rounded up.
    static func printed(_ epsilon: Double) -> String {
        guard epsilon.isFinite else { return "infinite" }
        return "\((epsilon * 1e4).rounded(.up) / 1e4)"
    }
}
