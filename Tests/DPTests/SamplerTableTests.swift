import DP
import Foundation
import GMP
import Sodium
import Testing

/// `Tests/Vectors/dp-noise/tables.json`, made by the script beside it.
struct TableVectors: Decodable {
    struct Thresholds: Decodable {
        let law: String
        let variance: String
        let bits: Int
        let entries: Int
        let values: [String: String]

        var integerLaw: IntegerLaw {
            let variance = Rational(variance)!
            return law == "skellam" ? .skellam(variance: variance) : .discreteGaussian(variance: variance)
        }
    }
    struct Skellam: Decodable {
        let variance: String
        let pmf: [String]
        let fourthMoment: String
    }
    struct Seeded: Decodable {
        let seed: String
        let label: String
        let variance: String
        let samples: [Int32]
    }
    struct Grid: Decodable {
        let clients: Int
        let dropouts: Int
        let ratio: String
        let levels: [Int]
    }

    let thresholds: [Thresholds]
    let skellam: [Skellam]
    let seededNoise: [Seeded]
    let grid: [Grid]

    static func load() throws -> TableVectors {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Vectors/dp-noise/tables.json")
        return try JSONDecoder().decode(TableVectors.self, from: Data(contentsOf: file))
    }
}

@Suite("Table sampler")
struct SamplerTableTests {
    @Test("Every limit of the table equals an independent evaluation, to the last bit")
    func limits() throws {
        for entry in try TableVectors.load().thresholds {
            let ours = entry.integerLaw.cumulativeThresholds(bits: entry.bits)
            #expect(ours.count == entry.entries, "\(entry.law) \(entry.variance)")
            for (k, value) in entry.values {
                #expect(ours[Int(k)!] == BigInteger(value)!, "\(entry.law) \(entry.variance) at \(k)")
            }
        }
    }

