import Kernels
import Testing

@Suite("Attention over packed segments")
struct AttentionTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let heads: Int
        let keyValueHeads: Int
        let size: Int
        let lengths: [Int]
        var testDescription: String { "\(heads)/\(keyValueHeads) heads of \(size), lengths \(lengths)" }

        var shape: AttentionShape {
            AttentionShape(heads: heads, keyValueHeads: keyValueHeads, headSize: size)
        }
        var segments: [Segment] {
            var start = 0
            return lengths.map { length in
                defer { start += length }
                return Segment(start: start, count: length)
            }
        }
        var rows: Int { lengths.reduce(0, +) }
        var fused: Int { (heads + 2 * keyValueHeads) * size }
    }

    static let small = [
        Case(heads: 1, keyValueHeads: 1, size: 2, lengths: [1]),
        Case(heads: 2, keyValueHeads: 2, size: 8, lengths: [5, 1, 3]),
        Case(heads: 4, keyValueHeads: 2, size: 6, lengths: [7, 2]),
        Case(heads: 3, keyValueHeads: 1, size: 4, lengths: [9]),
    ]
    /// Lengths around the tile of 64 rows.
    static let large = [
        Case(heads: 8, keyValueHeads: 4, size: 8, lengths: [63, 64, 65]),
        Case(heads: 9, keyValueHeads: 3, size: 64, lengths: [130, 17]),
        Case(heads: 2, keyValueHeads: 2, size: 80, lengths: [257]),
    ]

    func forward(_ test: Case, _ qkv: [Float], threads: Int = 1) -> (out: [Float], logSumExp: [Float]) {
        var out = [Float](repeating: .nan, count: test.rows * test.heads * test.size)
        var logSumExp = [Float](repeating: .nan, count: test.rows * test.heads)
        attention(
            test.shape, segments: test.segments, qkv: qkv, out: &out, logSumExp: &logSumExp,
            pool: ThreadPool(threads: threads))
        return (out, logSumExp)
    }

    func backward(_ test: Case, _ qkv: [Float], _ dout: [Float], threads: Int = 1) -> [Float] {
        let (out, logSumExp) = forward(test, qkv)
        var dqkv = [Float](repeating: .nan, count: qkv.count)
        attentionGradient(
            test.shape, segments: test.segments, qkv: qkv, out: out, logSumExp: logSumExp, dout: dout,
            dqkv: &dqkv, pool: ThreadPool(threads: threads))
        return dqkv
    }

    func naive(_ test: Case, _ qkv: [Double]) -> [Double] {
        Naive.attention(
            qkv, segments: test.segments, heads: test.heads, keyValueHeads: test.keyValueHeads,
            size: test.size)
    }

    @Test("forward equals the formula", arguments: small + large)
    func forwardAgrees(test: Case) {
        var numbers = Numbers(seed: 3)
        let qkv = numbers.floats(test.rows * test.fused).map { 2 * $0 }
        #expect(largestDifference(forward(test, qkv).out, naive(test, qkv.doubles)) < 5e-6)
    }

    @Test("backward equals finite differences of the formula", arguments: small)
    func backwardAgrees(test: Case) {
        var numbers = Numbers(seed: 4)
        let qkv = numbers.floats(test.rows * test.fused).map { 2 * $0 }
        let dout = numbers.floats(test.rows * test.heads * test.size)
        let expected = Naive.gradient(qkv.doubles) { dotProduct(naive(test, $0), dout.doubles) }
        #expect(largestDifference(backward(test, qkv, dout), expected) < 5e-6)
    }

    @Test("backward along a random direction equals a finite difference, across tiles", arguments: large)
    func backwardAgreesAlongDirections(test: Case) {
        var numbers = Numbers(seed: 5)
        let qkv = numbers.floats(test.rows * test.fused)
        let dout = numbers.floats(test.rows * test.heads * test.size)
        let gradient = backward(test, qkv, dout).doubles
        for _ in 0..<2 {
            let direction = numbers.floats(qkv.count).doubles
            func value(_ step: Double) -> Double {
                dotProduct(
                    naive(test, zip(qkv.doubles, direction).map { $0 + step * $1 }), dout.doubles)
            }
            let expected = (value(1e-4) - value(-1e-4)) / 2e-4
            #expect(abs(dotProduct(gradient, direction) - expected) < 1e-5 * (1 + abs(expected)) * 10)
        }
    }

    @Test("packed segments give bit for bit what separate runs give", arguments: large)
    func packingChangesNothing(test: Case) {
        var numbers = Numbers(seed: 6)
        let qkv = numbers.floats(test.rows * test.fused)
        let dout = numbers.floats(test.rows * test.heads * test.size)
        let (out, gradient) = (forward(test, qkv).out, backward(test, qkv, dout))
        let width = test.heads * test.size
        for segment in test.segments {
            let alone = Case(
                heads: test.heads, keyValueHeads: test.keyValueHeads, size: test.size,
                lengths: [segment.count])
            let rows = segment.rows
            let part = Array(qkv[rows.lowerBound * test.fused..<rows.upperBound * test.fused])
            let partGradient = Array(dout[rows.lowerBound * width..<rows.upperBound * width])
            #expect(
                forward(alone, part).out
                    == Array(out[rows.lowerBound * width..<rows.upperBound * width]))
            #expect(
                backward(alone, part, partGradient)
                    == Array(gradient[rows.lowerBound * test.fused..<rows.upperBound * test.fused]))
        }
    }

    @Test("later rows and other segments have no influence at all")
    func nothingLeaks() {
        let test = Case(heads: 4, keyValueHeads: 2, size: 8, lengths: [70, 20])
        var numbers = Numbers(seed: 7)
        let qkv = numbers.floats(test.rows * test.fused)
        // A gradient that enters at row 30 of the first segment only.
        var dout = [Float](repeating: 0, count: test.rows * test.heads * test.size)
        for i in 30 * 32..<31 * 32 { dout[i] = numbers.next() }
        let gradient = backward(test, qkv, dout)
        #expect(gradient[31 * test.fused..<test.rows * test.fused].allSatisfy { $0 == 0 })
        #expect(gradient[0..<31 * test.fused].contains { $0 != 0 })
    }

    @Test("one, two and three threads give the same bits", arguments: large)
    func threadsChangeNothing(test: Case) {
        var numbers = Numbers(seed: 8)
        let qkv = numbers.floats(test.rows * test.fused)
        let dout = numbers.floats(test.rows * test.heads * test.size)
        for threads in 2...3 {
            #expect(forward(test, qkv, threads: threads).out == forward(test, qkv).out)
            #expect(backward(test, qkv, dout, threads: threads) == backward(test, qkv, dout))
        }
    }

    @Test("one step against a cache equals the last row of the whole", arguments: small + large)
    func stepAgrees(test: Case) {
        var numbers = Numbers(seed: 9)
        let qkv = numbers.floats(test.rows * test.fused)
        let width = test.heads * test.size
        let cached = test.keyValueHeads * test.size
        let expected = naive(test, qkv.doubles)
        for segment in test.segments {
            var (keys, values): ([Float], [Float]) = ([], [])
            for row in segment.rows {
                keys += qkv[row * test.fused + width..<row * test.fused + width + cached]
                values += qkv[row * test.fused + width + cached..<(row + 1) * test.fused]
            }
            let last = segment.start + segment.count - 1
            var out = [Float](repeating: 0, count: width)
            var scores = [Float](repeating: 0, count: segment.count)
            attentionStep(
                test.shape, query: Array(qkv[last * test.fused..<last * test.fused + width]),
                keys: keys, values: values, count: segment.count, scores: &scores, out: &out)
            #expect(
                largestDifference(out, Array(expected[last * width..<(last + 1) * width])) < 5e-6)
        }
    }
}
