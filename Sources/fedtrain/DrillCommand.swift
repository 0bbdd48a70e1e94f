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
            Every client masks a random vector. The opened sum is compared with the plaintext sum of the \
            survivors, bit for bit. Stages for --drop: advertise, share, mask, confirm, unmask.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "How many clients are invited (3 or more).")
    var clients: Int = 100

    @Option(help: "Coordinates of each vector.")
    var dimension: Int = 10_000

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp("Share of the invited lost at a stage (repeatable).", valueName: "stage=fraction"))
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
            "Something that goes wrong on purpose (repeatable): late-masked-input, equivocate-survivors, swap-key, replay, flip, lie-share, kill-server@STAGE.",
            valueName: "name"))
    var faults: [String] = []

    @Option(help: "Write the published transcript of a released round to this file.")
    var transcript: String?

    @Option(help: "Fewest contributions an opened sum may have; 16 beyond the colluders when not given.")
    var minSurvivors: Int?

    @Flag(help: "A weaker adversary: the server follows the protocol.")
    var semiHonest = false

    @Option(help: "Seed; the same seed gives the same drill. Printed when not given.")
    var seed: UInt64?

    struct Payload: Encodable {
        struct StageFigures: Encodable {
            let seconds: Double
            let bytesUp: Int
            let bytesDown: Int
            let completed: Int
        }

        let clients: Int
        let dimension: Int
        let survivors: Int
        let exact: Bool
        let outcome: String
        let reason: String?
        let stages: [String: StageFigures]
        let neighbours: Int
        let threshold: Int
        let modulusBits: Int
        let profile: String
        let faults: [String]
        /// Messages that the server refused, and why clients left that were not lost on purpose.
        let refusals: [String]
        let departures: [String]
        let seed: UInt64
    }

    func validate() throws {
        guard clients >= 3 else { throw ValidationError("--clients must be at least 3") }
        guard dimension >= 1 else { throw ValidationError("--dimension must be at least 1") }
        _ = try schedule()
        _ = try namedFaults()
    }

    func execute(_ console: Console) throws -> Payload {
        let seed = self.seed ?? UInt64.random(in: 0..<1 << 32)
        let drill = Drill(
            clients: clients, dimension: dimension, modulusBits: bits, drops: try schedule(), seed: seed,
            profile: semiHonest ? .semiHonest : .maliciousServer,
            colluderFraction: try fraction(colluders, "--colluders"),
            dropoutFraction: try dropouts.map { try fraction($0, "--dropouts") },
            minSurvivors: minSurvivors, threads: ProcessInfo.processInfo.activeProcessorCount,
            faults: try namedFaults())
        console.step("drill: \(clients) clients, \(dimension) coordinates, seed \(seed)")
        let report = try drill.run(clock: { UInt64(monotonicSeconds() * 1e9) })
        if let transcript, let sum = report.sum {
            try AtomicFile.write(sum.transcript.bytes, to: transcript)
        }
        return payload(report, seed: seed)
    }

    func failure(in payload: Payload) -> CommandFailure? {
        if payload.outcome == "aborted" {
            return CommandFailure(
                .quorum, "the round aborted: \(payload.reason ?? "")", privacy: "no sum was opened",
                hint: "lower --drop, or raise --dropouts if so many may really vanish")
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
            guard let figures = payload.stages[stage.name], figures.completed > 0 else {
                return [stage.name, "–", "–", "–", "–"]
            }
            return [
                stage.name, "\(figures.completed)", decimal(figures.seconds, 3), bytes(figures.bytesUp),
                bytes(figures.bytesDown),
            ]
        }
        let verdict =
            payload.outcome == "released"
            ? "released: the sum over \(payload.survivors) survivors is \(payload.exact ? "exact" : "WRONG")"
            : "aborted: \(payload.reason ?? ""); nothing was opened"
        let incidents =
            payload.refusals.map { "refused: \($0)" } + Set(payload.departures).sorted().map { "left: \($0)" }
        return """
            \(table(["stage", "answered", "seconds", "bytes up", "bytes down"], rows))
            \(payload.clients) clients, \(payload.dimension) coordinates of \(payload.modulusBits) bits, \
            \(payload.neighbours) neighbours, threshold \(payload.threshold), \(payload.profile), seed \(payload.seed)
            \((incidents.prefix(8) + [verdict]).joined(separator: "\n"))
            """
    }

    private func payload(_ report: Drill.Report, seed: UInt64) -> Payload {
        var stages: [String: Payload.StageFigures] = [:]
        for stage in Stage.allCases {
            let figures = report.stages[stage]
            stages[stage.name] = Payload.StageFigures(
                seconds: Double(figures?.nanoseconds ?? 0) * 1e-9, bytesUp: figures?.bytesUp ?? 0,
                bytesDown: figures?.bytesDown ?? 0, completed: figures?.answers ?? 0)
        }
        return Payload(
            clients: clients, dimension: dimension, survivors: report.survivors, exact: report.isExact,
            outcome: report.sum == nil ? "aborted" : "released",
            reason: report.abort.map { "\($0)" }, stages: stages,
            neighbours: report.topology?.neighbours ?? 0, threshold: report.topology?.threshold ?? 0,
            modulusBits: report.modulusBits,
            profile: semiHonest ? SecurityProfile.semiHonest.name : SecurityProfile.maliciousServer.name,
            faults: faults, refusals: report.refusals.map { "\($0)" },
            departures: report.departures.map { "\($0)" }, seed: seed)
    }

    private func namedFaults() throws -> [DrillFault] {
        try faults.map { name in
            guard let fault = DrillFault(name: name) else {
                throw ValidationError(
                    "--faults \(name) is not one of " + DrillFault.all.map(\.name).joined(separator: ", "))
            }
            return fault
        }
    }

    private func schedule() throws -> [Stage: Rational] {
        var schedule: [Stage: Rational] = [:]
        for entry in drop {
            let parts = entry.split(separator: "=")
            guard parts.count == 2, let stage = Stage(name: String(parts[0])),
                let share = Rational(String(parts[1])), share.sign >= 0, share <= 1
            else {
                throw ValidationError(
                    "--drop \(entry) is not STAGE=FRACTION; stages: "
                        + Stage.allCases.map(\.name).joined(separator: ", "))
            }
            schedule[stage] = (schedule[stage] ?? 0) + share
        }
        guard schedule.values.reduce(Rational(0), +) <= 1 else {
            throw ValidationError("--drop fractions add up to more than 1")
        }
        return schedule
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