    /// All words of a small table: what one word decides is certain, and it decides almost everything.
    @Test(
        "Exhaustively: a decided word lies inside its magnitude's interval",
        arguments: ["1/4", "1/2", "1", "2", "7/3", "20"])
    func exhaustive(variance: String) throws {
        let bits = 10
        for law in [
            IntegerLaw.skellam(variance: Rational(variance)!),
            .discreteGaussian(variance: Rational(variance)!),
        ] {
            let table = TableSampler(law, bits: bits)
            // Limits to 100 further digits: the true interval of magnitude k is [limit k−1, limit k).
            let exact = law.cumulativeThresholds(bits: bits + 100)
            var undecided = 0
            var decided: [Int32: Int] = [:]
            for digits in 0..<UInt64(1) << UInt64(bits) {
                for sign in [UInt64(0), 1] {
                    guard let sample = table.sample(digits << UInt64(64 - bits) | sign) else {
                        undecided += 1
                        continue
                    }
                    decided[sample, default: 0] += 1
                    let k = Int(sample.magnitude)
                    #expect(k == 0 || (sample < 0) == (sign == 1))
                    let low = BigInteger(digits).shiftedLeft(100)
                    #expect(low + .powerOfTwo(100) <= exact[k])
                    #expect(k == 0 || low > exact[k - 1])
                }
            }
            // Two words, for the two signs, end on each limit; limits may coincide at this precision.
            #expect(undecided <= 2 * table.entries)
            #expect(Rational(BigInteger(undecided), .powerOfTwo(bits + 1)) <= table.tieProbability)
            for (sample, count) in decided { #expect(sample == 0 || decided[-sample] == count) }
        }
    }

    @Test("Words that tie are decided by the next ones, without bias")
    func ties() {
        // With 4 digits one word in two or three ties. χ² at 1e-6, seed fixed.
        let law = IntegerLaw.skellam(variance: 2)
        let samples = TableSampler(law, bits: 4).samples(20_000, using: StreamRandom(seed: 3, label: "ties"))
        let p = Statistics.chiSquare(samples, probability: Statistics.skellam(variance: 2, reach: 40))
        #expect(p >= 1e-6, "seed 3: p = \(p)")
        // The same samples from the full table where it decides, as long as both read the same digits.
        #expect(TableSampler(law).tieProbability < Rational(1, .powerOfTwo(57)))
    }

    @Test("A tie that goes on for two words is settled by the third")
    func longTie() {
        let law = IntegerLaw.discreteGaussian(variance: 2)
        let limit = law.cumulativeThresholds(bits: 63 + 64)[1]
        let second = limit.modulo(.powerOfTwo(64)).asUInt64!
        let first = limit.shiftedRight(64).asUInt64! << 1
        let table = TableSampler(law)
        for (third, magnitude) in [(UInt64(0), Int32(1)), (.max, 2)] {
            var coins = WordCoins(tape: [first, second, third])
            #expect(table.sample(&coins) == magnitude)
            #expect(coins.consumed == 3)
        }
        // One unit off the limit's second word decides at once.
        for (word, magnitude) in [(second - 1, Int32(1)), (second + 1, 2)] {
            var coins = WordCoins(tape: [first | 1, word])
            #expect(table.sample(&coins) == -magnitude)
        }
    }

    @Test("The digest names law and table")
    func digest() {
        let base = TableSampler(.skellam(variance: 5)).digest
        #expect(base == TableSampler(.skellam(variance: 5)).digest)
        #expect(base != TableSampler(.skellam(variance: Rational(51, 10))).digest)
        #expect(base != TableSampler(.discreteGaussian(variance: 5)).digest)
    }

    @Test("Tables that would be too long are refused before they are built")
    func tooLong() {
        #expect(TableSampler.canHold(.skellam(variance: 700_000_000)))
        #expect(!TableSampler.canHold(.skellam(variance: 1_000_000_000)))
        #expect(!TableSampler.canHold(.skellam(variance: 0)))
    }
}

@Suite("Seeded noise")
struct SeededNoiseTests {
    static func seed(_ byte: UInt8) -> SecretBytes {
        SecretBytes(copying: [UInt8](repeating: byte, count: 31))
    }

    static func noise(_ seed: SecretBytes, _ label: String, _ variance: Rational, count: Int) -> [Int32] {
        var values = [Int32](repeating: 0, count: count)
        let noise = SeededNoise(
            sampler: TableSampler(.skellam(variance: variance)), seed: seed, label: label)
        values.withUnsafeMutableBufferPointer { noise.add(to: $0) }
        return values
    }

    @Test("A seed's samples equal an independent implementation's")
    func vectors() throws {
        for entry in try TableVectors.load().seededNoise {
            let seed = SecretBytes(
                copying: stride(from: 0, to: 62, by: 2).map { offset in
                    let start = entry.seed.index(entry.seed.startIndex, offsetBy: offset)
                    return UInt8(entry.seed[start...].prefix(2), radix: 16)!
                })
            let ours = Self.noise(seed, entry.label, Rational(entry.variance)!, count: entry.samples.count)
            #expect(ours == entry.samples)
        }
    }

    @Test("Any part can be computed alone, and subtracting undoes adding")
    func seekable() {
        let sampler = TableSampler(.skellam(variance: 300))
        let noise = SeededNoise(sampler: sampler, seed: Self.seed(1), label: "1")
        let whole = Self.noise(Self.seed(1), "1", 300, count: 5000)
        for (start, count) in [(0, 1), (8, 4992), (2040, 17), (4096, 904)] {
            var part = [Int32](repeating: .max, count: count)
            part.withUnsafeMutableBufferPointer { noise.add(to: $0, startingAt: start) }
            #expect(part == whole[start..<start + count].map { Int32.max &+ $0 })
            part.withUnsafeMutableBufferPointer { noise.subtract(from: $0, startingAt: start) }
            #expect(part == [Int32](repeating: .max, count: count))
        }
    }

