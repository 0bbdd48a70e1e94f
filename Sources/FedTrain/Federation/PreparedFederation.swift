import DP
import GMP
import Models
import Sodium

/// A federation ready to be priced or run: base, data and plan, loaded and checked, nothing spent.
///
/// `plan` and `simulate` prepare in exactly the same way, which is why their figures agree.
public struct PreparedFederation: Sendable {
    public let configuration: FederationConfiguration
    public let base: BaseModel
    public let data: FederationData
    package let shared: SharedVector
    public let plan: RoundPlan
    public let prior: PriorSpending
    public let randomness: RunRandomness
    public let prediction: RunPrediction

    /// - Parameters:
    ///   - workspace: whose earlier runs share the budget.
    ///   - randomness: seeded runs replay bit for bit.
    /// - Throws: `FederationError.budgetSpent` when earlier runs left too little.
    public init(
        _ configuration: FederationConfiguration, workspace: Workspace, randomness: RunRandomness
    ) throws {
        try self.init(
            configuration, prior: try PriorSpending(of: workspace, privacy: configuration.privacy),
            randomness: randomness, holdsClientFiles: true)
    }

    /// - Parameter holdsClientFiles: false for a server, to which its clients' files are not known.
    package init(
        _ configuration: FederationConfiguration, prior: PriorSpending, randomness: RunRandomness,
        holdsClientFiles: Bool
    ) throws {
        guard !configuration.privacy.isInClear else { throw FederationError.inClear }
        var configuration = try configuration.after(prior)
        self.prior = prior
        if !holdsClientFiles, case .files = configuration.data.clients,
            configuration.network?.clients == nil || configuration.network?.recordsPerClient == nil
        {
            throw FederationError.noNetworkSection
        }
        base = try BaseModel.load(
            directory: try configuration.model.baseDirectory ?? BuiltInModel.directory(),
            store: configuration.model.store)
        configuration = try configuration.settled(on: base)
        data = try FederationData(
            configuration, base: base, seed: Self.dataSeed(randomness),
            holdsClientFiles: holdsClientFiles)
        shared = try SharedVector(configuration, base: base.model.configuration)
        plan = try RoundPlan(
            configuration, dimension: shared.dimension, recordCounts: data.recordCounts,
            baseDigest: base.digest)
        self.configuration = configuration
        self.randomness = randomness
        prediction = try RunPrediction(
            plan: plan, base: base, data: data,
            adapterCount: shared.adapter.count(base: base.model.configuration))
    }

    /// What the first round starts from.
    package var initialModel: GlobalModel {
        GlobalModel(
            configuration, shared: shared, plan: plan.digest, generator: randomness.generator("adapter"))
    }

    /// Refuses rounds that the budget does not reach, before anything is trained or spent.
    public func requireBudget() throws {
        let planned = try plan.epsilon(rounds: plan.rounds)
        let budget = plan.epsilonMax.asDouble
        guard planned > budget else { return }
        // ε rises with the rounds: bisect for the most that fit.
        var affordable = 0
        var tooMany = plan.rounds
        while tooMany - affordable > 1 {
            let middle = affordable + (tooMany - affordable) / 2
            if try plan.epsilon(rounds: middle) <= budget { affordable = middle } else { tooMany = middle }
        }
        throw FederationError.overBudget(
            planned: "\(planned)", budget: "\(budget)", affordable: affordable)
    }

    /// The file's terms changed in one place so that the run costs at most `epsilon`.
    ///
    /// - Parameter epsilon: nil for what is left of the workspace's budget.
    public func solution(for unknown: PlanUnknown, epsilon: Rational?) throws -> PlanSolution {
        try PlanSolution(
            unknown, epsilon: epsilon ?? configuration.privacy.epsilonMax, configuration,
            dimension: shared.dimension, recordCounts: data.sites.map(\.examples.count),
            baseDigest: base.digest)
    }

    /// Generated data follows the run's seed; a run without one gets the recipe's default notes.
    package static func dataSeed(_ randomness: RunRandomness) -> UInt64 {
        if case .seeded(let seed) = randomness { seed } else { 1 }
    }
}

extension FederationConfiguration {
    /// The configuration with what follows from the base model: which blocks carry an adapter, and the
    /// adapter that the run starts from.
    package func settled(on base: BaseModel) throws -> FederationConfiguration {
        var configuration = self
        // On an emulator only the adapter blocks are trained: the middle stands for blocks that a site
        // never has.
        if let notice = try EmulatorNotice.read(
            directory: base.directory, layers: base.model.configuration.layerCount)
        {
            guard case .lora(let lora) = configuration.model.adapter else {
                throw FederationError.emulatorNeedsLoRA(kind: configuration.model.adapter.kind)
            }
            configuration.model.adapter = .lora(lora.on(layers: notice.adapterBlocks))
        }
        if let directory = configuration.model.startDirectory {
            let start = try PeftAdapter.readAny(directory, base: base.model.configuration)
            guard start.configuration == configuration.model.adapter else {
                throw CheckpointError(
                    .mismatch, file: directory,
                    "this adapter's kind, size, targets or blocks are not those of model.adapter",
                    hint: "Give model.adapter the values in \(directory)/adapter_config.json")
            }
            configuration.model.start = start
        }
        return configuration
    }

    /// The terms that are left after earlier runs on the same people: their ε is taken off the budget.
    package func after(_ prior: PriorSpending) throws -> FederationConfiguration {
        guard prior.runs > 0 else { return self }
        let budget = privacy.epsilonMax
        guard let remaining = prior.remaining(of: budget) else {
            throw FederationError.budgetSpent(spent: printed(prior.epsilon), budget: printed(budget))
        }
        var configuration = self
        configuration.privacy.epsilonMax = remaining
        if case .forEpsilon = configuration.privacy.noise {
            configuration.privacy.noise = .forEpsilon(remaining)
        }
        return configuration
    }
}

/// An exact number to four decimals, for messages.
package func printed(_ value: Rational) -> String {
    let scaled = (value * Rational(10_000)).ceiling
    let text = "\(scaled)"
    let padded = String(repeating: "0", count: max(0, 5 - text.count)) + text
    let split = padded.index(padded.endIndex, offsetBy: -4)
    return "\(padded[..<split]).\(padded[split...])"
}
