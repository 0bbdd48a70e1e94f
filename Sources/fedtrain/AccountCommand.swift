import ArgumentParser
import DP
import GMP

/// `fedtrain account`: ε for a mechanism, or the noise for a target ε.
struct AccountCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "account",
        abstract: "Compute ε for a mechanism, or the noise multiplier for a target ε.",
        discussion: """
            The answer is an interval: `upper` is what a guarantee may claim, `lower` is reached by a \
            real test (0 where none is known). Numbers are read exactly as written.
            """)

    enum Mechanism: String, ExpressibleByArgument, CaseIterable {
        case gaussian
        case discreteGaussian = "discrete-gaussian"
        case laplace
    }

    @OptionGroup var global: GlobalOptions

    @Option(help: "What is added: \(Mechanism.allCases.map(\.rawValue).joined(separator: ", ")).")
    var mechanism: Mechanism = .gaussian

    @Option(help: "Noise over sensitivity: standard deviation, or Laplace's scale.")
    var noiseMultiplier: String?

    @Option(help: "Target ε; solves for the noise multiplier instead.")
    var epsilon: Double?

    @Option(help: "Chance that a record takes part in a step (Poisson sampling).")
    var samplingRate: String = "1"

    @Option(help: "How many steps are composed.")
    var steps: Int = 1

    @Option(help: "δ, above 0 and below 1.")
    var delta: Double

    @Option(help: "gdp, zcdp, rdp or pld; the tightest that can bound the event when not given.")
    var accountant: AccountantName?

    @Option(help: "Whose data: client or record.")
    var unit: UnitName = .record

    enum AccountantName: String, ExpressibleByArgument, CaseIterable {
        case gdp, zcdp, rdp, pld
        var kind: AccountantKind { AccountantKind(rawValue: rawValue)! }
    }

    enum UnitName: String, ExpressibleByArgument, CaseIterable {
        case client, record
        var unit: PrivacyUnit { PrivacyUnit(rawValue: rawValue)! }
    }

    struct Payload: Encodable {
        struct Interval: Encodable {
            let lower: Double
            let upper: Double
        }

        let mechanism: String
        let noiseMultiplier: Double
        let samplingRate: Double
        let steps: Int
        let delta: Double
        let unit: String
        let accountant: String
        let basis: String
        let epsilon: Interval
    }

    func validate() throws {
        guard (noiseMultiplier == nil) != (epsilon == nil) else {
            throw ValidationError("Give either --noise-multiplier or --epsilon.")
        }
        guard steps >= 1 else { throw ValidationError("--steps must be at least 1.") }
    }

    func execute(_ console: Console) throws -> Payload {
        let rate = try number(samplingRate, "--sampling-rate")
        let multiplier: Rational
        if let noiseMultiplier {
            multiplier = try number(noiseMultiplier, "--noise-multiplier")
        } else {
            multiplier = try solve(for: epsilon!, rate: rate)
        }
        let tally = try EventTally(event(multiplier, rate: rate), count: steps)
        let (kind, interval) = try price(tally)
        return Payload(
            mechanism: mechanism.rawValue, noiseMultiplier: multiplier.asDouble,
            samplingRate: rate.asDouble, steps: steps, delta: delta, unit: unit.rawValue,
            accountant: kind.rawValue, basis: interval.basis.rawValue,
            epsilon: Payload.Interval(lower: interval.lower, upper: interval.upper))
    }

    func describe(_ payload: Payload) -> String {
        """
        ε ≤ \(decimal(payload.epsilon.upper, 6)) at δ = \(payload.delta) for one \(payload.unit) \
        (and at least \(decimal(payload.epsilon.lower, 6)))
        \(payload.mechanism), noise multiplier \(decimal(payload.noiseMultiplier, 6)), sampling rate \
        \(payload.samplingRate), \(payload.steps) steps; accountant \(payload.accountant), \(payload.basis) bound
        """
    }

    private func event(
        _ multiplier: Rational, rate: Rational
    ) throws(AccountingError) -> PrivacyEvent {
        let kind: PrivacyEvent.Kind =
            switch mechanism {
            case .gaussian: .gaussian(noiseMultiplier: multiplier)
            case .discreteGaussian:
                .discreteGaussian(delta2Squared: 1, sigmaSquared: multiplier * multiplier)
            case .laplace: .laplace(noiseMultiplier: multiplier)
            }
        return try PrivacyEvent(
            unit: unit.unit, adjacency: .zeroOut,
            kind: rate == 1 ? kind : .poissonSampled(rate: rate, kind))
    }

    /// The chosen accountant's answer, or the tightest one that rests on published theorems.
    private func price(_ tally: EventTally) throws(AccountingError) -> (AccountantKind, EpsilonInterval) {
        if let accountant {
            return (accountant.kind, try accountant.kind.accountant.epsilon(of: tally, delta: delta))
        }
        var best: (AccountantKind, EpsilonInterval)?
        var refusal: AccountingError?
        for kind in AccountantKind.allCases {
            do {
                let interval = try kind.accountant.epsilon(of: tally, delta: delta)
                guard let current = best else {
                    best = (kind, interval)
                    continue
                }
                if (interval.basis, interval.upper) < (current.1.basis, current.1.upper) {
                    best = (kind, interval)
                }
            } catch {
                refusal = error
            }
        }
        guard let best else { throw refusal! }
        return best
    }

    private func solve(for epsilon: Double, rate: Rational) throws(AccountingError) -> Rational {
        let build = { (multiplier: Rational) throws(AccountingError) in try event(multiplier, rate: rate) }
        if let accountant {
            return try Calibration.noiseMultiplier(
                epsilon: epsilon, delta: delta, count: steps, accountant: accountant.kind.accountant,
                event: build)
        }
        // The accountant that is tightest for some noise of this shape is tightest for all of them.
        let (kind, _) = try price(EventTally(event(1, rate: rate), count: steps))
        return try Calibration.noiseMultiplier(
            epsilon: epsilon, delta: delta, count: steps, accountant: kind.accountant, event: build)
    }

    private func number(_ text: String, _ option: String) throws -> Rational {
        guard let value = Rational(scientific: text), value.sign > 0 else {
            throw CommandFailure(.usage, "\(option) must be a decimal or fraction above 0, not `\(text)`")
        }
        return value
    }
}
