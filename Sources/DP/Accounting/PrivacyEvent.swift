import GMP

/// Whose data one guarantee is about.
public enum PrivacyUnit: String, Hashable, Sendable, CaseIterable {
    /// A whole participant: every update that one client sends.
    case client
    /// One training example inside a client.
    case record
}

/// Which two data sets count as neighbours.
public enum Adjacency: String, Hashable, Sendable, CaseIterable {
    /// The unit's contribution becomes zero; its noise share, if it adds one, stays.
    case zeroOut = "zero-out"
    /// The unit is present in one data set and absent from the other.
    case addRemove = "add-remove"
    /// The unit's data is exchanged for other data.
    case replaceOne = "replace-one"
}

/// What happened to the data of one unit: a tree of mechanisms, with the unit and adjacency under
/// which its sensitivities were measured. Accountants say what it cost.
///
/// Every number is exact, so that an event written to a ledger reads back as the same event.
public struct PrivacyEvent: Hashable, Sendable {
    public let unit: PrivacyUnit
    public let adjacency: Adjacency
    public let kind: Kind

    /// Sensitivities are always distances between the two *neighbours'* outputs under the event's
    /// adjacency; a replace-one event therefore states twice the clip norm.
    public indirect enum Kind: Hashable, Sendable {
        /// Continuous Gaussian noise; `noiseMultiplier` is standard deviation over L2 sensitivity.
        case gaussian(noiseMultiplier: Rational)
        /// Continuous Laplace noise; `noiseMultiplier` is scale over L1 sensitivity.
        case laplace(noiseMultiplier: Rational)
        /// N_Z(0, sigmaSquared) added to each coordinate of an integer vector, drawn by one party.
        case discreteGaussian(delta2Squared: BigInteger, sigmaSquared: Rational)
        /// Noise with P[x] ∝ exp(−|x|/scale) added to one integer.
        case discreteLaplace(scale: Rational, sensitivity: Int)
        /// The sum of `honestShares` independent N_Z(0, sigmaLocalSquared) added to each of
        /// `dimension` integer coordinates ([KLS21]). Shares that colluders know are not counted.
        case discreteGaussianSum(
            delta2Squared: BigInteger, sigmaLocalSquared: Rational, honestShares: Int, dimension: Int)
        /// Skellam noise of total variance `variance` on each of `dimension` integer coordinates.
        case skellamSum(delta2Squared: BigInteger, variance: Rational, dimension: Int)
        /// With probability `noiseProbability` a uniform choice of `buckets`, otherwise the truth.
        case randomisedResponse(noiseProbability: Rational, buckets: Int)
        /// The mechanism on a data set that each unit joins with probability `rate`, independently
        /// and in secret.
        case poissonSampled(rate: Rational, Kind)
        /// All of these, each possibly chosen after seeing the outputs of the earlier ones.
        case composed([Kind])
        /// The mechanism `count` times.
        case repeated(Kind, count: Int)
        /// Something that touches data but that no accountant here can price.
        case unsupported(String)
    }

    /// Checks every number of the tree.
    public init(unit: PrivacyUnit, adjacency: Adjacency, kind: Kind) throws(AccountingError) {
        try kind.validate()
        try kind.validate(unit: unit, adjacency: adjacency)
        self.unit = unit
        self.adjacency = adjacency
        self.kind = kind
    }
}

extension PrivacyEvent.Kind {
    /// Largest number of repetitions in one tree; keeps every later count inside `Int`.
    static let countMax = 1 << 40

    /// Smallest and largest ratio of noise to sensitivity that doubles carry safely.
    private static let ratioMin = Rational(1, 1_000_000)
    private static let ratioMax = Rational(1_000_000_000_000)

    func validate() throws(AccountingError) {
        switch self {
        case .gaussian(let multiplier), .laplace(let multiplier):
            try Self.requireRatio("noiseMultiplier", multiplier)
        case .discreteGaussian(let delta2Squared, let sigmaSquared):
            try Self.requirePositive("delta2Squared", delta2Squared)
            try Self.requirePositive("sigmaSquared", sigmaSquared)
            try Self.requireSquaredRatio(sigmaSquared / Rational(delta2Squared))
        case .discreteLaplace(let scale, let sensitivity):
            guard (1...1_000_000).contains(sensitivity) else {
                throw .invalidParameter("sensitivity", "\(sensitivity)", "an integer from 1 to 1000000")
            }
            try Self.requirePositive("scale", scale)
            try Self.requireRatio("scale", scale / Rational(sensitivity))
        case .discreteGaussianSum(let delta2Squared, let sigmaLocalSquared, let honestShares, let dimension):
            try Self.requirePositive("delta2Squared", delta2Squared)
            try Self.requirePositive("sigmaLocalSquared", sigmaLocalSquared)
            try Self.requireAtLeastOne("honestShares", honestShares)
            try Self.requireAtLeastOne("dimension", dimension)
            try Self.requireSquaredRatio(
                sigmaLocalSquared * Rational(honestShares) / Rational(delta2Squared))
        case .skellamSum(let delta2Squared, let variance, let dimension):
            try Self.requirePositive("delta2Squared", delta2Squared)
            try Self.requirePositive("variance", variance)
            try Self.requireAtLeastOne("dimension", dimension)
            try Self.requireSquaredRatio(variance / Rational(delta2Squared))
        case .randomisedResponse(let noiseProbability, let buckets):
            guard noiseProbability.sign > 0, noiseProbability <= 1 else {
                throw .invalidParameter("noiseProbability", "\(noiseProbability)", "above 0 and at most 1")
            }
            guard (2...1_000_000_000).contains(buckets) else {
                throw .invalidParameter("buckets", "\(buckets)", "an integer of at least 2")
            }
            try Self.requireRatio("noiseProbability", noiseProbability)
        case .poissonSampled(let rate, let inner):
            guard rate.sign >= 0, rate <= 1 else {
                throw .invalidParameter("rate", "\(rate)", "a probability from 0 to 1")
            }
            try inner.validate()
        case .composed(let parts):
            for part in parts { try part.validate() }
        case .repeated(let inner, let count):
            guard (0...Self.countMax).contains(count) else {
                throw .invalidParameter("count", "\(count)", "from 0 to 2^40")
            }
            try inner.validate()
        case .unsupported:
            break
        }
    }

