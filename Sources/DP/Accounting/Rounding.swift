import GMP
import Glibc

/// Directed rounding by inflation.
///
/// Doubles round to nearest and the C library's exp, log and erfc are off by a few units in the
/// last place. A bound that must stay a bound is therefore moved by more than those errors can
/// amount to; each call says by how much.
enum Rounding {
    /// 2^-52, the distance from 1 to the next double.
    static let ulp = 0x1p-52

    /// At least `value`, for any `value` that is within `ulps` units of the true number.
    static func up(_ value: Double, ulps: Double = 8) -> Double {
        value + abs(value) * ulps * ulp + .leastNormalMagnitude
    }

    /// At most the true number, for any `value` that is within `ulps` units of it.
    static func down(_ value: Double, ulps: Double = 8) -> Double {
        value - abs(value) * ulps * ulp - .leastNormalMagnitude
    }

    /// A double at or above a positive fraction, at most four units off.
    static func up(_ value: Rational) -> Double { up(value.asDouble, ulps: 2) }

    /// A double at or below a positive fraction.
    static func down(_ value: Rational) -> Double { max(0, down(value.asDouble, ulps: 2)) }
}

/// Logarithms of sums, kept as logarithms.
enum LogSpace {
    /// ln(Σ e^x) over `terms`; −∞ for none.
    static func sum(_ terms: [Double]) -> Double {
        guard let largest = terms.max(), largest > -.infinity else { return -.infinity }
        guard largest < .infinity else { return .infinity }
        var total = 0.0
        for term in terms { total += exp(term - largest) }
        return largest + log(total)
    }

    /// ln(e^x − 1) for x > 0; −∞ at 0.
    static func expMinusOne(_ x: Double) -> Double {
        x > 1 ? x + log1p(-exp(-x)) : log(expm1(x))
    }

    /// ln(1 + e^x) without overflow.
    static func onePlusExp(_ x: Double) -> Double {
        x > 35 ? x + exp(-x) : log1p(exp(x))
    }
}

/// Safeguarded root finding and minimisation on an interval.
enum Solve {
    /// The crossing of a decreasing `function` with 0 in low ... high, to adjacent doubles, as the
    /// bracket (last point found above 0, first point found at or below 0).
    static func bracketOfDecreasing(
        low: Double, high: Double, steps: Int = 200, _ function: (Double) -> Double
    ) -> (above: Double, atOrBelow: Double) {
        var low = low
        var high = high
        for _ in 0..<steps {
            let middle = low + (high - low) / 2
            guard middle > low, middle < high else { break }
            if function(middle) > 0 { low = middle } else { high = middle }
        }
        return (low, high)
    }
}
