import DP
import Models

/// Which algorithm may be combined with what, and why the rest may not: the only place that decides.
/// `docs/algorithms.md` shows the same table, and a test compares the two.
public enum Compatibility {
    /// What protects the clients of a run.
    public enum Protection: String, Sendable, CaseIterable {
        /// Masks, noise and a claim about everything that a client holds.
        case client
        /// Masks, noise and a claim about single records.
        case record
        /// Nothing.
        case inClear = "none"

        init(_ privacy: FederationConfiguration.Privacy) {
            self = privacy.isInClear ? .inClear : privacy.unit == .client ? .client : .record
        }
    }

    /// Why a configuration is refused: the key to blame, and what to do.
    public struct Refusal: Sendable, Equatable {
        /// In the section `training`, or `unit` in `privacy`.
        let key: String
        public let reason: String
        let suggestion: String
    }

    typealias Training = FederationConfiguration.Training

    // MARK: The table

    /// Why an algorithm cannot run under a protection; nil when it can.
    public static func obstacle(
        _ algorithm: FederationConfiguration.Algorithm, _ protection: Protection
    ) -> String? {
        switch (algorithm, protection) {
        case (_, .inClear): nil
        case (.dpFedSGD, .client):
            "clips single records, while unit client claims something about a client's whole update"
        case (_, .client): nil
        case (.dpFedSGD, .record), (.ditto, .record): nil
        case (.fedAvg, .record), (.fedProx, .record):
            "takes local steps: every record of a client shapes where the next one's gradient is taken, so "
                + "no bound on one record's gradient bounds what one record changes"
        case (.pFedMe, .record):
            "sends where a client's own problem was solved: all its records are in that one vector"
        case (.fedRep, .record), (.partial, .record):
            "trains its private tensors on all records, and the gradient of each record is taken behind "
                + "them: one record would move all the others' gradients"
        case (.fedKSeed, .record):
            "takes local steps, and K forward passes for each record instead would cost more than gradients"
        }
    }

    /// Why contributions cannot be combined in a way; nil when they can.
    public static func obstacle(
        _ combination: FederationConfiguration.Combination, _ protection: Protection
    ) -> String? {
        switch (combination, protection) {
        case (.mean, _), (.weighted, .inClear), (.median, .inClear): nil
        case (.weighted, _):
            "weights by numbers of records: those are private, and a weight without a bound is a "
                + "contribution without one"
        case (.median, _):
            "needs every client's own update in each coordinate, and masks open nothing but the sum"
        case (.krum, .inClear): "publishes one client's update as it is; it is not offered in any run"
        case (.krum, _):
            "compares single updates and publishes one of them, and masks open nothing but the sum"
        }
    }

    /// Why an algorithm cannot train by an aggregation rule; nil when it can.
    public static func obstacle(
        _ algorithm: FederationConfiguration.Algorithm, _ rule: FederationConfiguration.AggregationRule
    ) -> String? {
        guard rule == .roLoRA else { return nil }
        if algorithm.isPersonal {
            return "keeps numbers at the client, which would belong to another factor in every other round"
        }
        if algorithm == .fedKSeed {
            return "keeps its directions over all rounds, while rolora changes what is trained"
        }
        return nil
    }

    /// Why an adapter cannot be averaged by a rule; nil when it can.
    public static func obstacle(
        _ adapter: AdapterConfiguration, _ rule: FederationConfiguration.AggregationRule
    ) -> String? {
        switch (adapter, rule) {
        case (.lora, .ffa), (.lora, .roLoRA), (.lora, .fedIT), (.inserted, .all): nil
        case (.lora, .all): "means both factors for LoRA, which is called fedit and is inexact"
        case (.inserted, _):
            "needs the two factors of LoRA, and an adapter of kind \(adapter.kind) has none"
        }
    }

