import ArgumentParser
import FedTrain
import Foundation
import GMP
import Models
import SecureAgg

/// `fedtrain drill`: test aggregation that survives dropouts, without any model.
struct DrillCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "drill",
        abstract: "Test dropout-resilient secure aggregation with N clients and no model.",
        discussion: """
            Every client masks a vector: a one at its own place among the first coordinates, the rest random. \
            The opened sum must count exactly the survivors in the first and equal their plaintext sum, bit \
            for bit, in the rest. Exit 11 when the round aborts; nothing is opened then.

            Stages for --drop: advertise, share, mask, confirm, unmask. A lost client receives the stage's \
            message and never answers.

            Faults: late-masked-input, flip, lie-share, replay (one client, the victim), swap-key, \
            equivocate-survivors, claim-survivors (a lying server: the round aborts), kill-server@STAGE (a \
            crash; the server goes on from what it stored).
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "How many clients are invited (3 or more).")
    var clients: Int = 100

    @Option(help: "Coordinates of each vector.")
    var dimension: Int = 10_000

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "Share of the invited lost at a stage, as in mask=0.1 (repeatable, or with commas).",
            valueName: "stage=fraction"))
    var drop: [String] = []

    @Option(help: "Bits of each coordinate, 8 to 32.")
    var bits: Int = 16

    @Option(help: "γ, the share of clients that may collude with the server.")
    var colluders: String = "1/10"

    @Option(
        help:
            "δ, the share of clients that may vanish and the round still completes; from --drop when not given."
    )
    var dropouts: String?

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "Something that goes wrong on purpose (repeatable, or with commas): late-masked-input, equivocate-survivors, swap-key, claim-survivors, replay, flip, lie-share, kill-server@STAGE.",
            valueName: "name"))
    var faults: [String] = []

    @Option(
        help:
            "Write the published transcript of a released round to this file, and beside it the signed result, the sum, the masked vectors, the roster and the public keys; check with: fedtrain audit --transcript FILE."
    )
    var transcript: String?

    @Option(help: "Levels of removable noise whose seeds are shared, and opened as the losses allow.")
    var noiseLevels: Int = 0

    @Option(help: "Coordinates per chunk of a masked vector, a multiple of 64.")
    var chunkLength: Int = AggregationParameters.defaultChunkLength

    @Option(help: "Fewest contributions an opened sum may have; 16 beyond the colluders when not given.")
    var minSurvivors: Int?

    @Flag(help: "A weaker adversary: the server follows the protocol.")
    var semiHonest = false

    @Option(help: "Seed; the same seed gives the same drill. Printed when not given.")
    var seed: UInt64?

    struct Payload: Encodable {
        struct StageFigures: Encodable {
            let seconds: Double
            /// Of these the server's for closing the stage.
            let closingSeconds: Double
            let bytesUp: Int
            let bytesDown: Int
            let completed: Int
            let lost: Int
            let late: Int
            let refused: Int
            let left: Int
        }

        struct Checks: Encodable {
            let units: Int
            let unitsExact: Bool
            let random: Int
            let randomExact: Bool
            let clientsAgree: Bool
        }

        let clients: Int
        let dimension: Int
        let survivors: Int
        let exact: Bool
        let checks: Checks
        let outcome: String
        let reason: String?
        let stages: [String: StageFigures]
        let neighbours: Int
        let threshold: Int
        let modulusBits: Int
        let profile: String
        /// Below the default floors of cohort and survivors.
        let tinyCohort: Bool
        let faults: [String]
        /// Messages that the server refused, and why clients left that were not lost on purpose.
        let refusals: [String]
        let departures: [String]
        /// Clients whose wrong shares were decoded around.
        let wrongShares: [String]
        let transcript: String?
        let seed: UInt64
        /// For people only: the picture, and refusals and departures in few lines.
        let picture: String
        let incidents: [String]

        private enum CodingKeys: CodingKey {
            case clients, dimension, survivors, exact, checks, outcome, reason, stages, neighbours, threshold,
                modulusBits, profile, tinyCohort, faults, refusals, departures, wrongShares, transcript, seed
        }
    }

    func validate() throws {
        guard clients >= 3 else { throw ValidationError("--clients must be at least 3") }
        guard dimension >= 1 else { throw ValidationError("--dimension must be at least 1") }
        guard (0...RemovableNoise.levelsMax).contains(noiseLevels) else {
            throw ValidationError("--noise-levels must be 0 to \(RemovableNoise.levelsMax)")
        }
        guard (8...32).contains(bits) else { throw ValidationError("--bits must be 8 to 32") }
        let drops = try schedule()
        let faults = try namedFaults()
        if let contradiction = DrillFault.contradiction(in: faults) {
            throw ValidationError("--faults: \(contradiction)")
        }
        if faults.contains(.claimSurvivors), drops.values.allSatisfy(\.isZero) {
            throw ValidationError("--faults claim-survivors needs clients that are lost: give --drop")
        }
        if !faults.isEmpty, drops.values.reduce(Rational(0), +) == 1 {
            throw ValidationError("--faults need a client that is not lost, and --drop loses all of them")
        }
    }

    func execute(_ console: Console) throws -> Payload {
        let seed = self.seed ?? UInt64.random(in: 0..<1 << 32)
        var drill = Drill(
            clients: clients, dimension: dimension, modulusBits: bits, drops: try schedule(), seed: seed,
            profile: semiHonest ? .semiHonest : .maliciousServer,
            colluderFraction: try fraction(colluders, "--colluders"),
            dropoutFraction: try dropouts.map { try fraction($0, "--dropouts") },
            minSurvivors: minSurvivors, threads: ProcessInfo.processInfo.activeProcessorCount,
            faults: try namedFaults())
        drill.chunkLength = chunkLength
        drill.noiseLevels = noiseLevels
        do { _ = try drill.parameters() } catch {
            throw CommandFailure(
                .usage, "\(error)", privacy: "nothing was run", hint: "fedtrain drill --help")
        }
        console.step("drill: \(clients) clients, \(dimension) coordinates, seed \(seed)")
        let clock = { UInt64(monotonicSeconds() * 1e9) }
        guard let transcript else { return try payload(try drill.run(clock: clock), seed: seed) }
        let published = PublishedRound(transcript: transcript)
        let spool = try VectorSpool(path: transcript + ".spool")
        let report = try drill.run(clock: clock) { spool.append($0, $1, $2) }
        if report.sum != nil { try published.write(report, vectors: spool) }
        return try payload(report, seed: seed)
    }

    func failure(in payload: Payload) -> CommandFailure? {
        if payload.outcome == "aborted" {
            return CommandFailure(
                .quorum, "the round aborted: \(payload.reason ?? "")", privacy: "no sum was opened",
                hint: payload.faults.isEmpty
                    ? "lower --drop, or raise --dropouts if so many may really vanish"
                    : "the same drill without --faults shows whether \(payload.faults.joined(separator: ", ")) "
                        + "is why: add --seed \(payload.seed)")
        }
        guard payload.exact else {
            return CommandFailure(
                .internalError, "the opened sum differs from the survivors' plaintext sum",
                hint: "please report this with --seed \(payload.seed)")
        }
        return nil
    }

    func describe(_ payload: Payload) -> String {
        let rows = Stage.allCases.map { stage -> [String] in
            guard let figures = payload.stages[stage.name],
                figures.completed + figures.lost + figures.late + figures.refused + figures.left > 0
            else { return [stage.name] + Array(repeating: "–", count: 7) }
            return [
                stage.name, "\(figures.completed)", "\(figures.lost)", "\(figures.late + figures.refused)",
                "\(figures.left)", decimal(figures.seconds, 3), bytes(figures.bytesUp),
                bytes(figures.bytesDown),
            ]
        }
        let verdict =
            payload.outcome == "released"
            ? "released: the sum over \(payload.survivors) survivors is \(payload.exact ? "exact" : "WRONG") "
                + "(\(payload.checks.units) unit and \(payload.checks.random) random coordinates)"
            : "aborted: \(payload.reason ?? ""); nothing was opened"
        let warning =
            payload.tinyCohort
            ? [
                "tiny cohort: outside a drill each member could subtract itself, and differential privacy "
                    + "would be the only protection"
            ] : []
        let next = payload.transcript.map { ["next: fedtrain audit --transcript \($0)"] } ?? []
        return """
            \(payload.picture)

            \(table(["stage", "answered", "lost", "refused or late", "left", "seconds", "bytes up", "bytes down"], rows))
            \(payload.clients) clients, \(payload.dimension) coordinates of \(payload.modulusBits) bits, \
            \(payload.neighbours) neighbours, threshold \(payload.threshold), \(payload.profile), seed \(payload.seed)
            \((warning + payload.incidents + [verdict] + next).joined(separator: "\n"))
            """
    }

    /// Each failed check once, with how often it failed and whom it concerned.
    private func incidents(_ faults: [AggregationFault], _ title: String) -> [String] {
        struct Kind: Hashable {
            let stage: Stage
            let check: AggregationFault.Check
        }
        return Dictionary(grouping: faults) { Kind(stage: $0.stage, check: $0.check) }
            .sorted { ($0.key.stage, $0.key.check.rawValue) < ($1.key.stage, $1.key.check.rawValue) }
            .map { kind, faults in
                let clients = Set(faults.flatMap(\.culprits)).sorted()
                let names =
                    clients.prefix(4).map(\.description)
                    + (clients.count > 4 ? ["\(clients.count - 4) more"] : [])
                return "\(title): \(kind.stage.name): \(kind.check.rawValue): \(kind.check.meaning)"
                    + (faults.count > 1 ? " (\(faults.count) times)" : "")
                    + (names.isEmpty ? "" : "; concerns \(names.joined(separator: ", "))")
            }
    }

    private func payload(_ report: Drill.Report, seed: UInt64) throws -> Payload {
        var stages: [String: Payload.StageFigures] = [:]
        for stage in Stage.allCases {
            let figures = report.stages[stage]
            let trace = report.trace
            stages[stage.name] = Payload.StageFigures(
                seconds: Double(figures?.nanoseconds ?? 0) * 1e-9,
                closingSeconds: Double(figures?.closingNanoseconds ?? 0) * 1e-9,
                bytesUp: figures?.bytesUp ?? 0, bytesDown: figures?.bytesDown ?? 0,
                completed: figures?.answers ?? 0, lost: trace.count(.lost, at: stage),
                late: trace.count(.late, at: stage), refused: trace.count(.refused, at: stage),
                left: trace.count(.left, at: stage))
        }
        let checks = report.checks
        return Payload(
            clients: clients, dimension: dimension, survivors: report.survivors, exact: report.isExact,
            checks: Payload.Checks(
                units: checks.units, unitsExact: checks.unitsExact, random: checks.random,
                randomExact: checks.randomExact, clientsAgree: checks.clientsAgree),
            outcome: report.sum == nil ? "aborted" : "released",
            reason: report.abort.map { "\($0)" }, stages: stages,
            neighbours: report.topology?.neighbours ?? 0, threshold: report.topology?.threshold ?? 0,
            modulusBits: report.modulusBits,
            profile: semiHonest ? SecurityProfile.semiHonest.name : SecurityProfile.maliciousServer.name,
            tinyCohort: report.isTinyCohort,
            faults: try namedFaults().map(\.name), refusals: report.refusals.map { "\($0)" },
            departures: report.departures.map { "\($0)" },
            wrongShares: Set(report.sum?.faults.flatMap(\.culprits) ?? []).sorted().map {
                "\($0) released wrong shares"
            },
            transcript: report.sum == nil ? nil : transcript, seed: seed,
            picture: DrillPicture(trace: report.trace).text,
            incidents: incidents(report.refusals, "refused") + incidents(report.departures, "left")
                + incidents(report.sum?.faults ?? [], "decoded around"))
    }

    private func namedFaults() throws -> [DrillFault] {
        try items(faults).map { name in
            guard let fault = DrillFault(name: name) else {
                throw ValidationError(
                    "--faults \(name) is not one of " + DrillFault.all.map(\.name).joined(separator: ", "))
            }
            return fault
        }
    }

    private func schedule() throws -> [Stage: Rational] {
        var schedule: [Stage: Rational] = [:]
        for entry in items(drop) {
            let parts = entry.split(separator: "=")
            guard parts.count == 2, let stage = Stage(name: String(parts[0])),
                let share = Rational(String(parts[1])), share.sign >= 0, share <= 1
            else {
                throw ValidationError(
                    "--drop \(entry) is not STAGE=FRACTION, such as mask=0.1 or mask=1/10; stages: "
                        + Stage.allCases.map(\.name).joined(separator: ", "))
            }
            schedule[stage] = (schedule[stage] ?? 0) + share
        }
        guard schedule.values.reduce(Rational(0), +) <= 1 else {
            throw ValidationError("--drop fractions add up to more than 1")
        }
        return schedule
    }

    /// The parts of a repeatable option that may also be given with commas.
    private func items(_ values: [String]) -> [String] {
        values.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
    }

    private func fraction(_ text: String, _ option: String) throws -> Rational {
        guard let value = Rational(text), value.sign >= 0, value < 1 else {
            throw CommandFailure(.usage, "\(option) must be a fraction from 0 to below 1, not `\(text)`")
        }
        return value
    }
}

/// Seconds of the monotonic clock.
func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
