import DP
import FedTrain
import Foundation
import GMP
import Testing

/// Runs of one workspace share one budget.
@Suite struct PriorSpendingTests {
    private func privacy() throws -> FederationConfiguration.Privacy {
        let values = [
            ("schema", "fedtrain/1"), ("name", "t"), ("rounds.count", "3"), ("rounds.minSurvivors", "6"),
            ("privacy.unit", "record"),
        ]
        let node = try values.reduce(ConfigurationNode(.map([]), at: nil)) {
            try $0.setting(path: $1.0, to: ConfigurationNode(.scalar($1.1), at: nil))
        }
        return try FederationConfiguration(reading: node).privacy
    }

    @Test func anEmptyWorkspaceHasSpentNothing() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        #expect(try PriorSpending(of: Workspace(root: root), privacy: privacy()) == .none)
    }

    @Test func aDamagedLedgerOfAnEarlierRunIsRefused() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        let workspace = Workspace(root: root)
        let run = try workspace.makeRun()
        try Data("{\"not\":\"a ledger\"}\n".utf8).write(to: URL(fileURLWithPath: run.ledger))
        #expect(throws: LedgerError.self) { try PriorSpending(of: workspace, privacy: privacy()) }
    }

    @Test func aLedgerThatIsGoneIsRefusedWhileItsAcknowledgementIsThere() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        let workspace = Workspace(root: root)
        let run = try workspace.makeRun()
        // A run that was never started has neither file and costs nothing.
        #expect(try PriorSpending(of: workspace, privacy: privacy()) == .none)
        try Data("{}".utf8).write(to: URL(fileURLWithPath: run.ledger + ".ack"))
        #expect(throws: LedgerError.self) { try PriorSpending(of: workspace, privacy: privacy()) }
    }

    @Test func aWorkspaceServesOneProcessAtATime() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        let lock = try WorkspaceLock(Workspace(root: root))
        #expect(throws: WorkspaceInUse.self) { try WorkspaceLock(Workspace(root: root)) }
        withExtendedLifetime(lock) {}
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
