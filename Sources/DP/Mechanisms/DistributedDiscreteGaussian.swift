import GMP
import Sodium

/// The noise of one round: each client adds discrete Gaussian noise, and only the sum is opened.
///
/// Claim. Precondition: aggregation opens nothing but sums over at least t = `minSurvivors`
/// contributions, at most κ = `colluders` of which withhold or reveal their noise, and each unit
/// changes one client's integer vector by at most Δ₂ in L2 (`EncodingPlan`). Then an opened sum holds
/// at least h = t − κ shares N_Z(0, σ_l²) in each coordinate that the adversary does not know, and so,
/// for the unit's zero-out neighbours, it is
/// - Δ₂²/(2hσ_l²)-zCDP up to the τ·d term of [KLS21] Theorem 1 (`sumTau`, below 10^−50 here because
///   σ_l ≥ 4 is required);
/// - for more than h shares no weaker: the further shares are post-processing.
///
/// Reduction modulo 2^b is post-processing too. Sources: [CKS20] Canonne, Kamath, Steinke, "The Discrete
/// Gaussian for Differential Privacy"; [KLS21] Kairouz, Liu, Steinke, "The Distributed Discrete Gaussian
/// Mechanism for Federated Learning with Secure Aggregation".
public struct DistributedDiscreteGaussian: Sendable, Hashable {
    /// t, the fewest contributions an opened sum can have.
    public let minSurvivors: Int
    /// κ, how many of them may collude with the adversary; canary clients count.
    public let colluders: Int
    /// σ_l², each client's noise variance in squared integer steps.
    public let localVariance: Rational

    /// σ_l ≥ 4 steps.
    public static let localVarianceMin = Rational(16)

    public init(minSurvivors: Int, colluders: Int, localVariance: Rational) throws(PlanError) {
        try PlanError.require("minSurvivors", minSurvivors, in: 1...1 << 20)
        try PlanError.require("colluders", colluders, in: 0...1 << 20)
        guard minSurvivors > colluders else {
            throw .noHonestNoise(minSurvivors: minSurvivors, colluders: colluders)
        }
        guard localVariance >= Self.localVarianceMin else {
            throw .localNoiseTooSmall(localVariance: "\(localVariance)")
        }
        self.minSurvivors = minSurvivors
        self.colluders = colluders
        self.localVariance = localVariance
    }

    /// h = t − κ, the shares that the privacy claim counts on.
    public var honestShares: Int { minSurvivors - colluders }

    /// σ_c² = h·σ_l², the variance that the privacy claim counts on.
    public var guaranteedVariance: Rational { Rational(honestShares) * localVariance }

    /// The variance of the noise in a sum over `survivors` contributions, colluders included.
    public func deliveredVariance(survivors: Int) -> Rational {
        Rational(survivors) * localVariance
    }

    /// z² = σ_c²/Δ₂², exact: the squared noise multiplier that accounting may use.
    public func noiseMultiplierSquared(sensitivitySquared: UInt64) -> Rational {
        guaranteedVariance / Rational(BigInteger(sensitivitySquared))
    }

    /// τ of [KLS21] for h shares, rounded up: what separates their sum from N_Z(0, hσ_l²).
    public var sumTau: Double {
        SumOfDiscreteGaussians.tau(sigmaLocalSquared: localVariance, shares: honestShares)
    }

    /// One client's noise for one vector of `count` coordinates.
    public func noiseShare(count: Int, using random: StreamRandom) -> NoiseShare {
        NoiseShare(count: count) {
            DiscreteGaussianSampler(variance: localVariance).fill($0, using: random)
        }
    }
}
