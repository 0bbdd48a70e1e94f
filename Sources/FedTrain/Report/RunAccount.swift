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
        noise = NoiseTerms(plan.event.kind)

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
            path.append((count, try epsilon(try carried.adding(plan.event, count: count))))
        }
        plannedPath = path
        plannedEpsilon = path[path.count - 1].epsilon

        var tally = carried
        var after = path[0].epsilon
        var rounds: [RoundAccount] = []
        for round in history.rounds {
            if round.isCharged {
                try tally.add(round.event)
                after = try epsilon(tally)
            }
            rounds.append(RoundAccount(round: round, epsilonAfter: after))
        }
        for release in history.sideReleases where !release.isBeforeRounds { try tally.add(release.event) }
        self.rounds = rounds
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

    var plan: PlanStatement { history.plan }
    var unit: PrivacyUnit { plan.event.unit }
    var released: Int { history.rounds.count { $0.outcome == .released } }
    var charged: Int { history.rounds.count { $0.isCharged } }
}

/// A sum of one noise share per client, as the plan's event states it.
struct NoiseTerms: Sendable {
    let delta2Squared: BigInteger
    let sigmaLocalSquared: Rational
    let honestShares: Int
    let dimension: Int
    let samplingRate: Rational?

    init?(_ kind: PrivacyEvent.Kind) {
        switch kind {
        case .poissonSampled(let rate, let inner):
            guard
                case .discreteGaussianSum(let delta2Squared, let variance, let shares, let dimension) = inner
            else { return nil }
            self.init(delta2Squared, variance, shares, dimension, rate)
        case .discreteGaussianSum(let delta2Squared, let variance, let shares, let dimension):
            self.init(delta2Squared, variance, shares, dimension, nil)
        default: return nil
        }
    }

    private init(
        _ delta2Squared: BigInteger, _ variance: Rational, _ shares: Int, _ dimension: Int, _ rate: Rational?
    ) {
        self.delta2Squared = delta2Squared
        sigmaLocalSquared = variance
        honestShares = shares
        self.dimension = dimension
        samplingRate = rate
    }

    /// Standard deviation of `shares` shares over the sensitivity: the noise multiplier.
    func multiplier(shares: Int) -> Double {
        (sigmaLocalSquared * Rational(shares) / Rational(delta2Squared)).asDouble.squareRoot()
    }

    /// Standard deviation of `shares` shares in integer steps.
    func steps(shares: Int) -> Double {
        (sigmaLocalSquared * Rational(shares)).asDouble.squareRoot()
    }
}
