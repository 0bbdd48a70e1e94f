import DP
import Foundation
import Models
import Sodium

/// A finished or unfinished run as the subject of an empirical audit: its plan made again from its own
/// files, and the outcome put on its record.
public struct AuditedRun {
    public let run: RunDirectory
    private let ledger: Ledger

    /// Reads and verifies the run's ledger.
    public init(_ run: RunDirectory) throws {
        guard let bytes = FileManager.default.contents(atPath: run.ledger) else {
            throw FederationError.notARun(run.path)
        }
        self.run = run
        ledger = try Ledger.verify(Array(bytes))
    }

    /// The run's plan, with room for canaries.
    ///
    /// - Parameter configuration: what `configuration.json` of the run says.
    /// - Throws: `FederationError.otherPlan` when it does not lead to the event that the ledger charged.
    public func plan(
        _ configuration: FederationConfiguration, request: EmpiricalAudit.Request
    ) throws -> RoundPlan {
        var configuration = configuration
        // What earlier runs had left over was this run's budget.
        configuration.privacy.epsilonMax = ledger.plan.budgetEpsilon
        if case .forEpsilon = configuration.privacy.noise {
            configuration.privacy.noise = .forEpsilon(ledger.plan.budgetEpsilon)
        }
        let plan = try EmpiricalAudit.plan(
            configuration, dimension: ledger.plan.dimension,
            recordCounts: [Int](repeating: 0, count: ledger.plan.clients),
            baseDigest: ledger.plan.baseModel, request: request)
        guard plan.event == ledger.plan.event, plan.delta == ledger.plan.delta else {
            throw FederationError.otherPlan(run: run.path)
        }
        return plan
    }

    /// Appends the outcome to the run's ledger and makes its report again.
    ///
    /// - Parameter key: the key that signed the ledger.
    public func record(_ outcome: AuditOutcome, key: SigningKey, clock: RunClock) throws {
        do {
            let file = try LedgerFile.open(try FileLedgerStorage(path: run.ledger), key: key)
            try file.audit(
                at: max(clock.epochSeconds(), file.ledger.records.last!.time), payload: outcome.payload)
        }
        try ReportFiles.write(run: run, key: key)
    }
}
