import DP
import FedTrain
import Foundation
import Models
import SecureAgg

extension CommandFailure {
    /// Every error that can reach the command line, with its exit code.
    init(describing error: any Error) {
        switch error {
        case let failure as CommandFailure:
            self = failure
        case let error as CheckpointError:
            self.init(checkpoint: error)
        case let error as RecordFileError:
            self.init(
                error.isMissing ? .missingInput : .badInput, error.reason,
                at: error.file + (error.line.map { ":\($0)" } ?? ""),
                privacy: "nothing was trained or spent", hint: error.hint)
        case let error as ConfigurationError:
            self.init(.configuration, error.message, hint: error.suggestion)
        case let error as EngineError:
            self.init(.badInput, "\(error)", privacy: "nothing left this process")
        case let error as PlanError:
            self.init(
                .configuration, "\(error)", privacy: "nothing was trained or spent",
                hint: "change the named value in federation.yaml, then: fedtrain plan")
        case let error as ParameterError:
            self.init(
                .configuration, "\(error)", privacy: "nothing was trained or spent",
                hint: "change rounds or secagg in federation.yaml, then: fedtrain plan")
        case let error as AccountingError:
            self.init(.configuration, "\(error)", privacy: "nothing was trained or spent")
        case let error as LedgerError:
            self.init(ledger: error)
        case let error as WorkspaceInUse:
            self.init(
                .state,
                (error.process.map { "process \($0)" } ?? "another process") + " works in this workspace",
                at: error.workspace, privacy: "nothing was spent by this command",
                hint: error.process.map { "wait for it, or end it after its round: kill -INT \($0)" }
                    ?? "wait for it")
        case let error as AggregationFault:
            self.init(
                .peer, "\(error)", at: "stage \(error.stage.name)", privacy: "no sum was opened")
        case let error as FederationError:
            self.init(federation: error)
        case let error as PlanSolutionError:
            self.init(solution: error)
        case let error as OffsiteError:
            self.init(offsite: error)
        case let error as StudyDataError:
            self.init(studyData: error)
        case let error as StudyError:
            self.init(study: error)
        case let error as RecordSplitError:
            self.init(.badInput, "\(error)", privacy: "nothing was written")
        case let error as ClientSplitError:
            self.init(
                .badInput, "\(error)", privacy: "nothing was written",
                hint: "fewer clients, more records, or another split")
        default:
            if let failure = CommandFailure(network: error) {
                self = failure
                return
            }
            self.init(
                .internalError, "unexpected: \(error)",
                hint: "please report this with the command you ran")
        }
    }

    private init(offsite error: OffsiteError) {
        switch error {
        case .recipe: self.init(.usage, "\(error)", hint: "fedtrain emulator make --help")
        case .noPublicText: self.init(.badInput, "\(error)", privacy: "nothing was written")
        case .malformed, .mismatch:
            self.init(
                .badInput, "\(error)", privacy: "nothing was plugged in or written",
                hint: "give the model, emulator and owner's record that belong together")
        }
    }

    private init(checkpoint error: CheckpointError) {
        let status: ExitStatus =
            switch error.kind {
            case .missingFile: .missingInput
            case .unreadable, .malformed, .unsupported, .mismatch: .badInput
            case .cannotWrite: .inputOutput
            }
        self.init(
            status, error.reason, at: error.file, privacy: "nothing was trained or spent",
            hint: error.hint.isEmpty ? nil : error.hint)
        if error.kind == .cannotWrite {
            privacy = "the file that was there before, if any, is unchanged"
        }
    }

    private init(ledger error: LedgerError) {
        switch error {
        case .malformedLine, .badSignature, .brokenChain, .wrongKey, .wrongHead, .ruleBroken, .empty,
            .tornTail, .truncated, .acknowledgementUnreadable:
            self.init(
                .verification, "\(error)",
                privacy: "what was spent is not known for certain until the ledger verifies",
                hint: "restore the ledger from a copy; then: fedtrain audit RUN")
        case .budgetExceeded, .participationLimit, .participationGap:
            self.init(
                .budget, "\(error)", privacy: "nothing more was spent",
                hint: "see what is spent: fedtrain report RUN")
        case .refused, .accounting, .alreadyExists, .inUse, .writerStopped:
            self.init(.state, "\(error)", privacy: "nothing was spent by this command")
        case .storage:
            self.init(
                .inputOutput, "\(error)", privacy: "no round ran without a durable ledger entry",
                hint: "free some space, then run the same command again")
        }
    }

    private init(solution error: PlanSolutionError) {
        let privacy = "nothing was trained or spent"
        switch error {
        case .noiseFollowsRounds:
            self.init(
                .configuration,
                "the file's noise follows from privacy.epsilon, so any number of rounds would fit",
                privacy: privacy, hint: "add --set privacy.noiseMultiplier=Z, or solve for noise")
        case .oneRoundTooMuch(let epsilon, let target):
            self.init(
                .budget,
                "one round alone costs ε = \(decimal(epsilon, 4)), the target is ε = \(decimal(target, 4))",
                privacy: privacy, hint: "a larger privacy.noiseMultiplier, or --solve noise")
        case .cohortTooLarge(let limit, let target):
            self.init(
                .budget,
                "even \(limit) survivors stay above ε = \(decimal(target, 4)) at this noise per client",
                privacy: privacy, hint: "fewer rounds, or --solve noise")
        }
    }

