import GMP

/// Chooses neighbours k and threshold t by exact hypergeometric tails ([BBGLR20], section 3 and
/// appendix; all probabilities are rationals).
///
/// With A = ⌊γn⌋ corrupt, D = ⌊δn⌋ dropped, B = A + D and S = ⌈(1−δ)n⌉ surviving clients:
/// E1, nobody has too many corrupt neighbours: t₁ is the least number with
///     n · Pr[Hyp(A, k) > t₁] ≤ 2^−(σ+1); then t > t₁, and 2t > k + t₁ against a malicious server.
/// E2, removing B clients leaves the ring connected except with probability below 2^−(σ+1):
///     n(n−k−1)/2 · C(B, k)/C(n, k) bounds the chance of two gaps of k/2.
/// E3, every survivor keeps t surviving neighbours: n · Pr[Hyp(S, k) < t] ≤ 2^−η.
/// The least even k with a t that satisfies all three wins.
package struct NeighbourSelection {
    /// How a client's neighbours are drawn in the model.
    package enum Population {
        /// From the n − 1 others: exact.
        case others
        /// From all n, as Google's FCP library does: only to match its published parameters.
        case everyone
    }

    package let cohortSize: Int
    package let colluderFraction: Rational
    package let dropoutFraction: Rational
    package let securityBits: Int
    package let correctnessBits: Int
    package let profile: SecurityProfile
    package let population: Population

    package init(
        cohortSize: Int, colluderFraction: Rational, dropoutFraction: Rational, securityBits: Int,
        correctnessBits: Int, profile: SecurityProfile, population: Population = .others
    ) {
        self.cohortSize = cohortSize
        self.colluderFraction = colluderFraction
        self.dropoutFraction = dropoutFraction
        self.securityBits = securityBits
        self.correctnessBits = correctnessBits
        self.profile = profile
        self.population = population
    }

    private var corrupt: Int { (colluderFraction * Rational(cohortSize)).floor.asInt! }
    private var dropped: Int { (dropoutFraction * Rational(cohortSize)).floor.asInt! }
    private var surviving: Int { ((1 - dropoutFraction) * Rational(cohortSize)).ceiling.asInt! }

    /// The least k up to `largest` (found by bisection and a local walk, as feasibility grows with k
    /// but for integer steps) with its threshold; nil when there is none.
    package func select(largest: Int) -> (neighbours: Int, threshold: Int)? {
        let cap = min(largest, cohortSize - 2) / 2
        guard cap >= 1 else { return nil }
        var high = 1
        while threshold(neighbours: 2 * high) == nil {
            guard high < cap else { return nil }
            high = min(2 * high, cap)
        }
        var low = high / 2
        while high - low > 1 {
            let middle = (low + high) / 2
            if threshold(neighbours: 2 * middle) == nil { low = middle } else { high = middle }
        }
        var best = high
        for candidate in stride(from: high - 1, through: max(1, high - 6), by: -1)
        where threshold(neighbours: 2 * candidate) != nil {
            best = candidate
        }
        return threshold(neighbours: 2 * best).map { (2 * best, $0) }
    }

    /// The least threshold that k neighbours allow, or nil when the three conditions contradict.
    package func threshold(neighbours k: Int) -> Int? {
        guard staysConnected(k) else { return nil }
        let corruptBound = self.corruptBound(k)
        let least: Int
        switch profile {
        case .semiHonest: least = max(corruptBound + 1, 2)
        case .maliciousServer: least = max((k + corruptBound) / 2 + 1, corruptBound + 1, 2)
        }
        return least <= k && survivorsSuffice(k, threshold: least) ? least : nil
    }

    /// t₁ of E1.
    package func corruptBound(_ k: Int) -> Int {
        Self.leastTailBound(
            law: Hypergeometric(
                population: drawnFrom, marked: corrupt, draws: k),
            factor: BigInteger(cohortSize), bits: securityBits + 1)
    }

    /// c₂ of the two-gap rule: except with probability 2^−(σ+1), no two windows of k/2 ring places
    /// hold more corrupt clients together.
    package func corruptInTwoWindows(_ k: Int) -> Int {
        let law = Hypergeometric(population: cohortSize, marked: corrupt, draws: k)
        // n²/2 pairs of windows, the half taken off the exponent.
        return Self.leastTailBound(
            law: law, factor: BigInteger(cohortSize) * BigInteger(cohortSize), bits: securityBits)
    }

    private var drawnFrom: Int { population == .others ? cohortSize - 1 : cohortSize }

    /// E2.
    private func staysConnected(_ k: Int) -> Bool {
        let removed = corrupt + dropped
        guard k <= removed else { return true }
        let places = BigInteger(cohortSize) * BigInteger(cohortSize - k - 1)
        let left = places * .binomial(UInt(removed), UInt(k)) * .powerOfTwo(securityBits + 1)
        return left < BigInteger(2) * .binomial(UInt(cohortSize), UInt(k))
    }

    /// E3.
    private func survivorsSuffice(_ k: Int, threshold: Int) -> Bool {
        let marked = population == .others ? surviving - 1 : surviving
        let law = Hypergeometric(population: drawnFrom, marked: marked, draws: k)
        let tail = law.weight(atMost: threshold - 1)
        return tail * BigInteger(cohortSize) * .powerOfTwo(correctnessBits) <= law.total
    }

    /// The least m with factor · Pr[X > m] ≤ 2^−bits.
    private static func leastTailBound(law: Hypergeometric, factor: BigInteger, bits: Int) -> Int {
        law.leastBound(tailWeightAtMost: law.total.floorDivided(by: factor * .powerOfTwo(bits)))
    }
}

