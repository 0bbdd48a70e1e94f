import ArgumentParser
import DP
import FedTrain
import Foundation
import Sodium

/// `fedtrain audit --empirical`: attack a plan's own rounds and compare what leaks with the claim.
struct EmpiricalAuditOptions: ParsableArguments {
    @Flag(help: "Attack the plan with made-up units instead of verifying files.")
    var empirical = false

    @Option(help: "Made-up units of each kind.")
    var canaries = 1000

    @Option(help: "1 − the chance of contradicting a true claim.")
    var confidence = 0.95

    @Option(
        name: .customLong("rounds"),
        help: "Rounds each canary may take part in; the plan's for records, one for clients, when not given.")
    var participations: Int?

    func validate() throws {
        guard (EmpiricalAudit.canariesMin...EmpiricalAudit.canariesMax).contains(canaries) else {
            throw ValidationError(
                "--canaries must be from \(EmpiricalAudit.canariesMin) to \(EmpiricalAudit.canariesMax)")
        }
        guard confidence >= 0.5, confidence < 1 else {
            throw ValidationError("--confidence must be from 0.5 to below 1, such as 0.95")
        }
    }

    func execute(
        _ path: String, _ console: Console, seed: UInt64?
    ) throws -> AuditCommand.RunPayload {
        var request = EmpiricalAudit.Request()
        request.canaries = canaries
        request.confidence = confidence
        request.participations = participations
        let randomness = seed.map(RunRandomness.seeded) ?? .system
        let run = RunDirectory(path: path)
        guard FileManager.default.fileExists(atPath: run.ledger) else {
            let plan = try planOfFile(path, request)
            return payload(path, try attack(plan, request, randomness, console), isRecorded: false)
        }
        let subject = try AuditedRun(run)
        let (configuration, _) = try YAMLFile.configuration(run.configuration, overrides: [])
        let plan = try subject.plan(configuration, request: request)
        // Nobody else may write the ledger meanwhile.
        let lock = try WorkspaceLock(run.workspace)
        defer { withExtendedLifetime(lock) {} }
        let key = try ServerKeyFile.load(in: run.workspace)
        let outcome = try attack(plan, request, randomness, console)
        try subject.record(outcome, key: key, clock: .system)
        return payload(path, outcome, isRecorded: true)
    }

    /// The plan that a `federation.yaml`, or the workspace it lies in, would run with.
    private func planOfFile(
        _ path: String, _ request: EmpiricalAudit.Request
    ) throws -> RoundPlan {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw CommandFailure(
                .missingInput, "there is no such run, workspace or federation file", at: path,
                privacy: "nothing was spent", hint: "fedtrain status shows the runs of a workspace")
        }
        let file = isDirectory.boolValue ? "\(path)/federation.yaml" : path
        let (configuration, _) = try YAMLFile.configuration(file, overrides: [])
        return try EmpiricalAudit.plan(configuration, request: request)
    }

    private func attack(
        _ plan: RoundPlan, _ request: EmpiricalAudit.Request, _ randomness: RunRandomness, _ console: Console
    ) throws -> AuditOutcome {
        let audit = try EmpiricalAudit(plan: plan, request: request, randomness: randomness)
        console.say(
            "\(request.canaries) canaries of each kind against \(plan.aggregation.length) coordinates, "
                + "\(audit.participations) round\(audit.participations == 1 ? "" : "s") for each; nobody's data, nothing charged"
        )
        return try audit.run { progress in
            switch progress {
            case .round(let round, let count, let kind):
                console.tick("\(kind.rawValue) canaries: round \(round) of \(count)")
            }
        }
    }

    private func payload(
        _ path: String, _ outcome: AuditOutcome, isRecorded: Bool
    ) -> AuditCommand.RunPayload {
        AuditCommand.RunPayload(
            run: path, verified: !outcome.refutesClaim,
            findings: outcome.refutesClaim ? ["the empirical audit contradicts the claim"] : [],
            epsilon: nil, delta: outcome.delta, unit: outcome.unit.rawValue, publicKey: nil,
            empirical: EmpiricalAuditPayload(outcome, isRecorded: isRecorded))
    }
}

/// What an empirical audit reports.
struct EmpiricalAuditPayload: Encodable {
    struct Test: Encodable {
        let canary: String
        let canaries: Int
        let guesses: Int
        let correct: Int
        let epsilonOneRun: Double
        let epsilonTradeOff: Double
        let noiseFactorNoticed: Double
    }

    let epsilonLowerBound: Double
    let epsilonClaimed: Double
    /// The largest ε that a correct build could show with this many canaries.
    let epsilonShowable: Double
    let noiseFactorNoticed: Double
    let confidence: Double
    let delta: Double
    let unit: String
    let rounds: Int
    let contradictsClaim: Bool
    let recorded: Bool
    let limits: String
    let tests: [Test]

    init(_ outcome: AuditOutcome, isRecorded: Bool) {
        epsilonLowerBound = outcome.epsilonLowerBound
        epsilonClaimed = outcome.epsilonClaimed
        epsilonShowable = outcome.epsilonShowable
        noiseFactorNoticed = outcome.noiseFactorNoticed
        confidence = outcome.confidence
        delta = outcome.delta
        unit = outcome.unit.rawValue
        rounds = outcome.participations
        contradictsClaim = outcome.refutesClaim
        recorded = isRecorded
        limits = outcome.limits
        tests = outcome.tests.map {
            Test(
                canary: $0.kind.rawValue, canaries: $0.canaries, guesses: $0.guesses, correct: $0.correct,
                epsilonOneRun: $0.epsilonOneRun, epsilonTradeOff: $0.epsilonTradeOff,
                noiseFactorNoticed: $0.noiseFactorNoticed)
        }
    }

    var text: String {
        let rows = tests.map {
            [
                $0.canary, "\($0.canaries)", "\($0.correct) of \($0.guesses)", decimal($0.epsilonOneRun, 3),
                decimal($0.epsilonTradeOff, 3),
            ]
        }
        return """
            \(table(["canary", "made up", "right guesses", "ε ≥ (one run)", "ε ≥ (trade-off)"], rows))

            ε ≥ \(decimal(epsilonLowerBound, 3)) at \(percent(confidence)) confidence; claimed ε ≤ \
            \(decimal(epsilonClaimed, 3)) at δ = \(delta) for one \(unit) in \(rounds) round\(rounds == 1 ? "" : "s")
            \(contradictsClaim ? "the audit CONTRADICTS the claim" : "the audit does not contradict the claim, which is no proof of it")
            \(limits)
            \(recorded ? "recorded in the run's ledger and report" : "not recorded: this was no run")
            """
    }

    func failure(at path: String) -> CommandFailure {
        CommandFailure(
            .verification,
            "the audit found a leak of at least ε = \(decimal(epsilonLowerBound, 3)) where at most "
                + "\(decimal(epsilonClaimed, 3)) is claimed", at: path,
            privacy: "this build does not give the guarantee that it prints",
            hint: "stop training with this build, and audit again with another --seed to rule out chance")
    }
}
