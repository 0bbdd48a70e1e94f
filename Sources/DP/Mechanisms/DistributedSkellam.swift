import GMP
import Sodium
import Synchronization

/// The noise of one round as Skellam shares: each client adds its own, and only the sum is opened.
///
/// Claim. Under the precondition of `DistributedDiscreteGaussian` an opened sum holds, in each
/// coordinate, Skellam noise of variance at least hσ_l² that the adversary does not know, h = t − κ:
/// Skellam shares add up to exactly a Skellam variable, so there is no τ. Its price is that of
/// `PrivacyEvent.Kind.skellamSum` ([AKL21]). Samples are exact (`TableSampler`), so nothing is added to δ.
///
/// With `levels` the shares consist of components that seeds determine, and those which the actual number
/// of losses makes superfluous are revealed and removed. The promised variance is then t·σ_l², of which
/// (s − κ)/s, at least h/t, comes from honest clients among s survivors: again hσ_l² or more. What is
/// revealed is independent of what stays, so revealing it costs no privacy.
public struct DistributedSkellam: Sendable {
    /// t
    public let minSurvivors: Int
    /// κ
    public let colluders: Int
    /// σ_l², the variance of all the noise that one client adds, in squared integer steps.
    public let localVariance: Rational
    /// The components, or nil when everything that is added stays.
    public let levels: NoiseLevels?
    private let tables: NoiseTables

    public init(
        minSurvivors: Int, colluders: Int, localVariance: Rational, levels: NoiseLevels? = nil
    ) throws(PlanError) {
        try PlanError.require("minSurvivors", minSurvivors, in: 1...1 << 20)
        try PlanError.require("colluders", colluders, in: 0...1 << 20)
        guard minSurvivors > colluders else {
            throw .noHonestNoise(minSurvivors: minSurvivors, colluders: colluders)
        }
        guard localVariance >= DistributedDiscreteGaussian.localVarianceMin else {
            throw .localNoiseTooSmall(localVariance: "\(localVariance)")
        }
        guard TableSampler.canHold(.skellam(variance: localVariance)) else {
            throw .outOfRange(
                "localVariance", "\(localVariance)",
                "small enough for Skellam noise (below 28,000 steps); use discrete-gaussian, or less noise")
        }
        if let levels {
            precondition(levels.clients - levels.dropoutsMax == minSurvivors, "the levels have another floor")
        }
        self.minSurvivors = minSurvivors
        self.colluders = colluders
        self.localVariance = localVariance
        self.levels = levels
        tables = NoiseTables(
            Self.variances(minSurvivors: minSurvivors, localVariance: localVariance, levels: levels))
    }

    /// h = t − κ
    public var honestShares: Int { minSurvivors - colluders }

    /// σ_c² = hσ_l², the variance that the privacy claim counts on.
    public var guaranteedVariance: Rational { Rational(honestShares) * localVariance }

    /// The variance of the noise left in a sum over `survivors` contributions, colluders included.
    public func deliveredVariance(survivors: Int) -> Rational {
        guard let levels else { return Rational(survivors) * localVariance }
        return levels.deliveredVariance(
            survivors: survivors, promised: Rational(minSurvivors) * localVariance)
    }

    /// L, the seeds that one client needs for one vector.
    public var seedCount: Int { levels?.count ?? 0 }

    /// One client's noise for one vector of `count` coordinates.
    ///
    /// - Parameters:
    ///   - seeds: one for each removable component, 31 secret bytes, used for this vector only.
    ///   - random: for the component that always stays.
    public func noiseShare(
        count: Int, seeds: [SecretBytes] = [], using random: StreamRandom
    ) -> NoiseShare {
        precondition(seeds.count == seedCount, "one seed for each removable component")
        return NoiseShare(count: count) { values in
            tables.sampler(0).fill(values, using: random)
            for (index, seed) in seeds.enumerated() {
                component(index + 1, seed).add(to: values)
            }
        }
    }

    /// Takes the component that a revealed seed determines out of an opened sum, modulo 2^32.
    ///
    /// - Parameters:
    ///   - level: 1 … L, the component's number.
    ///   - start: the coordinate of the first element of `sum`, a multiple of 8.
    public func remove(
        level: Int, seed: SecretBytes, from sum: UnsafeMutableBufferPointer<Int32>, startingAt start: Int = 0
    ) {
        component(level, seed).subtract(from: sum, startingAt: start)
    }

    /// Names the tables of all components: parties with equal digests compute equal noise from a seed.
    public var tableDigest: Digest {
        Digest.labelled(
            "dp/v1/noise-tables", (0...seedCount).map { tables.sampler($0).digest.bytes })
    }

    private func component(_ level: Int, _ seed: SecretBytes) -> SeededNoise {
        precondition((1...max(1, seedCount)).contains(level))
        return SeededNoise(sampler: tables.sampler(level), seed: seed, label: "\(level)")
    }

    private static func variances(
        minSurvivors: Int, localVariance: Rational, levels: NoiseLevels?
    ) -> [Rational] {
        guard let levels else { return [localVariance] }
        let promised = Rational(minSurvivors) * localVariance
        return (0...levels.count).map { levels.componentVariance($0, promised: promised) }
    }
}

extension DistributedSkellam: Hashable {
    public static func == (left: Self, right: Self) -> Bool {
        left.minSurvivors == right.minSurvivors && left.colluders == right.colluders
            && left.localVariance == right.localVariance && left.levels == right.levels
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(minSurvivors)
        hasher.combine(colluders)
        hasher.combine(localVariance)
        hasher.combine(levels)
    }
}

/// The samplers of a mechanism's components, each built when it is first asked for: a planner tries many
/// plans of which one draws noise.
private final class NoiseTables: Sendable {
    private let variances: [Rational]
    private let built: Mutex<[Int: TableSampler]> = Mutex([:])

    init(_ variances: [Rational]) { self.variances = variances }

    func sampler(_ index: Int) -> TableSampler {
        built.withLock { built in
            if let known = built[index] { return known }
            let sampler = TableSampler(.skellam(variance: variances[index]))
            built[index] = sampler
            return sampler
        }
    }
}
