import Sodium

/// What encoding did with one unit. It depends on the unit's data, so it must not leave the client
/// except through a noised coordinate.
public enum EncodingOutcome: Sendable, Hashable {
    /// The vector was within the clip norm.
    case kept
    /// The vector was scaled down to the clip norm.
    case clipped
    /// The unit contributed zero: its vector held a NaN or an infinity, or (never seen) even the last
    /// resort of rounding missed the bound.
    case zeroed
}

/// Turns real vectors into integer vectors of bounded norm and adds them up.
///
/// One encoder serves one thread and one round. It is called once for each unit of privacy: once with
/// a client's whole update (unit *client*), or once per record (unit *record*).
///
/// Claim (record unit): the accumulator holds Σ_r v_r, each v_r an integer vector computed from record
/// r and its own coins alone, with Σ v_r² ≤ Δ₂² = `plan.sensitivitySquared` checked in integers.
/// Without record r the accumulator is smaller by exactly v_r: integer addition, also modulo 2^32, is
/// associative, so neither the order of records nor the rounding of any total can spread a
/// record's influence. Rounding the real-valued total once would be cheaper, and it would not have
/// this property: one record could then tip every coordinate of the total by a step.
///
/// Which and how many coins a record consumes may depend on it; the coins that follow are uniform and
/// independent of it all the same, so records may share one stream.
///
/// Cost: about 3 ns a coordinate, of which the rotation and the coins take a third each; no allocation.
public final class UpdateEncoder {
    public let plan: EncodingPlan
    /// How many units passed through. With secret sampling this number is as private as the data.
    public private(set) var unitCount = 0
    /// How many of them needed the last resort of rounding.
    package private(set) var fallbackCount = 0

    private let rotation: Rotation
    private let clipNorm: Double
    private let scale: Double
    private let real: UnsafeMutableBufferPointer<Float>
    private let rounded: UnsafeMutableBufferPointer<Int32>
    private let coins: UnsafeMutableBufferPointer<UInt16>

    private let roundingAttemptsMax: Int

    /// - Parameter rotation: the round's public rotation, of the plan's dimension.
    public convenience init(plan: EncodingPlan, rotation: Rotation) {
        // At an acceptance of 1 − e^−½ a vector is refused this often once in 10^13.
        self.init(plan: plan, rotation: rotation, roundingAttemptsMax: 64)
    }

    /// With another number of attempts than the plan's acceptance calls for: 0 tests the last resort.
    package init(plan: EncodingPlan, rotation: Rotation, roundingAttemptsMax: Int) {
        precondition(rotation.dimension == plan.dimension, "the rotation has another dimension")
        self.plan = plan
        self.rotation = rotation
        self.roundingAttemptsMax = roundingAttemptsMax
        clipNorm = plan.clipNorm.asDouble
        scale = plan.scale.asDouble
        real = .allocate(capacity: plan.dimension)
        rounded = .allocate(capacity: plan.dimension)
        coins = .allocate(capacity: plan.dimension)
        real.initialize(repeating: 0)
        rounded.initialize(repeating: 0)
        coins.initialize(repeating: 0)
    }

    deinit {
        wipe(UnsafeMutableRawBufferPointer(real))
        wipe(UnsafeMutableRawBufferPointer(rounded))
        wipe(UnsafeMutableRawBufferPointer(coins))
        real.deallocate()
        rounded.deallocate()
        coins.deallocate()
    }

    /// Encodes one unit's vector and adds it to `accumulator`, modulo 2^32.
    ///
    /// - Parameters:
    ///   - update: `plan.dimension` reals, of any size; NaN and infinities make the unit contribute zero.
    ///   - accumulator: `plan.length` integers.
    ///   - random: coins for rounding.
    @discardableResult
    public func encode(
        _ update: UnsafeBufferPointer<Float>,
        addingTo accumulator: UnsafeMutableBufferPointer<Int32>, random: StreamRandom
    ) -> EncodingOutcome {
        precondition(update.count == plan.dimension && accumulator.count == plan.length)
        unitCount += 1
        let norm = Clipping.norm(update)
        guard norm.isFinite else { return .zeroed }
        let isClipped = norm > clipNorm
        Clipping.scale(update, by: isClipped ? Double(plan.clipSteps) / norm : scale, into: real)
        rotation.apply(to: real)
        guard roundWithinBound(random) else { return .zeroed }
        let sum = accumulator.baseAddress!
        let values = rounded.baseAddress!
        for index in 0..<plan.dimension { sum[index] &+= values[index] }
        if isClipped && plan.indicatorWeight > 0 {
            sum[plan.dimension] &+= Int32(plan.indicatorWeight)
        }
        return isClipped ? .clipped : .kept
    }

    @discardableResult
    public func encode(
        _ update: [Float], addingTo accumulator: inout [Int32], random: StreamRandom
    ) -> EncodingOutcome {
        update.withUnsafeBufferPointer { update in
            accumulator.withUnsafeMutableBufferPointer {
                encode(update, addingTo: $0, random: random)
            }
        }
    }

    /// Leaves in `rounded` an integer vector with Σv² ≤ B². This is the only way into an accumulator.
    ///
    /// Rounding towards zero does not lengthen a vector, so the last resort passes too; the return
    /// value false (the unit contributes nothing) is there so that the bound rests on this check alone.
    private func roundWithinBound(_ random: StreamRandom) -> Bool {
        let values = rounded.baseAddress!
        for _ in 0..<roundingAttemptsMax {
            random.fill(UnsafeMutableRawBufferPointer(coins))
            StochasticRounding.round(
                real.baseAddress!, coins: coins.baseAddress!, into: values, count: plan.dimension)
            if StochasticRounding.normFits(
                values, count: plan.dimension, boundSquared: plan.normBoundSquared)
            {
                return true
            }
        }
        fallbackCount += 1
        StochasticRounding.roundTowardsZero(real.baseAddress!, into: values, count: plan.dimension)
        return StochasticRounding.normFits(
            values, count: plan.dimension, boundSquared: plan.normBoundSquared)
    }
}
