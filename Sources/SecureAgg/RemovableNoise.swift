import Sodium

/// Seeds of noise that clients add in case many of them are lost, opened level by level when few are.
///
/// Every client brings one seed for each level 1 … L, shared among its neighbours with its other secrets.
/// Of U = the cohort's upper bound, a round loses D = U − survivors clients; i* is the first level with
/// j_{i*} ≥ D (0 if D = 0). Stage 4 opens the survivors' seeds of all levels above i* and no other: each
/// client counts D itself from the survivor set that it signed, so nobody can ask for more. What a seed
/// stands for is not this layer's business; `derivation` names it.
public struct RemovableNoise: Hashable, Sendable {
    /// j_1 < … < j_L, numbers of lost clients.
    public let dropouts: [Int]
    /// The digest of the rule by which noise follows from a seed; bound with the manifest.
    public let derivation: Digest

    public static let levelsMax = 64
    /// The bytes of one seed.
    public static let seedLength = Shamir.secretLength

    /// - Throws: `ParameterError.noiseLevels` unless the numbers rise from 1 or more and there are 1 … 64.
    public init(dropouts: [Int], derivation: Digest) throws(ParameterError) {
        guard (1...Self.levelsMax).contains(dropouts.count), dropouts[0] >= 1,
            zip(dropouts, dropouts.dropFirst()).allSatisfy(<)
        else { throw .noiseLevels("between 1 and \(Self.levelsMax) rising numbers of lost clients") }
        self.dropouts = dropouts
        self.derivation = derivation
    }

    /// L
    public var count: Int { dropouts.count }

    /// i*, the highest level that stays closed when `lost` clients are missing; nil beyond the last level,
    /// where no sum may be opened.
    public func kept(lost: Int) -> Int? {
        guard lost > 0 else { return lost == 0 ? 0 : nil }
        return dropouts.firstIndex { $0 >= lost }.map { $0 + 1 }
    }
}

/// A seed that stage 4 opened: the noise that follows from it is to be taken out of the sum.
public struct RevealedNoise: Sendable {
    public let client: ClientID
    /// 1 … L
    public let level: Int
    /// 31 bytes, public from now on.
    public let seed: SecretBytes
}

extension AggregationParameters {
    /// The same round with all noise left in the sum.
    package func withoutRemovableNoise() throws(ParameterError) -> AggregationParameters {
        try AggregationParameters(
            task: task, round: round, context: context, vectorLength: vectorLength,
            modulusBits: modulusBits, cohort: cohort, minSurvivors: minSurvivors, profile: profile,
            colluderFraction: colluderFraction, dropoutFraction: dropoutFraction,
            securityBits: securityBits, correctnessBits: correctnessBits,
            allowTinyCohort: allowTinyCohort, chunkLength: chunkLength)
    }

    /// Shares that one dealer gives one holder: self-mask, mask-key seed, noise levels 1 … L.
    var sharesPerHolder: Int { 2 + (removableNoise?.count ?? 0) }

    /// The noise levels that a sum over `survivors` contributions opens, in ascending order.
    func openedNoiseLevels(survivors: Int) -> ClosedRange<Int>? {
        guard let removableNoise else { return nil }
        guard let kept = removableNoise.kept(lost: cohort.upperBound - survivors) else {
            preconditionFailure("fewer survivors than the floor were let through")
        }
        return kept < removableNoise.count ? kept + 1...removableNoise.count : nil
    }
}