/// The number of marked items among `draws` from `population` of which `marked` are marked, as exact
/// integer weights over the common denominator `total` = C(population, draws).
package struct Hypergeometric {
    package let population: Int
    package let marked: Int
    package let draws: Int

    package init(population: Int, marked: Int, draws: Int) {
        precondition(0 <= marked && marked <= population && 0 <= draws && draws <= population)
        self.population = population
        self.marked = marked
        self.draws = draws
    }

    package var total: BigInteger { .binomial(UInt(population), UInt(draws)) }
    private var lowest: Int { max(0, draws - (population - marked)) }
    private var highest: Int { min(marked, draws) }

    /// Σ weights of outcomes ≤ `bound`.
    package func weight(atMost bound: Int) -> BigInteger {
        guard bound >= lowest else { return 0 }
        var weight = outcomeWeight(lowest)
        var sum = weight
        for outcome in lowest..<min(bound, highest) {
            // w(i+1) = w(i) · (K−i)(m−i) / ((i+1)(N−K−m+i+1)), exact at each step.
            weight =
                (weight * BigInteger((marked - outcome) * (draws - outcome)))
                .floorDivided(
                    by: BigInteger((outcome + 1) * (population - marked - draws + outcome + 1)))
            sum = sum + weight
        }
        return sum
    }

    /// The least m ≥ 0 such that the outcomes above m weigh at most `bound` together.
    package func leastBound(tailWeightAtMost bound: BigInteger) -> Int {
        var weight = outcomeWeight(highest)
        var sum = BigInteger(0)
        var outcome = highest
        while outcome > 0, outcome >= lowest {
            let next = sum + weight
            if next > bound { return outcome }
            sum = next
            weight =
                (weight * BigInteger(outcome * (population - marked - draws + outcome)))
                .floorDivided(by: BigInteger((marked - outcome + 1) * (draws - outcome + 1)))
            outcome -= 1
        }
        return max(outcome, 0)
    }

    private func outcomeWeight(_ outcome: Int) -> BigInteger {
        .binomial(UInt(marked), UInt(outcome))
            * .binomial(UInt(population - marked), UInt(draws - outcome))
    }
}

extension Topology {
    /// Below this size everyone is joined to everyone.
    package static let completeBelow = 100
    /// Added to σ when the server could try many cohort roots until the graph suits it.
    package static let grindingBits = 64

    /// The topology of a cohort: complete when small or when the ring would be nearly so anyway.
    package static func select(
        parameters: AggregationParameters, cohortSize: Int
    ) throws(ParameterError) -> Topology {
        let selection = NeighbourSelection(
            cohortSize: cohortSize, colluderFraction: parameters.colluderFraction,
            dropoutFraction: parameters.dropoutFraction,
            securityBits: parameters.securityBits
                + (parameters.profile == .maliciousServer ? grindingBits : 0),
            correctnessBits: parameters.correctnessBits, profile: parameters.profile)
        let colluders = parameters.colluders(cohortSize: cohortSize)
        // The finder need not look at k ≥ 0.6·n: the complete graph is as cheap there and simpler.
        if cohortSize >= completeBelow,
            let (neighbours, threshold) = selection.select(largest: (cohortSize * 3 - 1) / 5)
        {
            let windows =
                parameters.profile == .maliciousServer
                ? neighbours - 1 - selection.corruptInTwoWindows(neighbours) : nil
            return Topology(
                shape: .ring, cohortSize: cohortSize, neighbours: neighbours, threshold: threshold,
                colluders: colluders, windowDropLimit: windows)
        }
        let threshold = (cohortSize + colluders) / 2 + 1
        let dropouts = (parameters.dropoutFraction * Rational(cohortSize)).floor.asInt ?? cohortSize
        guard cohortSize - dropouts >= threshold else {
            throw .dropoutsBeyondThreshold(
                cohortSize: cohortSize, threshold: threshold, dropouts: dropouts)
        }
        return Topology(
            shape: .complete, cohortSize: cohortSize, neighbours: cohortSize - 1,
            threshold: threshold, colluders: colluders, windowDropLimit: nil)
    }
}
