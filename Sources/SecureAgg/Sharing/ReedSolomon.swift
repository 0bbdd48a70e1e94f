/// Decodes the polynomial behind shares of which at most (m − t)/2 are wrong, and says which.
///
/// The bound is Berlekamp and Welch's; the algorithm is Gao's (2003) extended Euclid, which reaches it
/// in O(m²) instead of solving a linear system.
package enum ReedSolomon {
    /// A polynomial, constant term first, without leading zeros; empty stands for zero.
    package typealias Polynomial = [FieldElement]

    /// - Parameters:
    ///   - xs: distinct points.
    ///   - dimension: t, the number of coefficients.
    /// - Returns: the coefficients and the positions of wrong values; nil beyond the bound.
    package static func decode(
        xs: [UInt32], values: [FieldElement], dimension: Int
    ) -> (polynomial: Polynomial, errors: [Int])? {
        precondition(xs.count == values.count && dimension <= xs.count)
        let points = xs.map { FieldElement($0) }
        let vanishing = product(points)
        let through = interpolate(points, values, vanishing)
        // r = u · vanishing + v · through, stopped as soon as 2 · deg r < m + t.
        var (previous, current) = (vanishing, through)
        var (previousFactor, factor): (Polynomial, Polynomial) = ([], [.one])
        while 2 * (current.count - 1) >= xs.count + dimension {
            let (quotient, remainder) = divide(previous, by: current)
            (previous, current) = (current, remainder)
            (previousFactor, factor) = (
                factor, subtract(previousFactor, multiply(quotient, factor))
            )
        }
        let (message, remainder) = divide(current, by: factor)
        guard remainder.isEmpty, message.count <= dimension else { return nil }
        let errors = message.withUnsafeBufferPointer { polynomial in
            xs.indices.filter { !(Shamir.evaluate(polynomial, at: xs[$0]) == values[$0]) }
        }
        guard 2 * errors.count <= xs.count - dimension else { return nil }
        return (message, errors)
    }

    /// ∏ (x − a).
    private static func product(_ points: [FieldElement]) -> Polynomial {
        var result: Polynomial = [.one]
        for point in points {
            result.append(.zero)
            for index in stride(from: result.count - 1, through: 0, by: -1) {
                let lower = index > 0 ? result[index - 1] : .zero
                result[index] = lower - result[index] * point
            }
        }
        return result
    }

    /// The polynomial through all points: Σ yᵢ/w′(aᵢ) · w(x)/(x − aᵢ).
    private static func interpolate(
        _ points: [FieldElement], _ values: [FieldElement], _ vanishing: Polynomial
    ) -> Polynomial {
        var sum = Polynomial(repeating: .zero, count: points.count)
        var quotient = sum
        for (point, value) in zip(points, values) {
            // Synthetic division of w by (x − a); its value at a is w′(a).
            var carry = FieldElement.zero
            var derivative = FieldElement.zero
            for index in stride(from: points.count, to: 0, by: -1) {
                carry = vanishing[index] + carry * point
                quotient[index - 1] = carry
                derivative = derivative * point + carry
            }
            let weight = value * derivative.inverse
            for index in sum.indices { sum[index] = sum[index] + quotient[index] * weight }
        }
        return trimmed(sum)
    }

    private static func divide(
        _ dividend: Polynomial, by divisor: Polynomial
    ) -> (quotient: Polynomial, remainder: Polynomial) {
        precondition(!divisor.isEmpty)
        guard dividend.count >= divisor.count else { return ([], dividend) }
        let leadInverse = divisor.last!.inverse
        var remainder = dividend
        var quotient = Polynomial(repeating: .zero, count: dividend.count - divisor.count + 1)
        for shift in stride(from: quotient.count - 1, through: 0, by: -1) {
            let factor = remainder[shift + divisor.count - 1] * leadInverse
            quotient[shift] = factor
            for index in divisor.indices {
                remainder[shift + index] = remainder[shift + index] - factor * divisor[index]
            }
        }
        return (trimmed(quotient), trimmed(Array(remainder[..<(divisor.count - 1)])))
    }

    private static func multiply(_ left: Polynomial, _ right: Polynomial) -> Polynomial {
        guard !left.isEmpty, !right.isEmpty else { return [] }
        var result = Polynomial(repeating: .zero, count: left.count + right.count - 1)
        for (i, a) in left.enumerated() {
            for (j, b) in right.enumerated() { result[i + j] = result[i + j] + a * b }
        }
        return trimmed(result)
    }

    private static func subtract(_ left: Polynomial, _ right: Polynomial) -> Polynomial {
        let count = max(left.count, right.count)
        return trimmed(
            (0..<count).map { index in
                (index < left.count ? left[index] : .zero) - (index < right.count ? right[index] : .zero)
            })
    }

    private static func trimmed(_ polynomial: Polynomial) -> Polynomial {
        var result = polynomial
        while let last = result.last, last.isZero { result.removeLast() }
        return result
    }
}
