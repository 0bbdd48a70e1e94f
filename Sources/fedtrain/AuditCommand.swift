import ArgumentParser
import FedTrain
import Sodium

/// `fedtrain audit`: verify a run or a published round without trusting whoever wrote it.
struct AuditCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Verify a run's report, recompute a published sum, or attack a plan.",
        discussion: """
            Of a run's directory: checks the ledger's chain and signatures, makes the report again and \
            compares every byte, and checks the adapter file against the ledger. What no audit of files can \
            see is a ledger that was false when it was written.

            With --transcript: checks every signature, root and seed that one round of aggregation published \
            and recomputes its sum from the masked vectors. The keys of server and authority should come from \
            where you pinned them; without --server-key and --authority-key those beside the transcript are \
            taken, which shows only that the files agree with one another.

            With --empirical: attacks the run's plan instead. Made-up units join rounds of the same plan or \
            not, by secret coins, and the coins are guessed from the opened sums. Nobody's data is touched and \
            nothing is charged. The outcome goes on the run's record and into its report.

            Exit 13 when anything does not verify or the guesses contradict the claim, 66 when a file is missing.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: "The run's directory, such as runs/0001; with --empirical also a workspace or federation.yaml.")
    var run: String?

    @Option(help: "The server's public key in hexadecimal; the ledger's own when not given.")
    var key: String?

    @Option(help: "Seed of what --sample or --empirical draws; unpredictable when not given.")
    var seed: UInt64?

    @OptionGroup(title: "Published round") var published: TranscriptOptions
    @OptionGroup(title: "Empirical audit") var empirical: EmpiricalAuditOptions

    enum Payload: Encodable {
        case run(RunPayload)
        case transcript(TranscriptPayload)

        func encode(to encoder: any Encoder) throws {
            switch self {
            case .run(let payload): try payload.encode(to: encoder)
            case .transcript(let payload): try payload.encode(to: encoder)
            }
        }
    }

    struct RunPayload: Encodable {
        let run: String
        let verified: Bool
        let findings: [String]
        let epsilon: Double?
        let delta: Double?
        let unit: String?
        let publicKey: String?
        var empirical: EmpiricalAuditPayload?
    }

    func validate() throws {
        guard (run == nil) != (published.transcript == nil) else {
            throw ValidationError("name either a run's directory or --transcript FILE")
        }
        guard run == nil || published.isPlain else {
            throw ValidationError(
                "--server-key, --authority-key, --roster and --sample go with --transcript")
        }
        guard seed == nil || run == nil || empirical.empirical else {
            throw ValidationError("--seed goes with --transcript or --empirical")
        }
        guard run != nil || !empirical.empirical else {
            throw ValidationError("--empirical goes with a run, a workspace or a federation.yaml")
        }
        guard key == nil || run != nil else {
            throw ValidationError(
                "--key goes with a run's directory; the server's key of a transcript is --server-key")
        }
        try published.validateValues()
    }

    func execute(_ console: Console) throws -> Payload {
        guard let run else { return .transcript(try published.audit(console, seed: seed)) }
        if empirical.empirical { return .run(try empirical.execute(run, console, seed: seed)) }
        let directory = RunDirectory(path: run)
        let expected = try key.map { try publicKey($0, "--key") }
        let audit = try RunAudit(directory, expecting: expected)
        return .run(
            RunPayload(
                run: directory.path, verified: audit.findings.isEmpty, findings: audit.findings,
                epsilon: audit.report?.epsilon, delta: audit.report?.delta,
                unit: audit.report?.unit.rawValue, publicKey: audit.key.map { "\($0)" }))
    }

    func describe(_ payload: Payload) -> String {
        switch payload {
        case .transcript(let payload): return payload.text
        case .run(let payload):
            if let empirical = payload.empirical { return empirical.text }
            guard payload.verified, let epsilon = payload.epsilon, let delta = payload.delta else {
                return payload.findings.map { "does not verify: \($0)" }.joined(separator: "\n")
            }
            return """
                verified: ledger, report (JSON, HTML, plot), signature, adapters, configuration, events and clients' \
                ledgers of \(payload.run)
                ε = \(decimal(epsilon, 6)) at δ = \(delta) for one \(payload.unit ?? ""), derived again from the ledger
                signed by \(payload.publicKey ?? "")
                """
        }
    }

    func failure(in payload: Payload) -> CommandFailure? {
        switch payload {
        case .transcript(let payload): return payload.failure
        case .run(let payload):
            guard !payload.verified else { return nil }
            if let empirical = payload.empirical { return empirical.failure(at: payload.run) }
            return CommandFailure(
                .verification, "\(payload.findings.count) checks failed: \(payload.findings[0])",
                at: payload.run,
                privacy: "the report's numbers must not be relied on",
                hint: "get the run's files again from their owner, or ask what was changed")
        }
    }
}

/// A public key from the command line.
func publicKey(_ text: String, _ option: String) throws -> VerifyingKey {
    guard let parsed = bytesFromHex(text).flatMap({ VerifyingKey(bytes: $0) }) else {
        throw CommandFailure(.usage, "\(option) must be 64 hexadecimal digits in lower case")
    }
    return parsed
}
