import ArgumentParser
import FedTrain
import Sodium

/// `fedtrain audit`: verify a run without trusting whoever wrote it.
struct AuditCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Verify a run: derive every number of its report from the ledger again.",
        discussion: """
            Checks the ledger's chain and signatures, makes the report again and compares every byte, and \
            checks the adapter file against the ledger. Exit 13 when anything does not verify. What no audit \
            of files can see is a ledger that was false when it was written.

            With --empirical, attacks the run's plan instead: made-up units join rounds of the same plan or \
            not, by secret coins, and the coins are guessed from the opened sums. Nobody's data is touched and \
            nothing is charged. The outcome goes on the run's record and into its report. Exit 13 when the \
            guesses contradict the claim.
            """)

    @OptionGroup var global: GlobalOptions

    @OptionGroup(title: "Empirical audit") var empirical: EmpiricalAuditOptions

    @Argument(
        help: "The run's directory, such as runs/0001; with --empirical also a workspace or federation.yaml.")
    var run: String

    @Option(help: "The server's public key in hexadecimal; the ledger's own when not given.")
    var key: String?

    struct Payload: Encodable {
        let run: String
        let verified: Bool
        let findings: [String]
        let epsilon: Double?
        let delta: Double?
        let unit: String?
        let publicKey: String?
        var empirical: EmpiricalAuditPayload?
    }

    func execute(_ console: Console) throws -> Payload {
        if empirical.empirical { return try empirical.execute(run, console) }
        let directory = RunDirectory(path: run)
        var expected: VerifyingKey?
        if let key {
            guard let parsed = bytesFromHex(key).flatMap({ VerifyingKey(bytes: $0) }) else {
                throw CommandFailure(.usage, "--key must be 64 hexadecimal digits in lower case")
            }
            expected = parsed
        }
        let audit = try RunAudit(directory, expecting: expected)
        return Payload(
            run: directory.path, verified: audit.findings.isEmpty, findings: audit.findings,
            epsilon: audit.report?.epsilon, delta: audit.report?.delta,
            unit: audit.report?.unit.rawValue, publicKey: audit.key.map { "\($0)" })
    }

    func describe(_ payload: Payload) -> String {
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

    func failure(in payload: Payload) -> CommandFailure? {
        guard !payload.verified else { return nil }
        if let empirical = payload.empirical { return empirical.failure(at: payload.run) }
        return CommandFailure(
            .verification, "\(payload.findings.count) checks failed: \(payload.findings[0])", at: payload.run,
            privacy: "the report's numbers must not be relied on",
            hint: "get the run's files again from their owner, or ask what was changed")
    }
}
