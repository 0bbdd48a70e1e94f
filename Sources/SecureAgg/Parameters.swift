import GMP
import Sodium

/// Against whom a round's promise holds.
public enum SecurityProfile: Int, Sendable, Hashable, CaseIterable {
    /// The server may lie, equivocate, drop and replay, together with up to C clients. Needs a roster.
    case maliciousServer = 1
    /// The server follows the protocol but looks at everything, together with up to C clients.
    case semiHonest = 2

    /// The name that every output shows.
    public var name: String {
        switch self {
        case .maliciousServer: "malicious-server"
        case .semiHonest: "semi-honest"
        }
    }
}

/// What one aggregation round is about and which promises it makes; carried by the signed manifest.
///
/// A value of this type passed every check that does not depend on the cohort. What depends on the
/// cohort's size n (neighbours and threshold) comes from `topology(cohortSize:)`.
public struct AggregationParameters: Hashable, Sendable {
    /// The federation's name for the job; (task, round) never repeats.
    public let task: String
    public let round: UInt64
    /// The digest of the round plan (model, adapter, encoding, DP terms): opaque here, bound into every
    /// key, mask and signature.
    public let context: Digest
    /// The number d of coordinates, 1 … 2^30.
    public let vectorLength: Int
    /// The bits b per coordinate, 8 … 32; sums are exact modulo 2^b.
    public let modulusBits: Int
    /// Coordinates per chunk, a multiple of 64.
    public let chunkLength: Int
    /// n_min … n_max.
    public let cohort: ClosedRange<Int>
    /// Only sums over at least this many contributions are ever opened.
    public let minSurvivors: Int
    public let profile: SecurityProfile
    /// γ: C = ⌊γ·n⌋ clients may collude with the server.
    public let colluderFraction: Rational
    /// δ: up to ⌊δ·n⌋ clients may vanish and the round still completes.
    public let dropoutFraction: Rational
    /// σ: the graph fails to protect someone with probability at most 2^−σ.
    public let securityBits: Int
    /// η: the graph fails to recover with probability at most 2^−η.
    public let correctnessBits: Int
    /// Allows cohorts below the default floors. Members of a tiny cohort can subtract themselves,
    /// so differential privacy is then the only protection; outputs must say so.
    public let allowTinyCohort: Bool
    /// Noise that is added in case and removed again; its last level is the most clients that the survivor
    /// floor lets a round lose. Nil: none.
    public let removableNoise: RemovableNoise?

    public static let defaultChunkLength = 1 << 18
    /// The default floors of a cohort and of its survivors beyond C.
    public static let defaultCohortFloor = 32
    public static let defaultSurvivorsBeyondColluders = 16
    /// No flag goes below this.
    public static let hardCohortFloor = 3

    /// - Throws: `ParameterError` naming the first value that cannot be used.
    public init(
        task: String, round: UInt64, context: Digest, vectorLength: Int, modulusBits: Int,
        cohort: ClosedRange<Int>, minSurvivors: Int, profile: SecurityProfile = .maliciousServer,
        colluderFraction: Rational, dropoutFraction: Rational, securityBits: Int = 40,
        correctnessBits: Int = 30, allowTinyCohort: Bool = false,
        chunkLength: Int = AggregationParameters.defaultChunkLength, removableNoise: RemovableNoise? = nil
    ) throws(ParameterError) {
        func require(_ condition: Bool, _ error: ParameterError) throws(ParameterError) {
            guard condition else { throw error }
        }
        let nameLength = task.utf8.count
        try require((1...Limits.taskNameBytes).contains(nameLength), .taskName(nameLength))
        try require((1...Limits.vectorLength).contains(vectorLength), .vectorLength(vectorLength))
        try require((8...32).contains(modulusBits), .modulusBits(modulusBits))
        try require(
            chunkLength % 64 == 0 && (64...Limits.chunkLength).contains(chunkLength),
            .chunkLength(chunkLength))
        try require(
            cohort.lowerBound >= Self.hardCohortFloor && cohort.upperBound <= Limits.cohortSize,
            .cohortBounds(cohort))
        try require(
            (2...cohort.lowerBound).contains(minSurvivors),
            .survivorFloor(minSurvivors, cohortFloor: cohort.lowerBound))
        try require((30...128).contains(securityBits), .securityBits(securityBits))
        try require((10...64).contains(correctnessBits), .correctnessBits(correctnessBits))
        for fraction in [colluderFraction, dropoutFraction] {
            try require(
                fraction.sign >= 0 && fraction.denominator.bitWidth <= 32 && fraction < 1,
                .fraction(fraction))
        }
        let load =
            profile == .maliciousServer
            ? colluderFraction + dropoutFraction * 2 : colluderFraction + dropoutFraction
        try require(load <= Rational(9, 10), .fractionsTooLarge(load, profile))
        if !allowTinyCohort {
            let colluders = (colluderFraction * Rational(cohort.upperBound)).floor.asInt ?? .max
            try require(
                cohort.lowerBound >= Self.defaultCohortFloor
                    && minSurvivors - colluders >= Self.defaultSurvivorsBeyondColluders,
                .tinyCohort(
                    cohortFloor: cohort.lowerBound, survivorsBeyondColluders: minSurvivors - colluders))
        }
        if let removableNoise {
            let lost = cohort.upperBound - minSurvivors
            try require(
                removableNoise.dropouts.last == lost,
                .noiseLevels("levels that end at \(lost), the most clients that may be lost"))
        }
        self.task = task
        self.round = round
        self.context = context
        self.vectorLength = vectorLength
        self.modulusBits = modulusBits
        self.chunkLength = chunkLength
        self.cohort = cohort
        self.minSurvivors = minSurvivors
        self.profile = profile
        self.colluderFraction = colluderFraction
        self.dropoutFraction = dropoutFraction
        self.securityBits = securityBits
        self.correctnessBits = correctnessBits
        self.allowTinyCohort = allowTinyCohort
        self.removableNoise = removableNoise
    }