    @Test("A coordinate that ties takes words of its own; the others keep theirs")
    func seekableTies() {
        let coarse = TableSampler(.skellam(variance: 2), bits: 5)
        let noise = SeededNoise(sampler: coarse, seed: Self.seed(2), label: "1")
        var whole = [Int32](repeating: 0, count: 4096)
        whole.withUnsafeMutableBufferPointer { noise.add(to: $0) }
        var tail = [Int32](repeating: 0, count: 2048)
        tail.withUnsafeMutableBufferPointer { noise.add(to: $0, startingAt: 2048) }
        #expect(tail == Array(whole[2048...]))
        let p = Statistics.chiSquare(whole, probability: Statistics.skellam(variance: 2, reach: 40))
        #expect(p >= 1e-6)
    }

    @Test("Another seed or another label is other noise")
    func independence() {
        let base = Self.noise(Self.seed(1), "1", 100, count: 4000)
        for other in [
            Self.noise(Self.seed(3), "1", 100, count: 4000), Self.noise(Self.seed(1), "2", 100, count: 4000),
        ] {
            // The correlation's false-alarm rate is 1e-6.
            let score =
                zip(base, other).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
                / (100 * 4000.0.squareRoot())
            #expect(abs(score) < Statistics.zAtOneInAMillion)
        }
    }
}

/// Goodness of fit at a false-alarm rate of 1e-6 for each test, and planted bugs to show the power.
@Suite("Table samples fit their laws")
struct SamplerTableFitTests {
    static let seed: UInt64 = 20_261_122

    static func samples(_ law: IntegerLaw, count: Int = 400_000) -> [Int32] {
        TableSampler(law).samples(count, using: StreamRandom(seed: seed, label: law.description))
    }

    static func passes(_ samples: [Int32], variance: Double) -> Bool {
        let scores = [
            // E[X⁴] = v + 3v².
            Statistics.varianceScore(
                samples, variance: variance, fourthMoment: variance + 3 * variance * variance),
            Statistics.signScore(samples), Statistics.lagScore(samples, lag: 1, variance: variance),
            Statistics.lagScore(samples, lag: samples.count / 2, variance: variance),
        ]
        let pmf = Statistics.skellam(variance: variance, reach: Int(14 * variance.squareRoot()) + 40)
        return Statistics.chiSquare(samples, probability: pmf) >= 1e-6
            && scores.allSatisfy { abs($0) < Statistics.zAtOneInAMillion }
    }

    @Test(
        "Skellam: χ², variance, sign, correlation",
        arguments: ["1/4", "1", "2", "16", "100", "2500/7", "40000"])
    func skellam(variance: String) {
        let variance = Rational(variance)!
        #expect(
            Self.passes(Self.samples(.skellam(variance: variance)), variance: variance.asDouble),
            "seed \(Self.seed), variance \(variance)")
    }

    @Test("Discrete Gaussian from the table", arguments: ["1/2", "100", "40000"])
    func discreteGaussian(variance: String) {
        let variance = Rational(variance)!
        let samples = Self.samples(.discreteGaussian(variance: variance))
        #expect(SamplerFitTests.passes(samples, variance: variance), "seed \(Self.seed), σ² = \(variance)")
    }

    @Test("Skellam shares add up to a Skellam variable")
    func closure() {
        var sum = [Int32](repeating: 0, count: 200_000)
        for share in 0..<5 {
            let part = TableSampler(.skellam(variance: 4)).samples(
                sum.count, using: StreamRandom(seed: 8, label: "share \(share)"))
            for index in sum.indices { sum[index] += part[index] }
        }
        #expect(Self.passes(sum, variance: 20), "seed 8")
    }

