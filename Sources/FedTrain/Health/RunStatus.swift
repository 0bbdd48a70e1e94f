import DP
import Foundation
import Sodium

/// Where a run stands, from its ledger.
public struct RunStatus: Sendable {
    public enum State: String, Sendable {
        case finished
        /// Its ledger was never closed.
        case unfinished
        /// It has no ledger: nothing was spent.
        case neverStarted = "never-started"
        /// Its ledger does not verify.
        case unreadable
    }

    public let run: RunDirectory
    public let state: State
    /// The last round that was paid for; 0 for none.
    public let lastRound: Int
    public let roundsPlanned: Int
    public let roundsReleased: Int
    /// ε charged, and the run's budget, at `delta`; nil when the ledger does not say.
    public let epsilon: Double?
    public let epsilonBudget: Double?
    public let delta: Double?
    public let unit: PrivacyUnit?
    /// Why the ledger cannot be read.
    public let problem: String?

    /// Reads a run's ledger; a damaged one is a status, not an error.
    public init(_ run: RunDirectory, key: VerifyingKey?) {
        do {
            guard let ledger = try PriorSpending.ledger(of: run, expecting: key) else {
                self.init(run, .neverStarted, nil, problem: nil)
                return
            }
            self.init(run, ledger.isClosed ? .finished : .unfinished, ledger, problem: nil)
        } catch {
            self.init(run, .unreadable, nil, problem: "\(error)")
        }
    }

    private init(_ run: RunDirectory, _ state: State, _ ledger: Ledger?, problem: String?) {
        self.run = run
        self.state = state
        self.problem = problem
        lastRound = ledger?.rounds.filter { $0.value.state != .abortedReturned }.keys.max() ?? 0
        roundsPlanned = ledger?.plan.roundsPlanned ?? 0
        roundsReleased = ledger?.rounds.values.count { $0.state == .released } ?? 0
        epsilon = ledger.flatMap { ledger in
            ledger.participations == 0 ? 0 : (try? ledger.budget.epsilonSpent().upper)
        }
        epsilonBudget = ledger.map { $0.plan.budgetEpsilon.asDouble }
        delta = ledger.map(\.budget.delta)
        unit = ledger?.plan.event.unit
    }

    /// The runs of a workspace, oldest first.
    public static func all(of workspace: Workspace) -> [RunStatus] {
        let key = try? ServerKeyFile.load(in: workspace).verifyingKey
        return workspace.runs().map { RunStatus($0, key: key) }
    }
}
