import GMP

/// Everything that turns clients' real updates into one private integer sum: encoding, noise and modulus,
/// solved together.
public struct AggregationPlan: Sendable, Hashable {
    /// What a plan is asked to achieve.
    public struct Request: Sendable, Hashable {
        /// d, the real coordinates of an update.
        public var dimension: Int
        /// c, the clip norm of one unit.
        public var clipNorm: Rational
        /// z: the guaranteed noise deviation is at least z·Δ₂.
        public var noiseMultiplier: Rational
        /// n, the clients invited to a round.
        public var clients: Int
        /// t, the fewest contributions an opened sum can have.
        public var minSurvivors: Int
        /// κ
        public var colluders: Int
        /// m, how many units one client's vector may sum: 1 for the unit *client*; for the unit *record* a
        /// number that the sampled records exceed rarely (`sampleSizeMax`). It serves the modulus only: a
        /// client that sampled more must encode them all, since leaving some out would tie records together.
        public var unitsPerClientMax = 1
        /// A wrap anywhere in a round's sum has probability at most 2^−failureBits.
        public var failureBits = 40
        /// The most bits a coordinate may take, 8 … 32.
        public var modulusBitsMax = 32
        /// The most that rounding may add to the sensitivity, as a fraction of it.
        public var roundingInflationMax = 0.005
        /// Whether a last coordinate counts clipped units.
        public var hasClipIndicator = false
        /// Whether only the argument that holds for every input may justify the modulus.
        public var worstCaseOnly = false
        public var mechanism = NoiseMechanism.discreteGaussian
        /// `exact` needs Skellam noise.
        public var dropoutNoise = DropoutNoise.floor

        public init(
            dimension: Int, clipNorm: Rational, noiseMultiplier: Rational, clients: Int,
            minSurvivors: Int, colluders: Int
        ) {
            self.dimension = dimension
            self.clipNorm = clipNorm
            self.noiseMultiplier = noiseMultiplier
            self.clients = clients
            self.minSurvivors = minSurvivors
            self.colluders = colluders
        }
    }

    public let encoding: EncodingPlan
    public let noise: DistributedNoise
    public let wrap: WrapBound

    /// b, the bits of a coordinate modulo 2^b.
    public var modulusBits: Int { wrap.modulusBits }
    /// The coordinates of the masked vector.
    public var length: Int { encoding.length }
    /// Δ₂² in squared steps.
    public var sensitivitySquared: UInt64 { encoding.sensitivitySquared }
    /// z² = hσ_l²/Δ₂², at least the squared multiplier asked for.
    public var noiseMultiplierSquared: Rational {
        noise.noiseMultiplierSquared(sensitivitySquared: sensitivitySquared)
    }

    /// The deviation, in the update's own units, of each coordinate's noise in a decoded sum over
    /// `survivors` contributions.
    public func noiseStd(survivors: Int) -> Double {
        noise.deliveredVariance(survivors: survivors).asDouble.squareRoot()
            / encoding.scale.asDouble
    }

    /// Solves for the smallest scale, noise and modulus that satisfy `request`, or says why none does.
    ///
    /// The scale is the smallest whole number of steps per clip norm at which rounding costs at most
    /// `roundingInflationMax` and each client's noise is at least 4 steps. The local variance is the smallest
    /// integer with hσ_l² ≥ z²Δ₂², so accounting with z is never optimistic.
    public static func solve(_ request: Request) throws(PlanError) -> AggregationPlan {
        try check(request)
        let honest = request.minSurvivors - request.colluders
        func localVariance(_ encoding: EncodingPlan) -> BigInteger {
            let central =
                request.noiseMultiplier * request.noiseMultiplier
                * Rational(BigInteger(encoding.sensitivitySquared))
            return (central / Rational(honest)).ceiling
        }
        func encoding(_ clipSteps: Int) throws(PlanError) -> EncodingPlan {
            try EncodingPlan(
                dimension: request.dimension, clipNorm: request.clipNorm, clipSteps: clipSteps,
                // A weight of S/64 raises Δ₂ by about 1/8192 of itself.
                indicatorWeight: request.hasClipIndicator ? max(1, clipSteps / 64) : 0)
        }
        func isFine(_ encoding: EncodingPlan) -> Bool {
            let rounded = Double(encoding.normBoundSquared).squareRoot()
            return rounded <= Double(encoding.clipSteps) * (1 + request.roundingInflationMax)
                && Rational(localVariance(encoding)) >= DistributedDiscreteGaussian.localVarianceMin
        }
        var low = 4
        var high = EncodingPlan.clipStepsMax
        guard try isFine(encoding(high)) else {
            throw .outOfRange(
                "noiseMultiplier", "\(request.noiseMultiplier)",
                "large enough for 4 steps of noise per client at \(honest) honest shares")
        }
        while low < high {
            let middle = (low + high) / 2
            if try isFine(encoding(middle)) { high = middle } else { low = middle + 1 }
        }
        let chosen = try encoding(low)
        let noise = try noise(request, localVariance: Rational(localVariance(chosen)))
        return AggregationPlan(
            encoding: chosen, noise: noise,
            wrap: try WrapBound.fewestBits(
                encoding: chosen, noise: noise, clients: request.clients,
                unitsPerClient: request.unitsPerClientMax, failureBits: request.failureBits,
                bitsMax: request.modulusBitsMax,
                arguments: request.worstCaseOnly ? [.worstCase] : [.worstCase, .rotation]))
    }

    private static func noise(
        _ request: Request, localVariance: Rational
    ) throws(PlanError) -> DistributedNoise {
        switch request.mechanism {
        case .discreteGaussian:
            .discreteGaussian(
                try DistributedDiscreteGaussian(
                    minSurvivors: request.minSurvivors, colluders: request.colluders,
                    localVariance: localVariance))
        case .skellam:
            .skellam(
                try DistributedSkellam(
                    minSurvivors: request.minSurvivors, colluders: request.colluders,
                    localVariance: localVariance,
                    levels: request.dropoutNoise == .exact
                        ? NoiseLevels(clients: request.clients, minSurvivors: request.minSurvivors) : nil))
        }
    }

    private static func check(_ request: Request) throws(PlanError) {
        try PlanError.require("clients", request.clients, in: 1...1 << 20)
        try PlanError.require("minSurvivors", request.minSurvivors, in: 1...request.clients)
        try PlanError.require("colluders", request.colluders, in: 0...request.clients)
        try PlanError.require("unitsPerClientMax", request.unitsPerClientMax, in: 1...1 << 30)
        try PlanError.require("failureBits", request.failureBits, in: 1...1000)
        try PlanError.require("modulusBitsMax", request.modulusBitsMax, in: 8...32)
        guard request.minSurvivors > request.colluders else {
            throw .noHonestNoise(
                minSurvivors: request.minSurvivors, colluders: request.colluders)
        }
        guard request.noiseMultiplier.sign > 0, request.noiseMultiplier <= Rational(1 << 20) else {
            throw .outOfRange(
                "noiseMultiplier", "\(request.noiseMultiplier)", "above 0 and at most 2^20")
        }
        guard request.dropoutNoise == .floor || request.mechanism == .skellam else {
            throw .outOfRange(
                "dropoutNoise", request.dropoutNoise.rawValue, "floor with discrete-gaussian noise")
        }
        guard (0.001...1).contains(request.roundingInflationMax) else {
            throw .outOfRange(
                "roundingInflationMax", "\(request.roundingInflationMax)", "in 0.001 … 1")
        }
    }
}
