import GMP
import Sodium

/// Which noise clients add.
public enum NoiseMechanism: String, Sendable, Hashable, CaseIterable {
    /// N_Z(0, σ_l²) shares; sums are discrete Gaussian up to a bounded, negligible τ.
    case discreteGaussian = "discrete-gaussian"
    /// Skellam shares; sums are exactly Skellam.
    case skellam
}

/// How the noise of clients that are lost is made up for.
public enum DropoutNoise: String, Sendable, Hashable, CaseIterable {
    /// Every client adds enough for the fewest survivors allowed; with more of them the sum carries more
    /// noise than was promised.
    case floor
    /// Every client adds as much, and what the survivors' number makes superfluous is removed: the sum
    /// carries what was promised, within 5 % of variance. Needs Skellam noise.
    case exact
}

/// The noise of one round, whichever mechanism makes it.
public enum DistributedNoise: Sendable, Hashable {
    case discreteGaussian(DistributedDiscreteGaussian)
    case skellam(DistributedSkellam)

    /// The name that ledgers and reports carry.
    public var name: String {
        switch self {
        case .discreteGaussian: "distributed-discrete-gaussian"
        case .skellam: "distributed-skellam"
        }
    }

    /// t, the fewest contributions an opened sum can have.
    public var minSurvivors: Int {
        switch self {
        case .discreteGaussian(let noise): noise.minSurvivors
        case .skellam(let noise): noise.minSurvivors
        }
    }

    /// κ, how many of them may collude with the adversary.
    public var colluders: Int {
        switch self {
        case .discreteGaussian(let noise): noise.colluders
        case .skellam(let noise): noise.colluders
        }
    }

    /// σ_l², the variance of what one client adds, in squared integer steps.
    public var localVariance: Rational {
        switch self {
        case .discreteGaussian(let noise): noise.localVariance
        case .skellam(let noise): noise.localVariance
        }
    }

    /// The components of add-then-remove noise, or nil when everything stays.
    public var levels: NoiseLevels? {
        if case .skellam(let noise) = self { noise.levels } else { nil }
    }

    /// h = t − κ
    public var honestShares: Int { minSurvivors - colluders }

    /// σ_c² = hσ_l², the variance that the privacy claim counts on.
    public var guaranteedVariance: Rational { Rational(honestShares) * localVariance }

    /// The variance of the noise left in a sum over `survivors` contributions, colluders included.
    public func deliveredVariance(survivors: Int) -> Rational {
        switch self {
        case .discreteGaussian(let noise): noise.deliveredVariance(survivors: survivors)
        case .skellam(let noise): noise.deliveredVariance(survivors: survivors)
        }
    }

    /// The largest of these for any number of survivors among `clients`: what the modulus must hold.
    public func deliveredVarianceMax(clients: Int) -> Rational {
        guard let levels else { return deliveredVariance(survivors: clients) }
        // The most is left just above a level, where the next one has to be kept for one loss.
        return ([-1, 0] + levels.dropouts).map { lost in
            deliveredVariance(survivors: max(minSurvivors, levels.clients - lost - 1))
        }.max()!
    }

    /// z² = σ_c²/Δ₂², exact: the squared noise multiplier that accounting may use.
    public func noiseMultiplierSquared(sensitivitySquared: UInt64) -> Rational {
        guaranteedVariance / Rational(BigInteger(sensitivitySquared))
    }

    /// τ of a sum of h shares: what separates it from the law it is priced as; 0 for Skellam shares.
    public var sumTau: Double {
        if case .discreteGaussian(let noise) = self { noise.sumTau } else { 0 }
    }

    /// What happens to one unit of L2 sensitivity √`sensitivitySquared` in one round.
    public func event(sensitivitySquared: UInt64, dimension: Int) -> PrivacyEvent.Kind {
        switch self {
        case .discreteGaussian(let noise):
            .discreteGaussianSum(
                delta2Squared: BigInteger(sensitivitySquared), sigmaLocalSquared: noise.localVariance,
                honestShares: noise.honestShares, dimension: dimension)
        case .skellam(let noise):
            .skellamSum(
                delta2Squared: BigInteger(sensitivitySquared), variance: noise.guaranteedVariance,
                dimension: dimension)
        }
    }

    /// The seeds that one client needs for one vector; 0 without removable components.
    public var seedCount: Int { levels?.count ?? 0 }

    /// One client's noise for one vector of `count` coordinates.
    ///
    /// - Parameter seeds: `seedCount` secrets of 31 bytes that determine the removable components.
    public func noiseShare(
        count: Int, seeds: [SecretBytes] = [], using random: StreamRandom
    ) -> NoiseShare {
        switch self {
        case .discreteGaussian(let noise):
            precondition(seeds.isEmpty, "discrete Gaussian noise has no removable components")
            return noise.noiseShare(count: count, using: random)
        case .skellam(let noise):
            return noise.noiseShare(count: count, seeds: seeds, using: random)
        }
    }
}
