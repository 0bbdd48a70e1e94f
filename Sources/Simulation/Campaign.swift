/// The sum of many worlds' reports.
public struct Campaign: Sendable {
    public private(set) var worlds = 0
    public private(set) var rounds = 0
    public private(set) var events = 0
    public private(set) var violations = 0
    /// Rounds by how they ended.
    public private(set) var outcomes: [String: Int] = [:]
    public private(set) var faults: [Fault: Int] = [:]
    /// Over the digests of all worlds in order.
    public private(set) var digest: UInt64 = 0

    public init() {}

    public mutating func add(_ report: World.Report) {
        worlds += 1
        rounds += report.outcomes.count
        events += report.events
        violations += report.violations.count
        for outcome in report.outcomes { outcomes[outcome.name, default: 0] += 1 }
        faults.merge(report.faults) { $0 + $1 }
        digest = SimulationRandom.mix(digest ^ report.digest)
    }
}
