import DP
import FedTrain
import Foundation
import GMP
import Testing

/// Runs of one workspace share one budget.
@Suite struct PriorSpendingTests {
    @Test func anEmptyWorkspaceHasSpentNothing() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        #expect(try PriorSpending(of: Workspace(root: root)) == .none)
    }

    @Test func aDamagedLedgerOfAnEarlierRunIsRefused() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        let workspace = Workspace(root: root)
        let run = try workspace.makeRun()
        try Data("{\"not\":\"a ledger\"}\n".utf8).write(to: URL(fileURLWithPath: run.ledger))
        #expect(throws: LedgerError.self) { try PriorSpending(of: workspace) }
    }

    @Test func runNumbersRise() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        let workspace = Workspace(root: root)
        #expect(try workspace.makeRun().name == "0001")
        #expect(try workspace.makeRun().name == "0002")
        #expect(workspace.runs().map(\.name) == ["0001", "0002"])
        #expect(workspace.runs()[0].workspace.root == root)
    }
}
