/// Why a set of public numbers is no plan for private aggregation.
public enum PlanError: Error, Sendable, Equatable {
    /// A parameter, its value and what it must be.
    case outOfRange(_ parameter: String, _ value: String, _ expected: String)
    /// Colluding clients may equal all survivors: nobody's noise is left to count on.
    case noHonestNoise(minSurvivors: Int, colluders: Int)
    /// One client's noise is below 4 integer steps, where the sum of shares is no longer provably
    /// close to a discrete Gaussian.
    case localNoiseTooSmall(localVariance: String)
    /// No modulus allowed holds the noisy sum with the wanted certainty.
    case modulusTooSmall(needed: Int, allowed: Int)

    static func require(
        _ parameter: String, _ value: Int, in range: ClosedRange<Int>
    ) throws(PlanError) {
        guard range.contains(value) else {
            throw .outOfRange(parameter, "\(value)", "in \(range.lowerBound) … \(range.upperBound)")
        }
    }
}

extension PlanError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .outOfRange(let parameter, let value, let expected):
            "\(parameter) is \(value) but must be \(expected)"
        case .noHonestNoise(let minSurvivors, let colluders):
            "with \(colluders) colluding clients among as few as \(minSurvivors) survivors no honest "
                + "noise is certain; raise the survivor floor above the number of colluders"
        case .localNoiseTooSmall(let variance):
            "each client's noise variance is \(variance) squared steps but must be at least 16; "
                + "raise clipSteps or the noise multiplier"
        case .modulusTooSmall(let needed, let allowed):
            "the noisy sum needs \(needed) bits a coordinate but only \(allowed) are allowed; "
                + "allow more bits, or lower the units per client or the noise"
        }
    }
}
