import DP
import Foundation
import GMP
import Models
import Sodium

/// What earlier runs of a workspace have spent on the same people.
///
/// Runs may differ in mechanism, so their costs are added by basic composition: k runs that are
/// (ε_i, δ)-DP are together (Σε_i, kδ)-DP. That is coarse and always valid for one unit and one δ; runs
/// with another are refused, since their costs do not add.
public struct PriorSpending: Sendable, Equatable {
    public let runs: Int
    /// Σε_i, each rounded up.
    public let epsilon: Rational

    public static let none = PriorSpending(runs: 0, epsilon: 0)

    package init(runs: Int, epsilon: Rational) {
        self.runs = runs
        self.epsilon = epsilon
    }

    /// Reads the ledgers of all runs so far.
    ///
    /// - Parameters:
    ///   - privacy: the terms of the run that is to come.
    ///   - current: a run that is not over and does not count as an earlier one.
    /// - Throws: `LedgerError` when a ledger is missing, unreadable, cut back or altered: then nobody knows
    ///   what was spent. `FederationError.budgetIncomparable` when a run had another unit or δ.
    public init(
        of workspace: Workspace, privacy: FederationConfiguration.Privacy, except current: RunDirectory? = nil
    ) throws {
        let key = try? ServerKeyFile.load(in: workspace).verifyingKey
        var runs = 0
        var epsilon = Rational(0)
        for run in workspace.runs() where run != current {
            guard let ledger = try Self.ledger(of: run, expecting: key), ledger.participations > 0 else {
                continue
            }
            guard ledger.plan.event.unit == privacy.unit, ledger.plan.delta == privacy.delta else {
                throw FederationError.budgetIncomparable(run: run.path)
            }
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

    /// A run's ledger, held against its acknowledgement; nil for a run that never started.
    static func ledger(of run: RunDirectory, expecting key: VerifyingKey?) throws -> Ledger? {
        let files = FileManager.default
        let acknowledged = files.contents(atPath: run.ledger + ".ack")
        guard let log = files.contents(atPath: run.ledger) else {
            guard acknowledged == nil, !files.fileExists(atPath: run.ledger) else {
                throw LedgerError.storage("\(run.ledger) is missing or cannot be read")
            }
            return nil
        }
        // An incomplete last line was never acted on (see `LedgerFile`).
        let complete = (log.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
        let lines = Array(log.prefix(complete))
        guard let acknowledged else {
            guard lines.isEmpty else {
                throw LedgerError.acknowledgementUnreadable("\(run.ledger).ack is missing")
            }
            return nil
        }
        guard let document = try? JSON.parse(Array(acknowledged)),
            let length = document["length"]?.string.flatMap({ Int($0) }), length >= 0,
            let head = document["head"]?.string.flatMap(Digest.init(hex:))
        else { throw LedgerError.acknowledgementUnreadable("\(run.ledger).ack is not readable") }
        guard length <= lines.count else {
            throw LedgerError.truncated(acknowledged: length, found: log.count)
        }
        _ = try Ledger.verify(Array(lines[..<length]), expecting: key, head: head)
        return try Ledger.verify(lines, expecting: key)
    }

    /// The next multiple of 10^-6, so that the ledger carries a short exact number.
    static func roundedUp(_ epsilon: Double) -> Rational {
        Rational(BigInteger(Int((epsilon * 1e6).rounded(.up))), 1_000_000)
    }
}
