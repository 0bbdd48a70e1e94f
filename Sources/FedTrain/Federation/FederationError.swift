/// Why a federation cannot start: conditions that only appear when configuration and data meet.
public enum FederationError: Error, Equatable, Sendable {
    /// ε spent by earlier runs, and the workspace's budget.
    case budgetSpent(spent: String, budget: String)
    case tooFewClients(found: Int, needed: Int)
    case noFilesMatch(String)
    /// A client's file, and why each of its records was left out.
    case noUsableRecords(client: String, summary: String)
    case notARun(String)
}
