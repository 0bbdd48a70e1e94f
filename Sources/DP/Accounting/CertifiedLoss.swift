import GMP
import Glibc

/// A distribution of the privacy loss on a grid, with masses that are integer multiples of 2^−126 and
/// every operation rounded so that the result dominates the exact one.
///
/// Two distributions are added as two long numbers are multiplied: the masses are the digits, far
/// enough apart that no carry reaches the next (Kronecker substitution). A digit of the product is a sum
/// of products of masses and at most the product of the totals, which are at most 2^126·(1 + 2^−10), so
/// it stays below 2^256. Rounding a digit up, raising a low loss and calling a large one infinite all
/// only increase δ(ε).
package struct CertifiedLoss {
    /// Index of the first mass: loss = (first + i)·h.
    private(set) var first: Int
    private(set) var masses: [UInt128]
    /// Mass of an unbounded loss.
    private(set) var infinite: UInt128
    let step: Double

    static let bits = 126
    private static let digitLimbs = 4

    /// Every mass rounded up.
    init(_ loss: GridLoss, step: Double) {
        first = loss.first
        masses = loss.masses.map(Self.roundedUp)
        infinite = Self.roundedUp(loss.infinite)
        self.step = step
    }

    private init(first: Int, masses: [UInt128], infinite: UInt128, step: Double) {
        self.first = first
        self.masses = masses
        self.infinite = infinite
        self.step = step
    }

    /// The sum of independent losses, each `count` times, by repeated doubling.
    ///
    /// - Parameter delta: the δ that will be asked for; about a 1e-7th of it may become infinite loss.
    package static func composition(
        _ events: [(loss: GridLoss, count: Int)], step: Double, delta: Double
    ) -> CertifiedLoss {
        let runs = events.reduce(0) { $0 + $1.count }
        var total: CertifiedLoss?
        for event in events where event.count > 0 {
            var power = CertifiedLoss(event.loss, step: step)
            var size = 1
            var left = event.count
            while true {
                // A part of size n is used runs/n times at most, so it may give up that share.
                power.trim(
                    high: 1e-8 * delta * Double(size) / Double(runs),
                    low: 1e-10 * Double(size) / Double(runs))
                if left & 1 == 1 {
                    total = total.map { $0.added(to: power) } ?? power
                    total?.trim(high: 1e-8 * delta / 64, low: 1e-10 / 64)
                }
                left >>= 1
                guard left > 0 else { break }
                power = power.added(to: power)
                size *= 2
            }
        }
        return total ?? CertifiedLoss(first: 0, masses: [1 << Self.bits], infinite: 0, step: step)
    }

    /// δ at `epsilon`: Σ_{L > ε} p(L)(1 − e^{ε−L}) and what is unbounded, in doubles, rounded up.
    package func delta(epsilon: Double) -> Double {
        var sum = 0.0
        for (index, mass) in masses.enumerated() where mass > 0 {
            let loss = Double(first + index) * step
            let gap = loss - epsilon + (1 + abs(loss)) * 0x1p-48
            if gap > 0 { sum += Double(mass) * -expm1(-gap) }
        }
        let scale = exp2(-Double(Self.bits))
        return min(1, (sum + Double(infinite)) * scale * (1 + Double(masses.count + 16) * 0x1p-52))
    }

    /// The least ε ≥ 0 with δ(ε) ≤ `delta`; infinite when the unbounded losses alone exceed it.
    package func epsilon(delta: Double) -> Double {
        if self.delta(epsilon: 0) <= delta { return 0 }
        let high = max(step, Double(first + masses.count + 1) * step)
        guard self.delta(epsilon: high) <= delta else { return .infinity }
        return Solve.bracketOfDecreasing(low: 0, high: high, steps: 60) { self.delta(epsilon: $0) - delta }
            .atOrBelow
    }

    /// The loss of both events together.
    private func added(to other: CertifiedLoss) -> CertifiedLoss {
        let product = packed * other.packed
        let count = masses.count + other.masses.count - 1
        let limbs = product.littleEndianLimbs(count: count * Self.digitLimbs)
        var sums = [UInt128](repeating: 0, count: count)
        for index in 0..<count {
            // ⌈digit/2^126⌉: the upper 130 bits, and 1 if anything is left below.
            let at = index * Self.digitLimbs
            let low = UInt128(limbs[at + 1]) << 64 | UInt128(limbs[at])
            let high = UInt128(limbs[at + 3]) << 64 | UInt128(limbs[at + 2])
            let rest = low & ((1 << 126) - 1)
            sums[index] = high << 2 | low >> 126
            if rest > 0 { sums[index] += 1 }
        }
        // Unbounded when either is: each share times the other's whole mass, which rounds to 1 or
        // slightly above.
        let unbounded =
            Self.product(infinite, other.total) + Self.product(other.infinite, total)
        return CertifiedLoss(
            first: first + other.first, masses: sums, infinite: unbounded, step: step)
    }

    /// All mass, bounded or not.
    private var total: UInt128 { masses.reduce(infinite, +) }

    private var packed: BigInteger {
        var limbs = [UInt64](repeating: 0, count: masses.count * Self.digitLimbs)
        for (index, mass) in masses.enumerated() {
            limbs[index * Self.digitLimbs] = UInt64(truncatingIfNeeded: mass)
            limbs[index * Self.digitLimbs + 1] = UInt64(truncatingIfNeeded: mass >> 64)
        }
        return BigInteger(littleEndianLimbs: limbs)
    }

    /// ⌈a·b/2^126⌉.
    private static func product(_ a: UInt128, _ b: UInt128) -> UInt128 {
        let (high, low) = a.multipliedFullWidth(by: b)
        return (high << 2 | low >> 126) + 1
    }

    /// Calls the largest losses infinite, at most `high` of mass, and raises the smallest to the least
    /// one that stays, at most `low` of mass.
    private mutating func trim(high: Double, low: Double) {
        let highMax = UInt128(high * exp2(Double(Self.bits)))
        let lowMax = UInt128(low * exp2(Double(Self.bits)))
        var end = masses.count
        var cut: UInt128 = 0
        while end > 1, cut + masses[end - 1] <= highMax {
            cut += masses[end - 1]
            end -= 1
        }
        infinite += cut
        var start = 0
        var folded: UInt128 = 0
        while start < end - 1, folded + masses[start] <= lowMax {
            folded += masses[start]
            start += 1
        }
        masses = Array(masses[start..<end])
        masses[0] += folded
        first += start
    }

    /// A mass in units of 2^−126, rounded up.
    private static func roundedUp(_ mass: Double) -> UInt128 {
        guard mass > 0 else { return 0 }
        return UInt128((mass * exp2(Double(bits))).rounded(.up))
    }
}
