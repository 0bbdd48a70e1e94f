import GMP

/// Several units of one person at once.
///
/// *Shift mechanisms:* a group of k moves the output by at most k times the sensitivity, so its event is
/// the same mechanism with k times that.
/// *Poisson sampling:* the group's part of a step is a mixture over which members joined. Given that at
/// least one did, which has probability 1 − (1−q)^k, each component is a shift by at most k
/// sensitivities; the hockey-stick divergence is convex in the component, so the mixture is dominated by
/// the k-fold mechanism sampled at that rate, in both directions.
/// *Randomised response:* each member gives an answer of its own: k runs.
extension PrivacyEvent {
    /// Largest group that is answered for.
    public static let groupSizeMax = 1_000_000

    /// What this event does to a group of `size` units.
    public func forGroup(of size: Int) throws(AccountingError) -> PrivacyEvent {
        guard (1...Self.groupSizeMax).contains(size) else {
            throw .invalidParameter("groupSize", "\(size)", "an integer from 1 to \(Self.groupSizeMax)")
        }
        return try PrivacyEvent(unit: unit, adjacency: adjacency, kind: kind.forGroup(of: size))
    }
}

extension EventTally {
    /// This history as it concerns a group of `size` units whose data changes together.
    public func forGroup(of size: Int) throws(AccountingError) -> EventTally {
        var group = EventTally(unit: unit, adjacency: adjacency)
        for entry in entries {
            let event = try PrivacyEvent(unit: unit, adjacency: adjacency, kind: entry.kind)
            try group.add(event.forGroup(of: size), count: entry.count)
        }
        return group
    }
}

extension PrivacyEvent.Kind {
    fileprivate func forGroup(of size: Int) throws(AccountingError) -> Self {
        guard size > 1 else { return self }
        let squared = BigInteger(size) * BigInteger(size)
        switch self {
        case .gaussian(let multiplier):
            return .gaussian(noiseMultiplier: multiplier / Rational(size))
        case .laplace(let multiplier):
            return .laplace(noiseMultiplier: multiplier / Rational(size))
        case .discreteGaussian(let delta2Squared, let sigmaSquared):
            return .discreteGaussian(delta2Squared: delta2Squared * squared, sigmaSquared: sigmaSquared)
        case .discreteLaplace(let scale, let sensitivity):
            let (shift, overflow) = sensitivity.multipliedReportingOverflow(by: size)
            return .discreteLaplace(scale: scale, sensitivity: overflow ? .max : shift)
        case .discreteGaussianSum(let delta2Squared, let sigmaLocalSquared, let shares, let dimension):
            return .discreteGaussianSum(
                delta2Squared: delta2Squared * squared, sigmaLocalSquared: sigmaLocalSquared,
                honestShares: shares, dimension: dimension)
        case .skellamSum(let delta2Squared, let variance, let dimension):
            return .skellamSum(
                delta2Squared: delta2Squared * squared, variance: variance, dimension: dimension)
        case .randomisedResponse:
            return .repeated(self, count: size)
        case .poissonSampled(let rate, let inner):
            if case .randomisedResponse = inner { return .repeated(self, count: size) }
            return .poissonSampled(rate: Self.anyOf(size, rate: rate), try inner.forGroup(of: size))
        case .composed(let parts):
            var grouped: [Self] = []
            for part in parts { grouped.append(try part.forGroup(of: size)) }
            return .composed(grouped)
        case .repeated(let inner, let count):
            return .repeated(try inner.forGroup(of: size), count: count)
        case .unsupported:
            return self
        }
    }

    /// 1 − (1−q)^k, rounded up to a multiple of 2^-64 where the exact fraction would be long.
    private static func anyOf(_ size: Int, rate: Rational) -> Rational {
        let precision = BigInteger.powerOfTwo(64)
        // (1−q)^k by repeated squaring, each product rounded down.
        var result = Rational(1)
        var base = Rational(1) - rate
        var left = size
        func floor(_ value: Rational) -> Rational {
            value.denominator <= precision ? value : Rational((value * Rational(precision)).floor, precision)
        }
        while left > 0 {
            if left & 1 == 1 { result = floor(result * base) }
            base = floor(base * base)
            left >>= 1
        }
        return Rational(1) - result
    }
}
