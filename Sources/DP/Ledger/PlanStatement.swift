import GMP
import Sodium

/// Everything public about a run that its privacy report needs: the first record of its ledger.
///
/// The report is made from the ledger alone, so a number that is not here, or in a later record,
/// cannot be in the report. All numbers are exact.
public struct PlanStatement: Hashable, Sendable {
    /// Whose ledger this is.
    public enum Role: String, Hashable, Sendable, CaseIterable {
        /// The run's: one reservation per round, every unit charged alike.
        case server
        /// One client's own: one reservation per round in which that client takes part.
        case client
    }

    public var run: String
    public var role: Role
    /// The client that keeps a client ledger; empty for the server's.
    public var participant = ""
    /// What one round costs one unit. Unit and adjacency of the whole run are this event's.
    public var event: PrivacyEvent
    public var roundsPlanned: Int

    // The guarantee that must not be passed.
    public var budgetEpsilon: Rational
    public var delta: Rational
    public var accountant: AccountantKind

    // Who takes part and what is assumed about them.
    public var clients: Int
    public var minSurvivors: Int
    public var colluders: Int
    /// "malicious-server" or "semi-honest".
    public var profile: String
    /// Most rounds in which one client takes part; nil: no limit but the budget.
    public var participationLimit: Int?
    /// Least difference of the round numbers of two participations; nil: none.
    public var participationGap: Int?
    /// Probability with which a record joins a round; nil for the client unit.
    public var samplingRate: Rational?

    // The mechanism, in units of the update and in integer steps.
    public var mechanism: String
    public var clipNormMax: Rational
    /// Integer steps per unit of the update.
    public var scale: Rational
    /// Conditional rounding's acceptance parameter β.
    public var roundingBeta: Rational
    public var dimension: Int
    public var modulusBits: Int
    /// Upper bound on the chance that a sum wraps, per round.
    public var wrapProbability: Rational

    // What was run on what.
    public var baseModel: Digest
    public var adapterLayout: Digest
    public var codeVersion: String
    /// Further public facts for the report (operator, contact, data names, assumptions).
    public var facts: [String: String] = [:]

    public init(
        run: String, role: Role, participant: String = "", event: PrivacyEvent, roundsPlanned: Int,
        budgetEpsilon: Rational, delta: Rational, accountant: AccountantKind,
        clients: Int, minSurvivors: Int, colluders: Int, profile: String,
        participationLimit: Int? = nil, participationGap: Int? = nil, samplingRate: Rational? = nil,
        mechanism: String, clipNormMax: Rational, scale: Rational, roundingBeta: Rational,
        dimension: Int, modulusBits: Int, wrapProbability: Rational,
        baseModel: Digest, adapterLayout: Digest, codeVersion: String, facts: [String: String] = [:]
    ) {
        self.run = run
        self.role = role
        self.participant = participant
        self.event = event
        self.roundsPlanned = roundsPlanned
        self.budgetEpsilon = budgetEpsilon
        self.delta = delta
        self.accountant = accountant
        self.clients = clients
        self.minSurvivors = minSurvivors
        self.colluders = colluders
        self.profile = profile
        self.participationLimit = participationLimit
        self.participationGap = participationGap
        self.samplingRate = samplingRate
        self.mechanism = mechanism
        self.clipNormMax = clipNormMax
        self.scale = scale
        self.roundingBeta = roundingBeta
        self.dimension = dimension
        self.modulusBits = modulusBits
        self.wrapProbability = wrapProbability
        self.baseModel = baseModel
        self.adapterLayout = adapterLayout
        self.codeVersion = codeVersion
        self.facts = facts
    }

    public var participationBounds: ParticipationBounds {
        ParticipationBounds(limit: participationLimit, gap: participationGap)
    }

    /// Honest noise shares that every opened sum is guaranteed to carry: h = minSurvivors − colluders.
    public var honestShares: Int { minSurvivors - colluders }

    /// Checks each number and that the event says the same as the fields beside it.
    public func validate() throws(AccountingError) {
        func require(
            _ condition: Bool, _ name: String, _ value: some CustomStringConvertible, _ requirement: String
        ) throws(AccountingError) {
            guard condition else { throw .invalidParameter(name, "\(value)", requirement) }
        }
        try require(!run.isEmpty, "run", "empty", "a name")
        try require(roundsPlanned >= 1, "roundsPlanned", roundsPlanned, "at least 1")
        try require(budgetEpsilon.sign > 0, "budgetEpsilon", budgetEpsilon, "above 0")
        try require(delta.sign > 0 && delta < 1, "delta", delta, "above 0 and below 1")
        try requireDelta(delta.asDouble)
        try require(clients >= 1, "clients", clients, "at least 1")
        try require(
            (1...clients).contains(minSurvivors), "minSurvivors", minSurvivors, "from 1 to clients")
        try require(
            (0..<minSurvivors).contains(colluders), "colluders", colluders, "below minSurvivors")
        try require(
            (participationLimit ?? 1) >= 1, "participationLimit", "\(participationLimit ?? 0)", "at least 1")
        try require(
            (participationGap ?? 1) >= 1, "participationGap", "\(participationGap ?? 0)", "at least 1")
        try require(clipNormMax.sign > 0, "clipNormMax", clipNormMax, "above 0")
        try require(scale.sign > 0, "scale", scale, "above 0")
        try require(
            roundingBeta.sign >= 0 && roundingBeta < 1, "roundingBeta", roundingBeta, "from 0 to below 1")
        try require(dimension >= 1, "dimension", dimension, "at least 1")
        try require((1...64).contains(modulusBits), "modulusBits", modulusBits, "from 1 to 64")
        try require(
            wrapProbability.sign >= 0 && wrapProbability <= 1, "wrapProbability", wrapProbability,
            "a probability")
        var rates: Set<Rational> = []
        try checkEvent(event.kind, rates: &rates)
        let stated = Set([samplingRate].compactMap { $0 })
        try require(
            rates == stated, "samplingRate", samplingRate?.description ?? "absent",
            "the event's: \(rates.isEmpty ? "absent" : rates.map(\.description).sorted().joined(separator: ", "))"
        )
    }

    /// Every sum in the event must carry this plan's h and dimension; collects the sampling rates.
    private func checkEvent(
        _ kind: PrivacyEvent.Kind, rates: inout Set<Rational>
    ) throws(AccountingError) {
        switch kind {
        case .poissonSampled(let rate, let inner):
            rates.insert(rate)
            try checkEvent(inner, rates: &rates)
        case .composed(let parts):
            for part in parts { try checkEvent(part, rates: &rates) }
        case .repeated(let inner, _):
            try checkEvent(inner, rates: &rates)
        case .discreteGaussianSum(_, _, let shares, let eventDimension):
            guard shares == honestShares else {
                throw .invalidParameter(
                    "honestShares", "\(shares)", "minSurvivors − colluders = \(honestShares)")
            }
            guard eventDimension == dimension else {
                throw .invalidParameter("dimension", "\(eventDimension)", "the plan's \(dimension)")
            }
        case .gaussian, .laplace, .discreteGaussian, .discreteLaplace, .skellamSum,
            .randomisedResponse, .unsupported:
            break
        }
    }
}
