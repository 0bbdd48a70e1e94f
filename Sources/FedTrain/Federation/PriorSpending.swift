import DP
import Foundation
import GMP

/// What earlier runs of a workspace have spent on the same people.
///
/// Runs may differ in mechanism, so their costs are added by basic composition: k runs that are
/// (ε_i, δ)-DP are together (Σε_i, kδ)-DP. That is coarse and always valid.
public struct PriorSpending: Sendable, Equatable {
    public let runs: Int
    /// Σε_i, each rounded up.
    public let epsilon: Rational

    public static let none = PriorSpending(runs: 0, epsilon: 0)

    init(runs: Int, epsilon: Rational) {
        self.runs = runs
        self.epsilon = epsilon
    }

    /// Reads the ledgers of all runs so far.
    /// - Throws: `LedgerError` when one of them does not verify: then nobody knows what was spent.
    public init(of workspace: Workspace) throws {
        var runs = 0
        var epsilon = Rational(0)
        for run in workspace.runs() {
            guard let data = FileManager.default.contents(atPath: run.ledger) else { continue }
            let ledger = try Ledger.verify(Array(data))
            guard ledger.participations > 0 else { continue }
            runs += 1
            epsilon = epsilon + Self.roundedUp(try ledger.budget.epsilonSpent().upper)
        }
        self.init(runs: runs, epsilon: epsilon)
    }

    /// What is left of a budget, or nil when less than a twentieth is: too little to train with.
    public func remaining(of budget: Rational) -> Rational? {
        let left = budget - epsilon
        return left * 20 >= budget ? left : nil
    }

    /// The next multiple of 10^-6, so that the ledger carries a short exact number.
    private static func roundedUp(_ epsilon: Double) -> Rational {
        Rational(BigInteger(Int((epsilon * 1e6).rounded(.up))), 1_000_000)
    }
}
