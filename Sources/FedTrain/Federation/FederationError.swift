/// Why a federation cannot start: conditions that only appear when configuration and data meet.
public enum FederationError: Error, Equatable, Sendable {
    /// ε spent by earlier runs, and the workspace's budget.
    case budgetSpent(spent: String, budget: String)
    case tooFewClients(found: Int, needed: Int)
    case noFilesMatch(String)
    /// More records than the plan's public constant allows.
    case tooManyRecords(client: String, found: Int, allowed: Int)
    /// A server that does not hold its clients' data needs public constants in its place.
    case noNetworkSection
    /// The base model here is not the one that the plan names.
    case baseModelDiffers(directory: String)
    /// Data of a built-in site was asked for, but the federation does not use built-in data.
    case noSuchSite(String)
    /// A client's file, and why each of its records was left out.
    case noUsableRecords(client: String, summary: String)
    case notARun(String)
    /// An earlier run of the workspace had another unit of privacy or another δ.
    case budgetIncomparable(run: String)
    /// The planned rounds would cost more than the budget; how many rounds fit.
    case overBudget(planned: String, budget: String, affordable: Int)
    /// A file is both trained on and held out.
    case heldOutIsTraining(String)
    /// A run's configuration file does not lead to the event that its ledger charged.
    case otherPlan(run: String)
    /// A configuration without protection, where one with it is needed.
    case inClear
    /// Emulators are plugged into the full model as LoRA only.
    case emulatorNeedsLoRA(kind: String)
    /// `training.share` names no tensor of the adapter, or all of them.
    case nothingShared(patterns: [String], all: Bool, examples: [String])
    /// This site's own program cannot train under the federation's terms.
    case trainerHasNoUse(reason: String)
    /// Two files would be one client.
    case duplicateClient(name: String, file: String)
}
