/// How often one client can have taken part: a limit, and a least distance between two rounds.
///
/// Each client's own ledger enforces both. Round numbers are differences: with gap g a client that took
/// part in round r comes back in round r + g at the earliest (some papers count the rounds between).
public struct ParticipationBounds: Hashable, Sendable {
    /// Most rounds; nil: no limit.
    public let limit: Int?
    /// Least difference of two round numbers, at least 1.
    public let gap: Int

    public init(limit: Int? = nil, gap: Int? = nil) {
        precondition((limit ?? 1) >= 1 && (gap ?? 1) >= 1, "a limit and a gap are at least 1")
        self.limit = limit
        self.gap = gap ?? 1
    }

    /// Whether some client may have been in fewer rounds than there were.
    public var isBinding: Bool { limit != nil || gap > 1 }

    /// The most of `rounds` consecutive rounds that one client can have been in.
    public func participations(in rounds: Int) -> Int {
        min(limit ?? .max, rounds / gap + (rounds % gap > 0 ? 1 : 0))
    }

    /// The most consecutive rounds in which no client can have been more than `participations` times;
    /// nil when the limit alone sees to that.
    public func rounds(for participations: Int) -> Int? {
        if let limit, participations >= limit { return nil }
        let (rounds, overflow) = participations.multipliedReportingOverflow(by: gap)
        return overflow ? nil : rounds
    }
}

/// Rounds that were paid for, and the most of them that one client can have been in.
///
/// Taking every round as early as the gap allows is optimal: any allowed set can be moved, round by round,
/// onto this one without becoming smaller.
struct ChargedRounds: Sendable {
    private let bounds: ParticipationBounds
    /// In rising order.
    private var rounds: [Int] = []
    /// The subset that reaches the most.
    private var taken: [Int] = []

    init(_ bounds: ParticipationBounds) { self.bounds = bounds }

    var latest: Int? { rounds.last }
    var participations: Int { taken.count }

    /// Whether one more round could have been entered by a client that was in as many as possible.
    func raisesParticipations(_ round: Int) -> Bool {
        guard taken.count < bounds.limit ?? .max else { return false }
        return taken.last.map { round - $0 >= bounds.gap } ?? true
    }

    /// - Precondition: `round` comes after every other.
    mutating func append(_ round: Int) {
        precondition(rounds.last.map { $0 < round } ?? true, "rounds are reserved in rising order")
        if raisesParticipations(round) { taken.append(round) }
        rounds.append(round)
    }

    mutating func remove(_ round: Int) {
        rounds.removeAll { $0 == round }
        guard taken.contains(round) else { return }
        let left = rounds
        rounds = []
        taken = []
        for round in left { append(round) }
    }
}

/// The most of a run's charged rounds that one client can have been in, counted as they come.
public struct ParticipationCount: Sendable {
    private var charged: ChargedRounds

    public init(_ bounds: ParticipationBounds) { charged = ChargedRounds(bounds) }

    public var count: Int { charged.participations }

    /// Counts a charged round, whose number is above all before it.
    /// - Returns: whether some client can have been in one round more than before.
    public mutating func add(_ round: Int) -> Bool {
        let isOneMore = charged.raisesParticipations(round)
        charged.append(round)
        return isOneMore
    }
}
