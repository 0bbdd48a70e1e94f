import ArgumentParser
import FedTrain
import Foundation
import SecureAgg
import Sodium

/// What `fedtrain audit --transcript` takes.
struct TranscriptOptions: ParsableArguments {
    @Option(
        help: "A published transcript; its other parts lie beside it: FILE.result, .sum, .vectors, .roster.")
    var transcript: String?

    @Option(help: "The server's public key in hexadecimal, as you pinned it.")
    var serverKey: String?

    @Option(help: "The enrolment authority's public key in hexadecimal, as you pinned it.")
    var authorityKey: String?

    @Option(
        help: "The signed roster to check identities against; the one beside the transcript when not given.")
    var roster: String?

    @Option(help: "Recompute only this many chunks, drawn at random; 0 checks everything but the vectors.")
    var sample: Int?

    /// Whether nothing but the transcript could have been given.
    var isPlain: Bool {
        serverKey == nil && authorityKey == nil && roster == nil && sample == nil
    }

    func validateValues() throws {
        guard sample ?? 0 >= 0 else { throw ValidationError("--sample must not be negative") }
    }

    func audit(_ console: Console, seed: UInt64?) throws -> TranscriptPayload {
        let round = PublishedRound(transcript: transcript!)
        let trust = TranscriptAudit.Trust(
            server: try serverKey.map { try publicKey($0, "--server-key") },
            authority: try authorityKey.map { try publicKey($0, "--authority-key") }, rosterPath: roster)
        console.step("audit: \(round.transcript)")
        let threads = ProcessInfo.processInfo.activeProcessorCount
        let audit: TranscriptAudit
        if let seed {
            var random = StreamRandom(seed: seed, label: "audit sample")
            audit = try TranscriptAudit(
                round, trusting: trust, sample: sample, threads: threads, random: &random)
        } else {
            var random = SystemRandom()
            audit = try TranscriptAudit(
                round, trusting: trust, sample: sample, threads: threads, random: &random)
        }
        return TranscriptPayload(audit, round: round, keysWereGiven: serverKey != nil)
    }
}

/// The answer of `fedtrain audit --transcript`.
struct TranscriptPayload: Encodable {
    struct Finding: Encodable {
        let file: String
        let check: String
        let what: String
    }

    let transcript: String
    let verified: Bool
    let findings: [Finding]
    let task: String?
    let round: UInt64?
    let profile: String?
    let session: String?
    let clients: Int?
    let survivors: Int?
    let neighbours: Int?
    let threshold: Int?
    let modulusBits: Int?
    let dimension: Int?
    let chunks: Int?
    let chunksRecomputed: [Int]
    let root: String?
    let resultDigest: String?
    let rosterDigest: String?
    let serverKey: String?
    let authorityKey: String?
    /// False when the server's key came from beside the transcript and proves nothing by itself.
    let serverKeyGiven: Bool

    init(_ audit: TranscriptAudit, round: PublishedRound, keysWereGiven: Bool) {
        let read = audit.transcript
        transcript = round.transcript
        verified = audit.findings.isEmpty
        findings = audit.findings.map { Finding(file: $0.file, check: $0.check, what: $0.what) }
        task = read?.parameters.task
        self.round = read?.parameters.round
        profile = read?.parameters.profile.name
        session = read?.session.hex
        clients = read?.cohort.count
        survivors = read?.survivors.count
        neighbours = read?.topology.neighbours
        threshold = read?.topology.threshold
        modulusBits = read?.parameters.modulusBits
        dimension = read?.parameters.vectorLength
        chunks = read?.chunkCount
        chunksRecomputed = audit.recomputed
        root = read?.root.hex
        resultDigest = read?.resultDigest.hex
        rosterDigest = read?.rosterDigest?.hex
        serverKey = audit.server.map { "\($0)" }
        authorityKey = audit.authority.map { "\($0)" }
        serverKeyGiven = keysWereGiven
    }

    var text: String {
        guard verified, let clients, let survivors, let dimension, let chunks, let serverKey else {
            return findings.map { "does not verify: \($0.file): \($0.what)" }.joined(separator: "\n")
        }
        let scope =
            chunksRecomputed.count == chunks
            ? "every coordinate of the sum recomputed from the masked vectors"
            : "\(chunksRecomputed.count) of \(chunks) chunks of the sum recomputed from the masked vectors"
        let key =
            serverKeyGiven
            ? "signed by the server key you gave, \(serverKey)"
            : "signed by \(serverKey), read beside the transcript: compare it with the key you pinned"
        return """
            verified: round \(round ?? 0) of \(task ?? ""), \(survivors) of \(clients) clients in the sum of \
            \(dimension) coordinates, \(profile ?? "")
            \(scope)
            \(key)
            """
    }

    var failure: CommandFailure? {
        guard let first = findings.first else { return nil }
        return CommandFailure(
            .verification, "\(first.check): \(first.what)", at: first.file,
            privacy: "nothing that follows from this transcript can be relied on",
            hint: "get the round's files again from whoever published them, or ask what was changed")
    }
}
