import GMP
import Glibc

/// The inverse questions: how much noise, how many rounds, for a given guarantee.
///
/// Answers are exact fractions or integers, so that planning and accounting price the same event.
public enum Calibration {
    /// How far below the target a calibrated ε may stay.
    public static let epsilonTolerance = 1e-6

    /// The smallest noise multiplier, on a grid fine enough for `epsilonTolerance`, at which `event`
    /// stays within `epsilon` at `delta`.
    ///
    /// - Parameters:
    ///   - count: how often the event runs.
    ///   - event: builds the event for a multiplier; its ε must not rise with the multiplier.
    /// - Returns: a fraction whose denominator is a power of two. The ε of its event never exceeds
    ///   the target and is within 1e-6 of it, unless less than the least noise considered (2^-10)
    ///   already suffices.
    public static func noiseMultiplier(
        epsilon: Double, delta: Double, count: Int = 1, accountant: some Accountant,
        event: (Rational) throws(AccountingError) -> PrivacyEvent
    ) throws(AccountingError) -> Rational {
        try requireTarget(epsilon)
        try requireDelta(delta)
        func cost(_ multiplier: Rational) throws(AccountingError) -> Double {
            try accountant.epsilon(of: EventTally(try event(multiplier), count: count), delta: delta).upper
        }
        // Find powers of two around the answer.
        let smallest = -10
        let largest = 39
        var exponent = smallest
        while try cost(power(exponent)) > epsilon {
            exponent += 1
            guard exponent <= largest else {
                throw .targetUnreachable(
                    "even a noise multiplier of 2^\(largest) costs more than ε = \(epsilon)")
            }
        }
        guard exponent > smallest else { return power(smallest) }
        // Bisect low < answer ≤ high, both as integers over 2^bits, adding bits as needed.
        var bits = 1 - exponent
        var low = BigInteger(1)
        var high = BigInteger(2)
        for _ in 0..<64 {
            let middle = low + high
            low = low.shiftedLeft(1)
            high = high.shiftedLeft(1)
            bits += 1
            let spent = try cost(fraction(middle, bits))
            if spent > epsilon {
                low = middle
            } else {
                high = middle
                if spent >= epsilon - epsilonTolerance / 2 { break }
            }
        }
        return fraction(high, bits)
    }

    /// The largest number of runs of `event` that stays within `epsilon` at `delta`; 0 when not
    /// even one does.
    public static func count(
        epsilon: Double, delta: Double, accountant: some Accountant, of event: PrivacyEvent,
        after spent: EventTally? = nil, countMax: Int = 1 << 32
    ) throws(AccountingError) -> Int {
        try requireTarget(epsilon)
        try requireDelta(delta)
        let before = spent ?? EventTally(unit: event.unit, adjacency: event.adjacency)
        func fits(_ count: Int) throws(AccountingError) -> Bool {
            try accountant.epsilon(of: before.adding(event, count: count), delta: delta).upper <= epsilon
        }
        guard try fits(1) else { return 0 }
        var low = 1
        var high = 2
        while try fits(high) {
            low = high
            high *= 2
            if low >= countMax { return countMax }
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if try fits(middle) { low = middle } else { high = middle }
        }
        return low
    }

    /// The smallest integer in `range` at which `event` stays within `epsilon`: for parameters
    /// that are whole numbers, such as a noise variance in squared integer steps.
    public static func smallestInteger(
        in range: ClosedRange<Int>, epsilon: Double, delta: Double, count: Int = 1,
        accountant: some Accountant, event: (Int) throws(AccountingError) -> PrivacyEvent
    ) throws(AccountingError) -> Int {
        try requireTarget(epsilon)
        try requireDelta(delta)
        func fits(_ value: Int) throws(AccountingError) -> Bool {
            try accountant.epsilon(of: EventTally(try event(value), count: count), delta: delta).upper
                <= epsilon
        }
        guard try fits(range.upperBound) else {
            throw .targetUnreachable("even \(range.upperBound) costs more than ε = \(epsilon)")
        }
        var low = range.lowerBound
        var high = range.upperBound
        while low < high {
            let middle = low + (high - low) / 2
            if try fits(middle) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    private static func requireTarget(_ epsilon: Double) throws(AccountingError) {
        guard epsilon.isFinite, epsilon > 0 else {
            throw .invalidParameter("epsilon", "\(epsilon)", "a finite number above 0")
        }
    }

    private static func power(_ exponent: Int) -> Rational { fraction(1, -exponent) }

    private static func fraction(_ numerator: BigInteger, _ bits: Int) -> Rational {
        bits >= 0
            ? Rational(numerator, .powerOfTwo(bits)) : Rational(numerator.shiftedLeft(-bits))
    }
}
