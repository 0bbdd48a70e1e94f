import ArgumentParser
import DP
import GMP

/// `fedtrain account`: ε for a mechanism, or the noise for a target ε.
struct AccountCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "account",
        abstract: "Compute ε for a mechanism, or the noise for a target ε.",
        discussion: """
            The answer is an interval: `upper` is what a guarantee may claim, `lower` is reached by a \
            real test (0 where none is known). Without --accountant the tightest published bound \
            answers, and the others are listed. Numbers are read exactly as written.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: MechanismOptions

    @Option(help: "Target ε; solves for the noise instead.")
    var epsilon: Double?

    @Option(parsing: .singleValue, help: "δ, above 0 and below 1 (repeatable).")
    var delta: [Double]

    @Option(help: "gdp, zcdp, rdp or pld; the tightest that can bound the event when not given.")
    var accountant: AccountantName?

    @Flag(help: "With pld: integer arithmetic with every rounding outward, slower.")
    var certified = false

    enum AccountantName: String, ExpressibleByArgument, CaseIterable {
        case gdp, zcdp, rdp, pld
        var kind: AccountantKind { AccountantKind(rawValue: rawValue)! }
    }

    struct Payload: Encodable {
        struct Interval: Encodable {
            let lower: Double
            let upper: Double

            init(_ interval: EpsilonInterval) { (lower, upper) = (interval.lower, interval.upper) }
        }

        /// One accountant's answer at one δ.
        struct Line: Encodable {
            let delta: Double
            let accountant: String
            let basis: String
            let epsilon: Interval
        }

        let mechanism: String
        /// Of every mechanism but randomised response.
        let noiseMultiplier: Double?
        /// Of randomised response.
        let noiseProbability: Double?
        let samplingRate: Double
        let steps: Int
        let delta: Double
        let unit: String
        let adjacency: String
        let groupSize: Int
        let accountant: String
        let basis: String
        let epsilon: Interval
        /// The same for each δ that was given.
        let profile: [Line]
        /// What every accountant says at the first δ.
        let accountants: [Line]
    }

    func validate() throws {
        let noise =
            options.mechanism == .randomizedResponse ? options.noiseProbability : options.noiseMultiplier
        guard (noise == nil) != (epsilon == nil) else {
            let name = options.mechanism == .randomizedResponse ? "--noise-probability" : "--noise-multiplier"
            throw ValidationError("Give either \(name) or --epsilon.")
        }
        if certified, let accountant, accountant != .pld {
            throw ValidationError("--certified belongs to --accountant pld.")
        }
        guard !delta.isEmpty else { throw ValidationError("Give --delta.") }
    }

    func execute(_ console: Console) throws -> Payload {
        do {
            return try answer()
        } catch let error as AccountingError {
            throw Self.failure(error)
        }
    }

    private func answer() throws -> Payload {
        let rate = try options.rate()
        let noise = try options.noise() ?? solve(for: epsilon!, rate: rate)
        let tally = try EventTally(options.event(noise: noise, rate: rate), count: options.steps)
        let lines = try delta.map { delta in try (delta: delta, answers: answers(tally, delta: delta)) }
        let profile = lines.map { line($0.answers[0], delta: $0.delta) }
        let isProbability = options.mechanism == .randomizedResponse
        return Payload(
            mechanism: options.mechanism.rawValue,
            noiseMultiplier: isProbability ? nil : noise.asDouble,
            noiseProbability: isProbability ? noise.asDouble : nil,
            samplingRate: rate.asDouble, steps: options.steps, delta: delta[0],
            unit: options.unit.rawValue, adjacency: options.adjacency.rawValue,
            groupSize: options.groupSize, accountant: profile[0].accountant, basis: profile[0].basis,
            epsilon: profile[0].epsilon, profile: profile,
            accountants: lines[0].answers.map { line($0, delta: delta[0]) })
    }

    func describe(_ payload: Payload) -> String {
        let who =
            payload.groupSize == 1 ? "one \(payload.unit)" : "\(payload.groupSize) \(payload.unit)s together"
        var lines = payload.profile.map {
            "ε ≤ \(decimal($0.epsilon.upper, 6)) at δ = \($0.delta) for \(who) "
                + "(and at least \(decimal($0.epsilon.lower, 6)))"
        }
        let noise =
            payload.noiseMultiplier.map { "noise multiplier \(decimal($0, 6))" }
            ?? "noise probability \(decimal(payload.noiseProbability ?? 0, 6))"
        lines.append(
            "\(payload.mechanism), \(noise), sampling rate \(payload.samplingRate), \(payload.steps) steps, "
                + "\(payload.adjacency); accountant \(payload.accountant), \(payload.basis) bound")
        for other in payload.accountants.dropFirst() {
            lines.append("  \(other.accountant): ε ≤ \(decimal(other.epsilon.upper, 6)) (\(other.basis))")
        }
        return lines.joined(separator: "\n")
    }

    // MARK: Accountants

    private typealias Answer = (accountant: any Accountant, interval: EpsilonInterval)

    private func line(_ answer: Answer, delta: Double) -> Payload.Line {
        Payload.Line(
            delta: delta, accountant: answer.accountant.name, basis: answer.interval.basis.rawValue,
            epsilon: Payload.Interval(answer.interval))
    }

    private var candidates: [any Accountant] {
        if let accountant { return [accountant == .pld ? pld : accountant.kind.accountant] }
        return certified ? [pld] : AccountantKind.allCases.map(\.accountant)
    }

    private var pld: any Accountant { certified ? CertifiedPLDAccountant() : PLDAccountant() }

    /// What the accountants say that can bound the tally: the tightest published bound first, then the
    /// others by size.
    private func answers(_ tally: EventTally, delta: Double) throws(AccountingError) -> [Answer] {
        var found: [Answer] = []
        var refusal: AccountingError?
        for accountant in candidates {
            do {
                found.append((accountant, try accountant.epsilon(of: tally, delta: delta)))
            } catch {
                refusal = error
            }
        }
        guard !found.isEmpty else { throw refusal! }
        found.sort { ($0.interval.basis, $0.interval.upper) < ($1.interval.basis, $1.interval.upper) }
        return found
    }

    private func solve(for epsilon: Double, rate: Rational) throws(AccountingError) -> Rational {
        let isProbability = options.mechanism == .randomizedResponse
        func noise(_ multiplier: Rational) -> Rational {
            isProbability ? MechanismOptions.probability(ofMultiplier: multiplier) : multiplier
        }
        // The accountant that is tightest for some noise of this shape is tightest for all of them.
        let probe = try EventTally(options.event(noise: noise(1), rate: rate), count: options.steps)
        let best = try answers(probe, delta: delta[0])[0].accountant
        return noise(
            try Calibration.noiseMultiplier(
                epsilon: epsilon, delta: delta[0], count: options.steps, accountant: best
            ) { (multiplier: Rational) throws(AccountingError) in
                try options.event(noise: noise(multiplier), rate: rate)
            })
    }

    private static func failure(_ error: AccountingError) -> CommandFailure {
        switch error {
        case .targetUnreachable:
            CommandFailure(.budget, "\(error)", hint: "a larger --epsilon, fewer --steps or a larger --delta")
        case .unsupportedEvent:
            CommandFailure(.usage, "\(error)", hint: "leave --accountant away: the tightest that can answers")
        case .unsupportedAdjacency, .mixedUnits:
            CommandFailure(.usage, "\(error)", hint: "fedtrain account --help")
        case .invalidParameter(let name, let value, let requirement):
            CommandFailure(
                .usage, "\(option(name)) is \(value), but must be \(requirement)",
                hint: "fedtrain account --help")
        }
    }

    /// The option that sets an event's parameter.
    private static func option(_ name: String) -> String {
        switch name {
        case "delta", "epsilon": "--\(name)"
        case "rate": "--sampling-rate"
        case "count": "--steps"
        case "groupSize": "--group-size"
        case "noiseProbability": "--noise-probability"
        case "noiseMultiplier", "scale": "--noise-multiplier"
        default: name
        }
    }
}
