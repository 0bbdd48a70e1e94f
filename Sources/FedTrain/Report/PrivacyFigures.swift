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
    /// Everything together as μ-GDP, rounded up, with what it rests on; nil where no μ is known.
    let mu: (value: Double, basis: BoundBasis)?
    /// Everything together as ρ-zCDP, rounded up; nil where no ρ is known.
    let rho: Double?

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
        mu = (try? GDPAccountant().mu(of: tally)).map { (Figures.rounded($0.mu, .up), $0.basis) }
        rho = (try? ZCDPAccountant().rho(of: tally)).map { Figures.rounded($0, .up) }
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

    /// The guarantee for `size` units that belong together (`EventTally.forGroup`).
    private static func group(
        of tally: EventTally, _ kind: AccountantKind, delta: Double, size: Int
    ) -> Group {
        let answer = try? kind.accountant.epsilon(of: tally.forGroup(of: size), delta: delta)
        return Group(size: size, epsilon: answer.flatMap { presentable($0.upper) })
    }

    private static func presentable(_ epsilon: Double) -> Double? {
        epsilon < 1000 ? Figures.rounded(epsilon, .up) : nil
    }
}