    private init(federation error: FederationError) {
        switch error {
        case .budgetSpent(let spent, let budget):
            self.init(
                .budget,
                "earlier runs of this workspace spent ε = \(spent) of its budget ε = \(budget)",
                privacy: "nothing more was spent",
                hint: "raise privacy.epsilon, or use a new workspace for other people's data")
        case .tooFewClients(let found, let needed):
            self.init(
                .configuration,
                "there are \(found) clients with usable records, but at least \(needed) are needed",
                privacy: "nothing was trained or spent",
                hint: "lower rounds.minSurvivors (not below 3) or add clients")
        case .noFilesMatch(let pattern):
            self.init(
                .missingInput, "no file matches", at: pattern, privacy: "nothing was trained or spent",
                hint: "check data.clients and data.heldOut in federation.yaml")
        case .tooManyRecords(let client, let found, let allowed):
            self.init(
                .configuration,
                "it has \(found) records; the plan's public constant allows \(allowed)", at: client,
                privacy: "nothing was trained or spent",
                hint: "leave some records out, or ask the operator to raise network.recordsPerClient")
        case .noNetworkSection:
            self.init(
                .configuration,
                "the server does not hold its clients' files, so the plan needs a `network` section with "
                    + "`clients` and `recordsPerClient`",
                privacy: "nothing was trained or spent",
                hint: "add it to federation.yaml, then: fedtrain serve")
        case .baseModelDiffers(let directory):
            self.init(
                .verification, "this is not the base model that the federation's plan names", at: directory,
                privacy: "nothing was trained or spent", hint: "get the operator's model: --base DIR")
        case .trainerHasNoUse(let reason):
            self.init(
                .usage, "this federation has no use for --trainer: \(reason)",
                privacy: "nothing was trained or spent", hint: "fedtrain join without --trainer")
        case .noSuchSite(let name):
            self.init(
                .usage, "the federation has no built-in site `\(name)`",
                hint: "give the site's own records: --data FILE.jsonl")
        case .noUsableRecords(let client, let summary):
            self.init(
                .badInput, "none of its records can be trained on: \(summary)", at: client,
                privacy: "nothing was trained or spent",
                hint: "raise data.tokensMax, or set data.overlong to truncate")
        case .budgetIncomparable(let run):
            self.init(
                .state,
                "this run had another unit of privacy or another δ, so its cost does not add to the budget",
                at: run, privacy: "nothing was spent by this command",
                hint: "use a new workspace for other terms on other people's data")
        case .overBudget(let planned, let budget, let affordable):
            self.init(
                .budget, "the planned rounds would cost ε = \(planned), the budget is ε = \(budget)",
                privacy: "nothing was trained or spent",
                hint: affordable > 0
                    ? "--set rounds.count=\(affordable), or more noise"
                    : "set a larger privacy.noiseMultiplier")
        case .heldOutIsTraining(let file):
            self.init(
                .configuration, "this file is held out and trained on: its score would be an unpaid release",
                at: file, privacy: "nothing was trained or spent",
                hint: "take it out of data.clients or data.heldOut")
        case .inClear:
            self.init(
                .configuration, "privacy.unit is none: this command works with masks and noise only",
                privacy: "nothing was trained or spent",
                hint: "set privacy.unit to client or record; only fedtrain simulate runs in clear")
        case .emulatorNeedsLoRA(let kind):
            self.init(
                .configuration,
                "model.base is an emulator, whose owner plugs in adapters of kind lora, not \(kind)",
                privacy: "nothing was trained or spent", hint: "set model.adapter.kind to lora")
        case .nothingShared(let patterns, let all, let examples):
            self.init(
                .configuration,
                "training.share (\(patterns.joined(separator: ", "))) names "
                    + (all
                        ? "every tensor of the adapter: none would stay private"
                        : "no tensor of the adapter"),
                privacy: "nothing was trained or spent",
                hint:
                    "tensors are named like \(examples.joined(separator: ", ")); * stands for any run of characters"
            )
        case .duplicateClient(let name, let file):
            self.init(
                .configuration, "a second file would be the client `\(name)`", at: file,
                privacy: "nothing was trained or spent",
                hint: "give each client's file a name of its own up to the first dot")
        case .otherPlan(let run):
            self.init(
                .verification,
                "its configuration.json does not lead to the mechanism that its ledger charged", at: run,
                privacy: "nothing was spent", hint: "fedtrain audit \(run) names the files that were changed")
        case .notARun(let path):
            self.init(
                .missingInput, "this is no run directory: it has no ledger.jsonl", at: path,
                hint: "give the directory of a run, such as runs/0001")
        }
    }
}