    /// The first two tables as `docs/algorithms.md` shows them, a line for each row.
    package static var table: String {
        func row(_ name: String, _ obstacle: (Protection) -> String?) -> String {
            let cells = Protection.allCases.map { protection in
                obstacle(protection).map { "no: \($0)" } ?? "yes"
            }
            return "| `\(name)` | \(cells.joined(separator: " | ")) |"
        }
        let algorithms = FederationConfiguration.Algorithm.allCases.map { algorithm in
            row(algorithm.rawValue) { obstacle(algorithm, $0) }
        }
        let combinations = FederationConfiguration.Combination.allCases.map { combination in
            row(combination.rawValue) { obstacle(combination, $0) }
        }
        return (algorithms + combinations).joined(separator: "\n")
    }

    // MARK: A configuration

    /// The first obstacle that a configuration meets; nil for one that may run.
    static func refusal(of configuration: FederationConfiguration) -> Refusal? {
        let training = configuration.training
        let protection = Protection(configuration.privacy)
        let unit = "privacy.unit \(protection.rawValue)"
        if let reason = obstacle(training.algorithm, protection) {
            let other = Protection.allCases.first { obstacle(training.algorithm, $0) == nil }!
            return Refusal(
                key: "unit",
                reason: "is `\(protection.rawValue)`, but training.algorithm \(training.algorithm.rawValue) "
                    + reason,
                suggestion: "set privacy.unit to \(other.rawValue), or training.algorithm to "
                    + (protection == .record ? "dp-fedsgd or ditto" : "fedavg"))
        }
        if let reason = obstacle(training.combination, protection) {
            return Refusal(
                key: "combine", reason: "is `\(training.combination.rawValue)`, which \(reason) (\(unit))",
                suggestion: "set training.combine to mean")
        }
        if let reason = obstacle(configuration.model.adapter, training.rule) {
            var rules = "all"
            if case .lora = configuration.model.adapter { rules = "ffa, rolora or fedit" }
            return Refusal(
                key: "aggregation", reason: "is `\(training.rule.rawValue)`, which \(reason)",
                suggestion: "set training.aggregation to \(rules), or leave it out")
        }
        if let reason = obstacle(training.algorithm, training.rule) {
            return Refusal(
                key: "aggregation",
                reason: "is `rolora`, but training.algorithm \(training.algorithm.rawValue) \(reason)",
                suggestion: "set training.aggregation to ffa or fedit")
        }
        if training.algorithm == .fedKSeed, configuration.model.startDirectory != nil {
            return Refusal(
                key: "algorithm",
                reason:
                    "is `fedkseed`, whose clients make the start from the plan, and model.start names another",
                suggestion: "remove model.start, or set training.algorithm to fedavg")
        }
        if training.scope != .federated, protection != .inClear {
            return Refusal(
                key: "scope",
                reason: "is `\(training.scope.rawValue)`: a yardstick where nothing is aggregated, so that "
                    + "neither masks nor noise of a sum protect anyone (\(unit))",
                suggestion: "set privacy.unit to none for data that nobody needs to be protected from")
        }
        if training.scope != .federated, training.algorithm.isPersonal {
            return Refusal(
                key: "scope",
                reason: "is `\(training.scope.rawValue)`, where nobody has both shared and own numbers",
                suggestion: "set training.algorithm to fedavg or dp-fedsgd")
        }
        if training.algorithm.sharesPart, training.share.isEmpty {
            return Refusal(
                key: "share",
                reason: "is missing: training.algorithm \(training.algorithm.rawValue) keeps some tensors "
                    + "private and must be told which ones travel",
                suggestion: "for LoRA's A, say: training.share: \"*.A\" with training.aggregation fedit")
        }
        if !training.algorithm.sharesPart, !training.share.isEmpty {
            return Refusal(
                key: "share",
                reason: "names tensors that travel, but training.algorithm \(training.algorithm.rawValue) "
                    + "sends all that it trains: what should stay private would leave",
                suggestion: "set training.algorithm to fedrep or partial, or remove training.share")
        }
        return nil
    }
}
