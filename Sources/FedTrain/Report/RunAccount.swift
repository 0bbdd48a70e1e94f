import DP
import GMP

/// A run with its price: what the ledger says happened, and what accountants derive from that.
struct RunAccount: Sendable {
    let history: RunHistory
    /// The guarantee for everything that was charged.
    let spent: PrivacyFigures
    /// ε at the plan's δ if all planned rounds are charged; the worst case of a run that keeps its plan.
    let plannedEpsilon: Double
    /// (number of planned rounds so far, ε after them), starting with 0 rounds.
    let plannedPath: [(rounds: Int, epsilon: Double)]
    let rounds: [RoundAccount]
    /// The most charged rounds that one client can have been in.
    let participations: Int
    /// The noise per round, where the mechanism adds one share per client.
    let noise: NoiseTerms?

    struct RoundAccount: Sendable {
        let round: RunHistory.Round
        /// ε at the plan's δ after this round and everything before it.
        let epsilonAfter: Double
    }

    init(_ history: RunHistory) throws(AccountingError) {
        let plan = history.plan
        let delta = history.delta
        let accountant = plan.accountant.accountant
        self.history = history
        noise = NoiseTerms(plan)

        // A run that keeps its plan asks for every count twice.
        var known: [EventTally: Double] = [:]
        func epsilon(_ tally: EventTally) throws(AccountingError) -> Double {
            if let answer = known[tally] { return answer }
            let answer = Figures.rounded(try accountant.epsilon(of: tally, delta: delta).upper, .up)
            known[tally] = answer
            return answer
        }
        let nothing = EventTally(unit: plan.event.unit, adjacency: plan.event.adjacency)
        var carried = nothing
        for release in history.sideReleases where release.isBeforeRounds { try carried.add(release.event) }

        var path = [(rounds: 0, epsilon: carried.isEmpty ? 0 : try epsilon(carried))]
        for count in Self.sampled(plan.roundsPlanned) {
            let participations = plan.participationBounds.participations(in: count)
            path.append((count, try epsilon(try carried.adding(plan.event, count: participations))))
        }
        plannedPath = path
        plannedEpsilon = path[path.count - 1].epsilon

        var tally = carried
        var after = path[0].epsilon
        var rounds: [RoundAccount] = []
        var taken = ParticipationCount(plan.participationBounds)
        for round in history.rounds {
            if round.isCharged, taken.add(round.number) {
                try tally.add(round.event)
                after = try epsilon(tally)
            }
            rounds.append(RoundAccount(round: round, epsilonAfter: after))
        }
        for release in history.sideReleases where !release.isBeforeRounds { try tally.add(release.event) }
        self.rounds = rounds
        participations = taken.count
        spent = try PrivacyFigures(of: tally, accountant: plan.accountant, delta: delta)
    }

    /// 1 … `count`, thinned to some 250 values that include the last, so that the size of a report does
    /// not follow a number that somebody wrote into a plan.
    private static func sampled(_ count: Int) -> [Int] {
        let step = max(1, count / 250)
        return Array(stride(from: step, to: count, by: step)) + [count]
    }

    /// What earlier runs on the same people spent, as the plan states it.
    struct EarlierRuns: Sendable {
        /// nil when the plan does not count them.
        let runs: Int?
        let epsilon: Double
    }

    var earlier: EarlierRuns? {
        guard let spent = plan.facts[LedgerFacts.spentBefore].flatMap({ Rational($0) }), spent.sign > 0 else {
            return nil
        }
        return EarlierRuns(
            runs: plan.facts[LedgerFacts.runsBefore].flatMap { Int($0) },
            epsilon: Figures.rounded(spent.asDouble.nextUp, .up))
    }

    /// ε of this run and the earlier ones together, by basic composition: valid whatever they did.
    var totalEpsilon: Double {
        Figures.rounded(spent.epsilon + (earlier?.epsilon ?? 0), .up)
    }

    /// The δ that belongs to `totalEpsilon`: every run adds its own, and all have this one's. nil when
    /// earlier runs are not counted, and then no sum is known.
    var totalDelta: Double? {
        guard let earlier else { return history.delta }
        return earlier.runs.map { Figures.rounded(history.delta * Double($0 + 1), .up) }
    }

    var plan: PlanStatement { history.plan }
    /// All clients that may take part in some round.
    var population: Int { plan.facts[LedgerFacts.population].flatMap { Int($0) } ?? plan.clients }
    var unit: PrivacyUnit { plan.event.unit }
    var released: Int { history.rounds.count { $0.outcome == .released } }
    var charged: Int { history.rounds.count { $0.isCharged } }
}

/// The noise of a sum over clients, as the plan's statement gives it.
struct NoiseTerms: Sendable {
    let delta2Squared: BigInteger
    /// What one client adds, in squared steps.
    let sigmaLocalSquared: Rational
    let honestShares: Int
    let isSkellam: Bool
    /// The numbers of lost clients at which noise levels stand; empty when all noise stays.
    let levels: NoiseLevels?
    private let minSurvivors: Int

    init?(_ plan: PlanStatement) {
        var kind = plan.event.kind
        if case .poissonSampled(_, let inner) = kind { kind = inner }
        switch kind {
        case .discreteGaussianSum(let delta2Squared, let variance, let shares, _):
            self.delta2Squared = delta2Squared
            sigmaLocalSquared = variance
            honestShares = shares
            isSkellam = false
        case .skellamSum(let delta2Squared, let variance, _):
            self.delta2Squared = delta2Squared
            sigmaLocalSquared = variance / Rational(plan.honestShares)
            honestShares = plan.honestShares
            isSkellam = true
        default: return nil
        }
        minSurvivors = plan.minSurvivors
        let dropouts = plan.facts[LedgerFacts.noiseLevels]?.split(separator: ",").compactMap { Int($0) }
        levels = dropouts.flatMap {
            NoiseLevels(clients: plan.clients, minSurvivors: plan.minSurvivors, dropouts: $0)
        }
    }

    /// σ_c over the sensitivity: what the guarantee counts on.
    var requiredMultiplier: Double {
        Self.root(Rational(honestShares) * sigmaLocalSquared, over: delta2Squared)
    }

    /// σ over the sensitivity of the noise in a sum over `survivors` contributions that `colluders` of them
    /// do not know.
    func deliveredMultiplier(survivors: Int, colluders: Int) -> Double {
        let honest = Rational(BigInteger(survivors - colluders), BigInteger(survivors))
        return Self.root(variance(survivors: survivors) * honest, over: delta2Squared)
    }

    /// Standard deviation of the noise in a sum over `survivors` contributions, in integer steps.
    func steps(survivors: Int) -> Double { variance(survivors: survivors).asDouble.squareRoot() }

    private func variance(survivors: Int) -> Rational {
        if let levels, levels.kept(survivors: survivors) != nil {
            return levels.deliveredVariance(
                survivors: survivors, promised: Rational(minSurvivors) * sigmaLocalSquared)
        }
        return Rational(survivors) * sigmaLocalSquared
    }

    private static func root(_ variance: Rational, over squared: BigInteger) -> Double {
        (variance / Rational(squared)).asDouble.squareRoot()
    }
}