    @Test("Masses used here equal independent values")
    func masses() throws {
        for entry in try TableVectors.load().skellam {
            let variance = Rational(entry.variance)!.asDouble
            let pmf = Statistics.skellam(variance: variance, reach: 200)
            for (k, value) in entry.pmf.enumerated() {
                #expect(abs(pmf[k]! / Double(value)! - 1) < 1e-12)
            }
            #expect(abs(variance + 3 * variance * variance - Double(entry.fourthMoment)!) < 1e-9)
        }
    }

    @Test("Planted bugs fail: the tests have power")
    func plantedBugs() {
        func caught(
            _ name: String, _ samples: [Int32], _ variance: Double,
            sourceLocation: SourceLocation = #_sourceLocation
        ) {
            #expect(
                !Self.passes(samples, variance: variance), "not caught: \(name)",
                sourceLocation: sourceLocation)
        }
        let good = Self.samples(.skellam(variance: 100))
        #expect(Self.passes(good, variance: 100))
        caught("variance larger by 2 %", Self.samples(.skellam(variance: 102)), 100)
        caught("variance smaller by 2 %", Self.samples(.skellam(variance: 98)), 100)
        caught("one Poisson's mean doubled", Self.samples(.skellam(variance: 200)), 100)
        caught("a Gaussian instead of a Skellam", Self.samples(.discreteGaussian(variance: 2)), 2)
        caught("shifted by one", good.map { $0 + 1 }, 100)
        caught("limits off by one entry", good.map { $0 + $0.signum() }, 100)
        caught(
            "both zeros kept", good + good.filter { $0 == 0 }, 100)
        let bias = StreamRandom(seed: 9, label: "bias")
        caught("sign biased by 1 %", good.map { $0 < 0 && bias.nextUInt64() % 50 == 0 ? -$0 : $0 }, 100)
        caught(
            "sign taken from the digits", good.map { $0.magnitude % 2 == 0 ? $0 : Int32($0.magnitude) }, 100)
        caught("tail cut at 3σ", good.filter { abs($0) < 30 }, 100)
        caught("one stream for two levels", Array(good[..<200_000] + good[..<200_000]), 100)
        caught("ties taken as smaller, 6 digits", Self.undecidedAsSmaller(variance: 2), 2)
        caught("only 16 bits of a word used", Self.truncatedWords(variance: 100), 100)
    }

    /// A table of 6 digits whose ties are not refined.
    private static func undecidedAsSmaller(variance: Rational) -> [Int32] {
        let table = TableSampler(.skellam(variance: variance), bits: 6)
        let random = StreamRandom(seed: 10, label: "ties")
        return (0..<400_000).map { _ in
            let word = random.nextUInt64()
            return table.sample(word) ?? table.sample(word &- 1 << 58) ?? 0
        }
    }

    /// Words of which most digits are zero: rare magnitudes never occur.
    private static func truncatedWords(variance: Rational) -> [Int32] {
        let table = TableSampler(.skellam(variance: variance))
        let random = StreamRandom(seed: 11, label: "short words")
        return (0..<400_000).compactMap { _ in
            let word = random.nextUInt64()
            return table.sample(word & 0xFF00_0000_0000_0001)
        }
    }
}

extension Statistics {
    /// P[X = x] of a Skellam variable for |x| ≤ reach: Poisson masses convolved by Miller's recurrence.
    static func skellam(variance: Double, reach: Int) -> [Int: Double] {
        // Downwards from far outside, as ratios; every term is positive.
        var ratios = [Double](repeating: 0, count: reach + 1)
        var ratio = 0.0
        for k in stride(from: 2 * reach + 60, through: 1, by: -1) {
            ratio = 1 / (2 * Double(k) / variance + ratio)
            if k <= reach { ratios[k] = ratio }
        }
        var masses = [1.0]
        for k in 1...reach { masses.append(masses[k - 1] * ratios[k]) }
        let total = masses[0] + 2 * masses.dropFirst().reduce(0, +)
        var result: [Int: Double] = [:]
        for (k, mass) in masses.enumerated() {
            result[k] = mass / total
            result[-k] = mass / total
        }
        return result
    }
}