    /// C = ⌊γ·n⌋ for a cohort of n.
    public func colluders(cohortSize: Int) -> Int {
        (colluderFraction * Rational(cohortSize)).floor.asInt ?? 0
    }

    /// Neighbours k and threshold t for a cohort of n: every client and the server compute the same.
    ///
    /// - Throws: `ParameterError` when n is out of bounds or no graph can carry the promised dropouts.
    public func topology(cohortSize: Int) throws(ParameterError) -> Topology {
        guard cohort.contains(cohortSize) else { throw .cohortSize(cohortSize, allowed: cohort) }
        return try Topology.select(parameters: self, cohortSize: cohortSize)
    }

    /// In words, the terms that two rounds do not share.
    func differences(from other: AggregationParameters) -> [String] {
        func differ(_ path: KeyPath<Self, some Equatable>) -> Bool {
            self[keyPath: path] != other[keyPath: path]
        }
        let terms: [(name: String, isOther: Bool)] = [
            ("task", differ(\.task)), ("round", differ(\.round)), ("context", differ(\.context)),
            ("vector length", differ(\.vectorLength)), ("modulus", differ(\.modulusBits)),
            ("chunk length", differ(\.chunkLength)), ("cohort bounds", differ(\.cohort)),
            ("survivor floor", differ(\.minSurvivors)), ("profile", differ(\.profile)),
            ("colluder fraction", differ(\.colluderFraction)),
            ("dropout fraction", differ(\.dropoutFraction)), ("security bits", differ(\.securityBits)),
            ("correctness bits", differ(\.correctnessBits)),
            ("permission for tiny cohorts", differ(\.allowTinyCohort)),
            ("noise levels", differ(\.removableNoise)),
        ]
        return terms.filter(\.isOther).map(\.name)
    }

    /// The mask of the ring: 2^b − 1.
    var modulusMask: UInt32 { UInt32.max >> UInt32(32 - modulusBits) }

    var chunkCount: Int { (vectorLength + chunkLength - 1) / chunkLength }

    /// The coordinates of chunk `index`.
    func chunk(_ index: Int) -> Range<Int> {
        index * chunkLength..<min(vectorLength, (index + 1) * chunkLength)
    }

    /// Bytes of `count` coordinates packed at b bits.
    func packedBytes(_ count: Int) -> Int { (count * modulusBits + 7) / 8 }
}

/// A parameter that cannot be used, with the bound it breaks.
public enum ParameterError: Error, Hashable, Sendable {
    case taskName(Int)
    case vectorLength(Int)
    case modulusBits(Int)
    case chunkLength(Int)
    case cohortBounds(ClosedRange<Int>)
    case cohortSize(Int, allowed: ClosedRange<Int>)
    case survivorFloor(Int, cohortFloor: Int)
    case securityBits(Int)
    case correctnessBits(Int)
    case fraction(Rational)
    case fractionsTooLarge(Rational, SecurityProfile)
    case tinyCohort(cohortFloor: Int, survivorsBeyondColluders: Int)
    /// What the levels of removable noise must be.
    case noiseLevels(String)
    case dropoutsBeyondThreshold(cohortSize: Int, threshold: Int, dropouts: Int)
}

extension ParameterError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .taskName(let length):
            "the task name has \(length) bytes; use 1 to \(Limits.taskNameBytes)"
        case .vectorLength(let length):
            "the vector length \(length) is outside 1 to \(Limits.vectorLength)"
        case .modulusBits(let bits):
            "\(bits) bits per coordinate are outside 8 to 32"
        case .chunkLength(let length):
            "the chunk length \(length) is not a multiple of 64 between 64 and \(Limits.chunkLength)"
        case .cohortBounds(let bounds):
            "the cohort bounds \(bounds.lowerBound) to \(bounds.upperBound) are outside "
                + "\(AggregationParameters.hardCohortFloor) to \(Limits.cohortSize)"
        case .cohortSize(let size, let allowed):
            "a cohort of \(size) is outside the announced \(allowed.lowerBound) to \(allowed.upperBound)"
        case .survivorFloor(let floor, let cohortFloor):
            "the survivor floor \(floor) is outside 2 to the smallest cohort, \(cohortFloor)"
        case .securityBits(let bits):
            "\(bits) security bits are outside 30 to 128"
        case .correctnessBits(let bits):
            "\(bits) correctness bits are outside 10 to 64"
        case .fraction(let fraction):
            "the fraction \(fraction) is outside 0 to 1 or has a denominator of 2^32 or more"
        case .fractionsTooLarge(let load, let profile):
            "colluder and dropout fractions weigh \(load) together; \(profile.name) allows at most 9/10 "
                + (profile == .maliciousServer ? "(γ + 2δ)" : "(γ + δ)")
        case .tinyCohort(let cohortFloor, let survivors):
            "a cohort from \(cohortFloor) with \(survivors) survivors beyond the colluders is below the "
                + "floors \(AggregationParameters.defaultCohortFloor) and "
                + "\(AggregationParameters.defaultSurvivorsBeyondColluders); allow tiny cohorts explicitly if "
                + "differential privacy alone protects each member enough"
        case .noiseLevels(let requirement):
            "removable noise needs \(requirement)"
        case .dropoutsBeyondThreshold(let size, let threshold, let dropouts):
            "of \(size) clients \(dropouts) may vanish, but \(threshold) must answer; "
                + "lower the dropout or the colluder fraction"
        }
    }
}
