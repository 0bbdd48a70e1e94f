import GMP

/// What an opened sum says in real units.
public struct DecodedSum: Sendable, Equatable {
    /// The noisy sum of the clipped updates, in the update's own units.
    public var update: [Float]
    /// The noisy number of units that were clipped; nil when the plan has no indicator.
    public var clippedCount: Double?
}

/// Turns the integer sum of a round back into reals: unrotates and unscales.
///
/// Post-processing of a released sum: it costs no privacy. It divides by nothing but the scale; the
/// caller applies its public denominator.
public struct SumDecoder: Sendable {
    public let plan: EncodingPlan
    private let rotation: Rotation

    public init(plan: EncodingPlan, rotation: Rotation) {
        precondition(rotation.dimension == plan.dimension, "the rotation has another dimension")
        self.plan = plan
        self.rotation = rotation
    }

    /// - Parameter sum: `plan.length` integers, already lifted to the centred window of the modulus.
    public func decode(_ sum: [Int32]) -> DecodedSum {
        precondition(sum.count == plan.length)
        let step = Float((plan.clipNorm / Rational(plan.clipSteps)).asDouble)
        var update = [Float](unsafeUninitializedCapacity: plan.dimension) { buffer, count in
            for index in 0..<plan.dimension { buffer[index] = Float(sum[index]) * step }
            count = plan.dimension
        }
        update.withUnsafeMutableBufferPointer { rotation.applyInverse(to: $0) }
        let indicator =
            plan.indicatorWeight > 0
            ? Double(sum[plan.dimension]) / Double(plan.indicatorWeight) : nil
        return DecodedSum(update: update, clippedCount: indicator)
    }
}
