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
        epsilon: Double, delta: Double, count: Int = 1, accountant: any Accountant,
        event: (Rational) throws(AccountingError) -> PrivacyEvent
    ) throws(AccountingError) -> Rational {
        try requireTarget(epsilon)
        try requireDelta(delta)
        func cost(_ multiplier: Rational) throws(AccountingError) -> Double {
            try accountant.epsilon(of: EventTally(try event(multiplier), count: count), delta: delta).upper
        }
        if accountant is PLDAccountant,
            let found = try Self.byPLD(epsilon: epsilon, delta: delta, count: count, event, cost)
        {
            return found
        }
        let bracket = try Self.bracket(epsilon: epsilon, delta: delta, count: count, accountant, event, cost)
        guard var low = bracket.low else { return bracket.high.multiplier }
        var high = bracket.high
        // False position on ln ε over ln z, which is nearly a line; the side that stays is halved (the
        // Illinois rule), and every few steps a plain bisection guards against flat stretches.
        var lowWeight = 1.0
        var highWeight = 1.0
        var movedLow: Bool?
        for step in 0..<80 where high.spent < epsilon - epsilonTolerance / 2 {
            let (x, y) = (log(low.multiplier.asDouble), log(high.multiplier.asDouble))
            // Below adjacent steps of the grid of candidates nothing lies.
            guard y - x > 0x1p-44 else { break }
            // Aim inside the tolerance, not at its edge.
            let target = epsilon - epsilonTolerance / 4
            let above = log(low.spent / target) * lowWeight
            let below = log(target / high.spent) * highWeight
            var share = above / (above + below)
            if step % 6 == 5 || !share.isFinite { share = 0.5 }
            let middle = Self.dyadic(exp(x + (y - x) * min(0.98, max(0.02, share))))
            guard middle > low.multiplier, middle < high.multiplier else { break }
            let point = (multiplier: middle, spent: try cost(middle))
            if point.spent > epsilon {
                low = point
                (lowWeight, highWeight) = (1, movedLow == true ? highWeight / 2 : 1)
                movedLow = true
            } else {
                high = point
                (lowWeight, highWeight) = (movedLow == false ? lowWeight / 2 : 1, 1)
                movedLow = false
            }
        }
        return high.multiplier
    }

    private typealias Candidate = (multiplier: Rational, spent: Double)

    /// The search for `PLDAccountant`, each of whose answers takes a tenth of a second: from RDP's answer to
    /// that of a coarse grid, and from there in two or three steps to the fine one's.
    ///
    /// - Returns: nil when the steps do not settle; the bracketing search always does.
    private static func byPLD(
        epsilon: Double, delta: Double, count: Int,
        _ event: (Rational) throws(AccountingError) -> PrivacyEvent,
        _ cost: (Rational) throws(AccountingError) -> Double
    ) throws(AccountingError) -> Rational? {
        func price(
            _ multiplier: Rational, _ accountant: any Accountant
        ) throws(AccountingError) -> Double {
            try accountant.epsilon(of: EventTally(try event(multiplier), count: count), delta: delta).upper
        }
        let rough = try noiseMultiplier(
            epsilon: epsilon, delta: delta, count: count, accountant: RDPAccountant(), event: event)
        let further = dyadic(rough.asDouble * 1.01)
        let (here, there) = (try price(rough, RDPAccountant()), try price(further, RDPAccountant()))
        var line = TangentLine(slope: log(here / there) / log(further.asDouble / rough.asDouble))
        let coarse = PLDAccountant(accuracy: 1e-3)
        guard
            let near = try line.search(
                from: rough, aim: epsilon, accept: epsilon * (1 - 1e-4)...epsilon * (1 + 1e-4), steps: 6,
                { (multiplier: Rational) throws(AccountingError) in try price(multiplier, coarse) })
        else { return nil }
        return try line.search(
            from: near, aim: epsilon - epsilonTolerance / 4,
            accept: epsilon - epsilonTolerance / 2...epsilon, steps: 6, cost)
    }

    /// ln ε over ln z, which is nearly a line that falls: Newton's steps along it, the slope from the last
    /// two points.
    private struct TangentLine {
        /// −d ln ε/d ln z.
        var slope: Double

        /// - Returns: a multiplier whose ε is in `accept`, or nil after so many steps.
        mutating func search(
            from start: Rational, aim: Double, accept: ClosedRange<Double>, steps: Int,
            _ cost: (Rational) throws(AccountingError) -> Double
        ) throws(AccountingError) -> Rational? {
            var last: Candidate?
            var multiplier = start
            for _ in 0..<steps {
                let point = (multiplier: multiplier, spent: try cost(multiplier))
                if accept.contains(point.spent) { return multiplier }
                if let last {
                    let seen =
                        log(last.spent / point.spent)
                        / log(point.multiplier.asDouble / last.multiplier.asDouble)
                    if seen.isFinite, seen > slope / 4, seen < slope * 4 { slope = seen }
                }
                last = point
                let next = point.multiplier.asDouble * pow(point.spent / aim, 1 / slope)
                guard next.isFinite, next > exp2(Double(exponentMin)), next < exp2(Double(exponentMax)) else {
                    return nil
                }
                multiplier = dyadic(next)
            }
            return nil
        }
    }

    /// Two multipliers around the answer; no lower one when the least considered already suffices.
    private static func bracket(
        epsilon: Double, delta: Double, count: Int, _ accountant: any Accountant,
        _ event: (Rational) throws(AccountingError) -> PrivacyEvent,
        _ cost: (Rational) throws(AccountingError) -> Double
    ) throws(AccountingError) -> (low: Candidate?, high: Candidate) {
        if accountant is PLDAccountant {
            // RDP is cheap and never below PLD: its answer is enough noise, and not far off.
            let enough = try noiseMultiplier(
                epsilon: epsilon, delta: delta, count: count, accountant: RDPAccountant(), event: event)
            var high: Candidate = (enough, try cost(enough))
            var factor = 0.93
            while high.multiplier > power(exponentMin) {
                let next = max(dyadic(high.multiplier.asDouble * factor), power(exponentMin))
                let candidate = (multiplier: next, spent: try cost(next))
                if candidate.spent > epsilon { return (candidate, high) }
                high = candidate
                factor *= 0.8
            }
            return (nil, high)
        }
        var exponent = exponentMin
        var last: Candidate?
        while true {
            let candidate = (multiplier: power(exponent), spent: try cost(power(exponent)))
            if candidate.spent <= epsilon { return (last, candidate) }
            last = candidate
            exponent += 1
            guard exponent <= exponentMax else {
                throw .targetUnreachable(
                    "even a noise multiplier of 2^\(exponentMax) costs more than ε = \(epsilon)")
            }
        }
    }

    /// Powers of two between which multipliers are looked for.
    private static let exponentMin = -10
    private static let exponentMax = 39

    /// `value` as a fraction with a power of two below, to 45 bits.
    private static func dyadic(_ value: Double) -> Rational {
        let bits = 45 - Int(value.exponent)
        return fraction(BigInteger(Int((value * exp2(Double(bits))).rounded(.up))), bits)
    }

    /// The largest number of runs of `event` that stays within `epsilon` at `delta`; 0 when not
    /// even one does.
    public static func count(
        epsilon: Double, delta: Double, accountant: any Accountant, of event: PrivacyEvent,
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
        accountant: any Accountant, event: (Int) throws(AccountingError) -> PrivacyEvent
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
