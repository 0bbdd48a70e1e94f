import ArgumentParser
import DP
import GMP

/// What `fedtrain account` can price, and the options that describe it.
struct MechanismOptions: ParsableArguments {
    enum Mechanism: String, ExpressibleByArgument, CaseIterable {
        case gaussian
        case discreteGaussian = "discrete-gaussian"
        case laplace
        case discreteLaplace = "discrete-laplace"
        case skellam
        case sumOfDiscreteGaussians = "sum-of-discrete-gaussians"
        case randomizedResponse = "randomized-response"

        /// Noise on integers, whose sensitivity is a number of steps.
        var isInteger: Bool {
            switch self {
            case .discreteGaussian, .discreteLaplace, .skellam, .sumOfDiscreteGaussians: true
            case .gaussian, .laplace, .randomizedResponse: false
            }
        }
    }

    @Option(help: "What is added: \(Mechanism.allCases.map(\.rawValue).joined(separator: ", ")).")
    var mechanism: Mechanism = .gaussian

    @Option(
        help: ArgumentHelp(
            "Noise over sensitivity: standard deviation (discrete-gaussian: the parameter σ), or Laplace's scale."
        ))
    var noiseMultiplier: String?

    @Option(help: "Integer noise: sensitivity in integer steps (L2 norm of a vector).")
    var sensitivity: Int?

    @Option(help: "Integer noise: how many coordinates the noised vector has.")
    var dimension: Int?

    @Option(help: "sum-of-discrete-gaussians: how many honest parties' shares make up the noise.")
    var shares: Int?

    @Option(help: "randomized-response: chance that the answer is drawn at random.")
    var noiseProbability: String?

    @Option(help: "randomized-response: how many answers there are.")
    var buckets: Int?

    @Option(
        help: ArgumentHelp(
            "Gaussian with adaptive clipping: deviation of the noise on the count of unclipped updates, "
                + "paid for on top.", valueName: "deviation"))
    var clipIndicatorNoise: String?

    @Option(help: "Chance that a record takes part in a step (Poisson sampling).")
    var samplingRate: String = "1"

    @Option(help: "How many steps are composed.")
    var steps: Int = 1

    @Option(help: "Units of one person: the answer is for all of them together.")
    var groupSize: Int = 1

    @Option(help: "Whose data: client or record.")
    var unit: UnitName = .record

    @Option(help: "Neighbours: zero-out, add-remove or replace-one (state the sensitivity between them).")
    var adjacency: AdjacencyName = .zeroOut

    enum UnitName: String, ExpressibleByArgument, CaseIterable {
        case client, record
        var unit: PrivacyUnit { PrivacyUnit(rawValue: rawValue)! }
    }

    enum AdjacencyName: String, ExpressibleByArgument, CaseIterable {
        case zeroOut = "zero-out"
        case addRemove = "add-remove"
        case replaceOne = "replace-one"
        var adjacency: Adjacency { Adjacency(rawValue: rawValue)! }
    }