    /// Refuses the combinations for which the parameters above would not mean what they say.
    func validate(unit: PrivacyUnit, adjacency: Adjacency) throws(AccountingError) {
        switch self {
        case .discreteGaussianSum, .skellamSum:
            // A client that is absent takes its noise share with it: the sum has fewer shares
            // in one of the two worlds, and a pure shift no longer describes the pair.
            if unit == .client && adjacency == .addRemove {
                throw .unsupportedAdjacency(
                    "\(self)", unit, adjacency,
                    "an absent client adds no noise share; use zero-out, with one share less if needed")
            }
        case .poissonSampled(_, let inner):
            if adjacency == .replaceOne {
                throw .unsupportedAdjacency(
                    "\(self)", unit, adjacency,
                    "both worlds would be mixtures; state the event under zero-out or add-remove")
            }
            try inner.validate(unit: unit, adjacency: adjacency)
        case .composed(let parts):
            for part in parts { try part.validate(unit: unit, adjacency: adjacency) }
        case .repeated(let inner, _):
            try inner.validate(unit: unit, adjacency: adjacency)
        default:
            break
        }
    }

    private static func requirePositive(_ name: String, _ value: Rational) throws(AccountingError) {
        guard value.sign > 0 else { throw .invalidParameter(name, "\(value)", "above 0") }
    }

    private static func requirePositive(_ name: String, _ value: BigInteger) throws(AccountingError) {
        guard value.sign > 0 else { throw .invalidParameter(name, "\(value)", "an integer above 0") }
    }

    private static func requireAtLeastOne(_ name: String, _ value: Int) throws(AccountingError) {
        guard (1...1 << 48).contains(value) else {
            throw .invalidParameter(name, "\(value)", "an integer of at least 1")
        }
    }

    private static func requireRatio(_ name: String, _ value: Rational) throws(AccountingError) {
        guard value >= ratioMin, value <= ratioMax else {
            throw .invalidParameter(name, "\(value)", "from 1e-6 to 1e12")
        }
    }

    private static func requireSquaredRatio(_ value: Rational) throws(AccountingError) {
        guard value >= ratioMin * ratioMin, value <= ratioMax * ratioMax else {
            throw .invalidParameter(
                "noise variance over squared sensitivity", "\(value)", "from 1e-12 to 1e24")
        }
    }
}

extension PrivacyEvent.Kind: CustomStringConvertible {
    /// One canonical spelling per event; accountants sort by it, so that order never matters.
    public var description: String {
        switch self {
        case .gaussian(let multiplier): "gaussian(noiseMultiplier: \(multiplier))"
        case .laplace(let multiplier): "laplace(noiseMultiplier: \(multiplier))"
        case .discreteGaussian(let delta2Squared, let sigmaSquared):
            "discreteGaussian(delta2Squared: \(delta2Squared), sigmaSquared: \(sigmaSquared))"
        case .discreteLaplace(let scale, let sensitivity):
            "discreteLaplace(scale: \(scale), sensitivity: \(sensitivity))"
        case .discreteGaussianSum(let delta2Squared, let sigmaLocalSquared, let honestShares, let dimension):
            """
            discreteGaussianSum(delta2Squared: \(delta2Squared), sigmaLocalSquared: \
            \(sigmaLocalSquared), honestShares: \(honestShares), dimension: \(dimension))
            """
        case .skellamSum(let delta2Squared, let variance, let dimension):
            "skellamSum(delta2Squared: \(delta2Squared), variance: \(variance), dimension: \(dimension))"
        case .randomisedResponse(let noiseProbability, let buckets):
            "randomisedResponse(noiseProbability: \(noiseProbability), buckets: \(buckets))"
        case .poissonSampled(let rate, let inner): "poissonSampled(rate: \(rate), \(inner))"
        case .composed(let parts):
            "composed(\(parts.map(\.description).joined(separator: ", ")))"
        case .repeated(let inner, let count): "repeated(\(inner), count: \(count))"
        case .unsupported(let name): "unsupported(\(name))"
        }
    }
}

extension PrivacyEvent: CustomStringConvertible {
    public var description: String { "\(kind) for one \(unit.rawValue), \(adjacency.rawValue)" }
}
