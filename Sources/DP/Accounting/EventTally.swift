/// How often each single mechanism ran: the flat form of an event tree that accountants read.
///
/// Entries are kept in one canonical order, so that two histories with the same events cost the
/// same to the last bit, however they were interleaved, and n repetitions are exactly n entries.
public struct EventTally: Hashable, Sendable {
    public let unit: PrivacyUnit
    public let adjacency: Adjacency
    public private(set) var entries: [Entry] = []

    public struct Entry: Hashable, Sendable {
        /// Never `.composed` or `.repeated`.
        public let kind: PrivacyEvent.Kind
        public let count: Int
    }

    public init(unit: PrivacyUnit, adjacency: Adjacency) {
        self.unit = unit
        self.adjacency = adjacency
    }

    public init(_ event: PrivacyEvent, count: Int = 1) throws(AccountingError) {
        self.init(unit: event.unit, adjacency: event.adjacency)
        try add(event, count: count)
    }

    /// Whether nothing happened.
    public var isEmpty: Bool { entries.isEmpty }

    /// Adds `count` runs of `event`. Throws when the event is about another unit or adjacency,
    /// since such losses do not add.
    public mutating func add(_ event: PrivacyEvent, count: Int = 1) throws(AccountingError) {
        guard event.unit == unit, event.adjacency == adjacency else {
            throw .mixedUnits(
                "one \(unit.rawValue), \(adjacency.rawValue)",
                "one \(event.unit.rawValue), \(event.adjacency.rawValue)")
        }
        var counts: [PrivacyEvent.Kind: Int] = [:]
        for entry in entries { counts[entry.kind] = entry.count }
        try Self.flatten(event.kind, times: count, into: &counts)
        entries = counts.filter { $0.value > 0 }
            .map { (name: $0.key.description, entry: Entry(kind: $0.key, count: $0.value)) }
            .sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
            .map(\.entry)
    }

    public func adding(_ event: PrivacyEvent, count: Int = 1) throws(AccountingError) -> EventTally {
        var copy = self
        try copy.add(event, count: count)
        return copy
    }

    private static func flatten(
        _ kind: PrivacyEvent.Kind, times: Int, into counts: inout [PrivacyEvent.Kind: Int]
    ) throws(AccountingError) {
        guard times >= 0 else { throw .invalidParameter("count", "\(times)", "at least 0") }
        switch kind {
        case .composed(let parts):
            for part in parts { try flatten(part, times: times, into: &counts) }
        case .repeated(let inner, let count):
            try flatten(inner, times: try product(times, count), into: &counts)
        case .poissonSampled(let rate, let inner) where rate == 1:
            try flatten(inner, times: times, into: &counts)
        case .poissonSampled(let rate, _) where rate.isZero:
            break
        default:
            let (sum, overflow) = counts[kind, default: 0].addingReportingOverflow(times)
            guard !overflow, sum <= PrivacyEvent.Kind.countMax else {
                throw .invalidParameter("count", "\(times)", "at most 2^40 runs in all")
            }
            counts[kind] = sum
        }
    }

    private static func product(_ left: Int, _ right: Int) throws(AccountingError) -> Int {
        let (result, overflow) = left.multipliedReportingOverflow(by: right)
        guard !overflow, result <= PrivacyEvent.Kind.countMax else {
            throw .invalidParameter("count", "\(left) × \(right)", "at most 2^40 runs in all")
        }
        return result
    }
}

extension EventTally {
    /// Whether every mechanism ran here at least as often as in `other`.
    func dominates(_ other: EventTally) -> Bool {
        guard unit == other.unit, adjacency == other.adjacency else { return false }
        return other.entries.allSatisfy { entry in
            entries.contains { $0.kind == entry.kind && $0.count >= entry.count }
        }
    }

    /// Removes one run of `event`, which must have been added before.
    mutating func remove(_ event: PrivacyEvent) {
        guard let removed = try? EventTally(event) else { return }
        precondition(dominates(removed), "only an event that was added can be removed")
        entries = entries.compactMap { entry in
            let gone = removed.entries.first { $0.kind == entry.kind }?.count ?? 0
            return entry.count > gone ? Entry(kind: entry.kind, count: entry.count - gone) : nil
        }
    }
}