    func validate() throws {
        guard steps >= 1 else { throw ValidationError("--steps must be at least 1.") }
        guard groupSize >= 1 else { throw ValidationError("--group-size must be at least 1.") }
        if !mechanism.isInteger, sensitivity != nil || dimension != nil {
            throw ValidationError(
                "--sensitivity and --dimension belong to integer noise, not to \(mechanism.rawValue).")
        }
        if let sensitivity, !(1...1_000_000).contains(sensitivity) {
            throw ValidationError("--sensitivity must be from 1 to 1000000 integer steps.")
        }
        if let dimension, !(1...1 << 40).contains(dimension) {
            throw ValidationError("--dimension must be from 1 to 2^40.")
        }
        if mechanism == .discreteLaplace, (dimension ?? 1) != 1 {
            throw ValidationError("discrete-laplace is priced for one integer: --dimension must be 1.")
        }
        if (mechanism == .sumOfDiscreteGaussians) != (shares != nil) {
            throw ValidationError(
                mechanism == .sumOfDiscreteGaussians
                    ? "sum-of-discrete-gaussians needs --shares."
                    : "--shares belongs to sum-of-discrete-gaussians.")
        }
        if let shares, !(1...1 << 40).contains(shares) {
            throw ValidationError("--shares must be from 1 to 2^40.")
        }
        if mechanism != .randomizedResponse, noiseProbability != nil || buckets != nil {
            throw ValidationError("--noise-probability and --buckets belong to randomized-response.")
        }
        if mechanism == .randomizedResponse {
            if noiseMultiplier != nil {
                throw ValidationError(
                    "randomized-response takes --noise-probability, not --noise-multiplier.")
            }
            guard let buckets, (2...1_000_000_000).contains(buckets) else {
                throw ValidationError("randomized-response needs --buckets of at least 2.")
            }
        }
        if clipIndicatorNoise != nil {
            guard mechanism == .gaussian else {
                throw ValidationError("--clip-indicator-noise belongs to gaussian.")
            }
            guard let clipDeviation, clipDeviation.sign > 0 else {
                throw ValidationError("--clip-indicator-noise must be a number above 0.")
            }
        }
    }

    /// The noise parameter as given; nil when it is to be solved for.
    func noise() throws -> Rational? {
        mechanism == .randomizedResponse
            ? try noiseProbability.map { try Self.number($0, "--noise-probability") }
            : try noiseMultiplier.map { try Self.number($0, "--noise-multiplier") }
    }

    /// Checked by `validate`.
    private var clipDeviation: Rational? { clipIndicatorNoise.flatMap { Rational(scientific: $0) } }

    func rate() throws -> Rational { try Self.number(samplingRate, "--sampling-rate") }

    /// The chance of a random answer that a multiplier in 0 ... ∞ stands for while solving.
    static func probability(ofMultiplier multiplier: Rational) -> Rational {
        multiplier / (multiplier + 1)
    }

    /// One step on a group of units.
    func event(noise: Rational, rate: Rational) throws(AccountingError) -> PrivacyEvent {
        let shift = Rational(sensitivity ?? 1)
        let squared = BigInteger(sensitivity ?? 1) * BigInteger(sensitivity ?? 1)
        let variance = noise * noise * shift * shift
        let kind: PrivacyEvent.Kind =
            switch mechanism {
            case .gaussian:
                .gaussian(
                    noiseMultiplier: clipDeviation.map {
                        AdaptiveClipping.combinedMultiplier(update: noise, indicatorDeviation: $0)
                    } ?? noise)
            case .laplace:
                .laplace(noiseMultiplier: noise)
            case .discreteGaussian:
                (dimension ?? 1) == 1
                    ? .discreteGaussianSum(
                        delta2Squared: squared, sigmaLocalSquared: variance, honestShares: 1, dimension: 1)
                    : .discreteGaussian(delta2Squared: squared, sigmaSquared: variance)
            case .discreteLaplace:
                .discreteLaplace(scale: noise * shift, sensitivity: sensitivity ?? 1)
            case .skellam:
                .skellamSum(delta2Squared: squared, variance: variance, dimension: dimension ?? 1)
            case .sumOfDiscreteGaussians:
                .discreteGaussianSum(
                    delta2Squared: squared, sigmaLocalSquared: variance / Rational(shares ?? 1),
                    honestShares: shares ?? 1, dimension: dimension ?? 1)
            case .randomizedResponse:
                .randomisedResponse(noiseProbability: noise, buckets: buckets ?? 2)
            }
        let sampled: PrivacyEvent.Kind = rate == 1 ? kind : .poissonSampled(rate: rate, kind)
        return try PrivacyEvent(unit: unit.unit, adjacency: adjacency.adjacency, kind: sampled)
            .forGroup(of: groupSize)
    }

    static func number(_ text: String, _ option: String) throws -> Rational {
        guard let value = Rational(scientific: text), value.sign > 0 else {
            throw CommandFailure(
                .usage, "\(option) must be a decimal or fraction above 0, not `\(text)`",
                hint: "fedtrain account --help")
        }
        return value
    }
}
