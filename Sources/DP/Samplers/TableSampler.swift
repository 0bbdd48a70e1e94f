import GMP
import Sodium

/// Exact samples of a symmetric integer law from a table of its distribution function, one 64-bit
/// word each.
///
/// The word's lowest bit is the sign; the other 63 are the first binary digits of a uniform U, and the
/// sample is the magnitude k with P[|X| < k] ≤ U < P[|X| ≤ k]. The table holds these 63 digits of every
/// limit. Where U's digits equal a limit's, with probability below (k_max + 1)·2^−63, further digits
/// decide: the limits are computed again, longer, until they differ from U.
///
/// Claim: given uniform random words the output law is exactly this one; there is no total-variation
/// error to charge. Cutting the further digits off would cost at most `tieProbability` a sample.
///
/// Cost: 5–10 ns a sample besides the random words. Building costs some milliseconds for σ = 1000.
/// Timing: the search is a few steps longer for rare magnitudes. Draw noise that must stay secret
/// before training starts.
public struct TableSampler: Sendable {
    public let law: IntegerLaw
    /// T_k, ascending; the last one is 2^63 − 1.
    private let thresholds: [UInt64]
    /// For each value of the leading digits of U the first k with T_k ≥ those digits, zeros following.
    private let guide: [UInt32]
    private let guideShift: UInt64
    /// Digits of U that the table holds: 63, fewer only in tests.
    private let bits: Int

    /// The longest table: a standard deviation of about 28,000.
    public static let entriesMax = 1 << 18

    /// Whether a law's table stays within `entriesMax`.
    public static func canHold(_ law: IntegerLaw) -> Bool {
        law.variance.sign > 0
            && law.variance.asDouble * 2 * 63 * 0.694 < Double(entriesMax) * Double(entriesMax)
    }

    /// - Precondition: `canHold(law)`.
    public init(_ law: IntegerLaw) { self.init(law, bits: 63) }

    /// With fewer digits ties become common enough to be tested.
    package init(_ law: IntegerLaw, bits: Int) {
        precondition(Self.canHold(law) && (4...63).contains(bits), "the law's table would be too long")
        self.law = law
        self.bits = bits
        thresholds = law.cumulativeThresholds(bits: bits).map { $0.asUInt64! }
        // So many starting points that most words need no search at all, in at most 128 KiB.
        let wanted = Int.bitWidth - thresholds.count.leadingZeroBitCount + 2
        let guideBits = min(bits, max(10, min(15, wanted)))
        guideShift = UInt64(bits - guideBits)
        var guide: [UInt32] = []
        var k = 0
        for leading in 0..<UInt64(1) << UInt64(guideBits) {
            while thresholds[k] < leading << guideShift { k += 1 }
            guide.append(UInt32(k))
        }
        self.guide = guide
    }

    /// The number of magnitudes that one word can tell apart.
    public var entries: Int { thresholds.count }

    /// An upper bound on the probability that a sample needs more than its first word.
    public var tieProbability: Rational { Rational(BigInteger(entries), .powerOfTwo(bits)) }

    /// Names the law and every entry: two parties with the same digest draw the same noise from the same
    /// seed.
    public var digest: Digest {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8 * thresholds.count)
        for threshold in thresholds { bytes += littleEndianBytes(threshold) }
        return Digest.labelled("dp/v1/noise-table", [Array(law.description.utf8), bytes])
    }

    /// Overwrites `output` with independent samples.
    public func fill(_ output: UnsafeMutableBufferPointer<Int32>, using random: StreamRandom) {
        var coins = WordCoins(random)
        for index in output.indices { output[index] = sample(&coins) }
    }

    /// `count` independent samples.
    public func samples(_ count: Int, using random: StreamRandom) -> [Int32] {
        [Int32](unsafeUninitializedCapacity: count) { buffer, initialised in
            fill(UnsafeMutableBufferPointer(rebasing: buffer[..<count]), using: random)
            initialised = count
        }
    }

    /// One sample from as many words as it needs.
    @inline(__always)
    package func sample(_ coins: inout WordCoins) -> Int32 {
        let word = coins.word()
        if let decided = sample(word) { return decided }
        return refined(word) { coins.word() }
    }

    /// The sample that `word` decides, or nil if its digits end on a limit of the table.
    @inline(__always)
    package func sample(_ word: UInt64) -> Int32? {
        let digits = word >> (64 - UInt64(bits))
        let (k, isDecided) = thresholds.withUnsafeBufferPointer { thresholds in
            var k = Int(guide.withUnsafeBufferPointer { $0[Int(digits >> guideShift)] })
            while thresholds[k] < digits { k += 1 }
            return (k, thresholds[k] != digits)
        }
        guard isDecided else { return nil }
        return Self.signed(k, word)
    }

    /// The sample of a word that ties, decided by the words that follow it.
    @inline(never)
    func refined(_ word: UInt64, next: () -> UInt64) -> Int32 {
        var digits = BigInteger(word >> (64 - UInt64(bits)))
        var count = bits
        while true {
            digits = digits.shiftedLeft(64) + BigInteger(next())
            count += 64
            let limits = law.cumulativeThresholds(bits: count)
            let k = limits.firstIndex { $0 >= digits }!
            if limits[k] != digits { return Self.signed(k, word) }
        }
    }

    /// Both signs of zero are zero: the law of |X| alone decides how often it comes.
    @inline(__always)
    private static func signed(_ magnitude: Int, _ word: UInt64) -> Int32 {
        let negative = Int32(truncatingIfNeeded: word & 1)
        return (Int32(truncatingIfNeeded: magnitude) ^ -negative) &+ negative
    }
}
