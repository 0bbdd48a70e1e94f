import Sodium

/// Exact coins from 64-bit random words.
///
/// Every Bernoulli coin compares the binary expansion of its probability, 64 bits at a time, with
/// random words until they differ: one word decides except with probability about 2^−60, and the
/// decision is exact in either case. Words are fetched in batches and wiped as they are handed out.
///
/// Timing: the number of words a sampler consumes depends on its result, as with every exact
/// rejection sampler. Callers must draw noise where its timing is not observable (before training).
package struct WordCoins: ~Copyable, ExactCoins {
    private static let batch = 512

    private let source: StreamRandom?
    private let words: UnsafeMutablePointer<UInt64>
    private let capacity: Int
    private var position: Int
    /// How many words were handed out: two samplers that agree on it and on their results made the
    /// same decisions.
    package private(set) var consumed = 0

    package init(_ source: StreamRandom) {
        self.source = source
        capacity = Self.batch
        words = .allocate(capacity: capacity)
        words.initialize(repeating: 0, count: capacity)
        position = capacity
    }

    /// Coins that follow a written tape and may not read past its end; exists for vectors.
    package init(tape: [UInt64]) {
        source = nil
        capacity = tape.count
        words = .allocate(capacity: max(1, tape.count))
        for (index, word) in tape.enumerated() { words[index] = word }
        position = 0
    }

    deinit {
        wipe(UnsafeMutableRawBufferPointer(start: words, count: capacity * 8))
        words.deallocate()
    }

    @inline(__always)
    package mutating func word() -> UInt64 {
        if position == capacity { refill() }
        let word = UInt64(littleEndian: words[position])
        words[position] = 0
        position += 1
        consumed &+= 1
        return word
    }

    @inline(never)
    private mutating func refill() {
        guard let source else { preconditionFailure("the tape has ended") }
        source.fill(UnsafeMutableRawBufferPointer(start: words, count: capacity * 8))
        position = 0
    }

    @inline(__always)
    package mutating func bit() -> Bool {
        word() >> 63 == 1
    }

    /// The high half of word · bound, where the 2^64 mod bound lowest low halves are refused: what
    /// remains gives every result ⌊2^64 / bound⌋ words.
    @inline(__always)
    package mutating func uniform(below bound: UInt64) -> UInt64 {
        while true {
            let product = bound.multipliedFullWidth(by: word())
            // The division for the true limit is needed only below this larger one.
            if product.low >= bound || product.low >= (0 &- bound) % bound { return product.high }
        }
    }

    @inline(__always)
    package mutating func bernoulli(_ numerator: UInt64, _ denominator: UInt64) -> Bool {
        if numerator >= denominator { return certain(UInt128(numerator), UInt128(denominator)) }
        if numerator == 0 { return false }
        let word = word()
        // The word, as the first digit of a uniform U in [0, 1), leaves
        // word · d ≤ U · d · 2^64 < (word + 1) · d, to be compared with n · 2^64.
        let lower = denominator.multipliedFullWidth(by: word)
        if lower.high > numerator { return false }
        if lower.high < numerator {
            let (_, carry) = lower.low.addingReportingOverflow(denominator)
            if !carry || lower.high + 1 < numerator { return true }
        }
        return decide(word, UInt128(numerator), UInt128(denominator))
    }

    @inline(__always)
    package mutating func bernoulli(wide numerator: UInt128, _ denominator: UInt128) -> Bool {
        if numerator >= denominator { return certain(numerator, denominator) }
        if numerator == 0 { return false }
        let word = word()
        // Keep the 64 top bits of the denominator, d' · 2^shift ≤ d < (d' + 1) · 2^shift, and the
        // same bits of the numerator. Then word · d' ≥ (n' + 1) · 2^64 proves U ≥ n/d, and
        // (word + 1)(d' + 1) ≤ n' · 2^64 proves U < n/d; the gap has relative width 2^−62.
        let shift = 64 - denominator.leadingZeroBitCount
        let top: UInt64
        let part: UInt64
        if shift >= 0 {
            top = UInt64(truncatingIfNeeded: denominator &>> UInt128(shift))
            part = UInt64(truncatingIfNeeded: numerator &>> UInt128(shift))
        } else {
            top = UInt64(truncatingIfNeeded: denominator) &<< UInt64(-shift)
            part = UInt64(truncatingIfNeeded: numerator) &<< UInt64(-shift)
        }
        let lower = UInt128(word) &* UInt128(top)
        if UInt64(truncatingIfNeeded: lower &>> 64) > part { return false }
        // (word + 1)(top + 1) − 1, at most 2^128 − 1.
        let upper = lower &+ UInt128(word) &+ UInt128(top)
        if UInt64(truncatingIfNeeded: upper &>> 64) < part { return true }
        return decide(word, numerator, denominator)
    }

    @inline(never)
    private func certain(_ numerator: UInt128, _ denominator: UInt128) -> Bool {
        precondition(numerator == denominator && denominator > 0, "a probability is at most 1")
        return true
    }

    /// The exact comparison, digit by digit in base 2^64; `first` is the first digit of U.
    @inline(never)
    private mutating func decide(_ first: UInt64, _ numerator: UInt128, _ denominator: UInt128) -> Bool {
        var digit = UInt128(first)
        var rest = numerator
        while true {
            // rest · 2^64 = quotient · denominator + remainder, with quotient < 2^64.
            let (quotient, remainder) = denominator.dividingFullWidth((rest >> 64, rest << 64))
            if digit != quotient { return digit < quotient }
            if remainder == 0 { return false }
            rest = remainder
            digit = UInt128(word())
        }
    }
}
