import DP
import GMP
import Glibc

/// What accountants say about one history of events: the numbers of the report, rounded in the
/// direction that keeps a bound a bound.
struct PrivacyFigures: Sendable {
    /// One accountant's answer, or why it gives none.
    struct Line: Sendable {
        let accountant: AccountantKind
        let basis: BoundBasis?
        /// (δ, ε upper bound), largest δ first; empty when the accountant refused.
        let epsilons: [(delta: Double, epsilon: Double)]
        let refusal: String?
    }

    /// A bound on what any test against one unit achieves.
    struct BestTest: Sendable {
        let falsePositiveRate: Double
        /// Upper bound on the true-positive rate.
        let truePositiveRateMax: Double

        init(rate: Double, bound: Double) {
            falsePositiveRate = rate
            truePositiveRateMax = min(1, Figures.rounded(bound, .up))
        }
    }

    struct Group: Sendable {
        let size: Int
        /// Upper bound on ε at the plan's δ; nil when none below 1,000 is known.
        let epsilon: Double?
    }

    /// The accountant that the budget is kept in.
    let accountant: AccountantKind
    let delta: Double
    /// ε at `delta` under `accountant`, and what it rests on.
    let epsilon: Double
    let basis: BoundBasis
    let lines: [Line]
    /// (ε, δ upper bound) under `accountant`.
    let curve: [(epsilon: Double, delta: Double)]
    let bestTests: [BestTest]
    let groups: [Group]

    static let standardDeltas = [1e-5, 1e-6, 1e-8, 1e-10]

    init(of tally: EventTally, accountant: AccountantKind, delta: Double) throws(AccountingError) {
        let answer = try accountant.accountant.epsilon(of: tally, delta: delta)
        self.accountant = accountant
        self.delta = delta
        epsilon = Figures.rounded(answer.upper, .up)
        basis = answer.basis
        // The plan's δ replaces its rounded twin, so that one δ has one ε.
        let shown = Figures.rounded(delta)
        let deltas = Set(Self.standardDeltas.filter { $0 != shown } + [delta]).sorted(by: >)
        lines = AccountantKind.allCases.map { Self.line(of: tally, $0, deltas: deltas) }
        curve = try Self.curve(of: tally, accountant)
        let profile = PrivacyProfile(of: tally, by: accountant.accountant)
        bestTests = [
            BestTest(rate: 0.01, bound: try profile.testPower(falseAlarm: 0.01)),
            BestTest(rate: 0.1, bound: try profile.testPower(falseAlarm: 0.1)),
        ]
        groups = [2, 5].map { Self.group(of: tally, accountant, delta: delta, size: $0) }
    }

    private static func line(of tally: EventTally, _ kind: AccountantKind, deltas: [Double]) -> Line {
        var epsilons: [(delta: Double, epsilon: Double)] = []
        var basis = BoundBasis.published
        do {
            for delta in deltas {
                let answer = try kind.accountant.epsilon(of: tally, delta: delta)
                basis = max(basis, answer.basis)
                epsilons.append((delta, Figures.rounded(answer.upper, .up)))
            }
            return Line(accountant: kind, basis: basis, epsilons: epsilons, refusal: nil)
        } catch {
            return Line(accountant: kind, basis: nil, epsilons: [], refusal: "\(error)")
        }
    }

    /// δ(ε) from ε = 0 to where δ falls below 1e-12, in even steps.
    private static func curve(
        of tally: EventTally, _ kind: AccountantKind
    ) throws(AccountingError) -> [(epsilon: Double, delta: Double)] {
        let last = try kind.accountant.epsilon(of: tally, delta: 1e-12).upper
        guard last > 0 else { return [(0, 0)] }
        // Steps of a round size, so that the table under the plot has short numbers.
        let step = Figures.rounded(last / 80, digits: 1, .up)
        var points: [(epsilon: Double, delta: Double)] = []
        var index = 0
        while Double(index - 1) * step < last {
            let epsilon = Figures.rounded(Double(index) * step)
            let answer = try kind.accountant.delta(of: tally, epsilon: epsilon)
            points.append((epsilon, min(1, Figures.rounded(answer.upper, .up))))
            index += 1
        }
        return points
    }

    /// The guarantee for `size` units that belong together.
    ///
    /// Without sampling, `size` contributions shift the sum by at most `size` times the sensitivity.
    /// With sampling, the general rule: if one unit is (ε', δ')-DP, then k units are
    /// (kε', δ'·(e^{kε'} − 1)/(e^{ε'} − 1))-DP; the largest δ' that fits is searched for.
    private static func group(
        of tally: EventTally, _ kind: AccountantKind, delta: Double, size: Int
    ) -> Group {
        if let scaled = try? tally.scaled(toGroupOf: size),
            let answer = try? kind.accountant.epsilon(of: scaled, delta: delta)
        {
            return Group(size: size, epsilon: presentable(answer.upper))
        }
        var single = delta
        for _ in 0..<160 {
            guard single >= deltaMin,
                let epsilon = try? kind.accountant.epsilon(of: tally, delta: single).upper
            else { break }
            let factor = expm1(Double(size) * epsilon) / expm1(max(epsilon, 1e-12))
            if single * factor <= delta {
                return Group(size: size, epsilon: presentable(Double(size) * epsilon))
            }
            single /= 2
        }
        return Group(size: size, epsilon: nil)
    }

    private static func presentable(_ epsilon: Double) -> Double? {
        epsilon < 1000 ? Figures.rounded(epsilon, .up) : nil
    }
}

extension EventTally {
    /// This history as `size` units see it whose contributions change together; throws for
    /// mechanisms whose sensitivity does not simply scale.
    fileprivate func scaled(toGroupOf size: Int) throws(AccountingError) -> EventTally {
        var scaled = EventTally(unit: unit, adjacency: adjacency)
        let square = BigInteger(size * size)
        for entry in entries {
            let kind: PrivacyEvent.Kind
            switch entry.kind {
            case .discreteGaussianSum(let delta2Squared, let sigmaLocalSquared, let shares, let dimension):
                kind = .discreteGaussianSum(
                    delta2Squared: delta2Squared * square, sigmaLocalSquared: sigmaLocalSquared,
                    honestShares: shares, dimension: dimension)
            case .skellamSum(let delta2Squared, let variance, let dimension):
                kind = .skellamSum(
                    delta2Squared: delta2Squared * square, variance: variance, dimension: dimension)
            case .discreteGaussian(let delta2Squared, let sigmaSquared):
                kind = .discreteGaussian(delta2Squared: delta2Squared * square, sigmaSquared: sigmaSquared)
            case .gaussian(let multiplier):
                kind = .gaussian(noiseMultiplier: multiplier / Rational(size))
            default:
                throw .unsupportedEvent("\(entry.kind)", accountant: "group", "no scaling rule")
            }
            try scaled.add(
                PrivacyEvent(unit: unit, adjacency: adjacency, kind: kind), count: entry.count)
        }
        return scaled
    }
}
