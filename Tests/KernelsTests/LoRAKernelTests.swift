import Kernels
import Testing

@Suite("Low-rank adapter kernels")
struct LoRAKernelTests {
    @Test("forward, both factors' gradients and the input's equal finite differences", arguments: [1, 4, 5])
    func agreesWithFormula(rank: Int) {
        let (rows, inputs, outputs, scale) = (6, 9, 7, Float(1.5))
        var numbers = Numbers(seed: UInt64(rank))
        let (x, a, b, dy) = (
            numbers.floats(rows * inputs), numbers.floats(rank * inputs), numbers.floats(outputs * rank),
            numbers.floats(rows * outputs)
        )
        func naive(_ x: [Double], _ a: [Double], _ b: [Double]) -> [Double] {
            let u = Naive.product(x, Naive.transposed(a, rank, inputs), rows, inputs, rank)
            return Naive.product(u, Naive.transposed(b, outputs, rank), rows, rank, outputs)
                .map { $0 * Double(scale) }
        }
        var u = [Float](repeating: .nan, count: rows * rank)
        var y = [Float](repeating: 0, count: rows * outputs)
        loraProject(rows: rows, inputs: inputs, rank: rank, x: x, a: a, u: &u)
        loraExpand(
            rows: rows, outputs: outputs, rank: rank, scale: scale, u: u, ldu: rank, b: b, y: &y,
            ldy: outputs)
        #expect(largestDifference(y, naive(x.doubles, a.doubles, b.doubles)) < 1e-5)

        var du = [Float](repeating: .nan, count: rows * rank)
        var dx = [Float](repeating: 0, count: rows * inputs)
        var dA = [Float](repeating: .nan, count: rank * inputs)
        var dB = [Float](repeating: .nan, count: outputs * rank)
        loraExpandGradient(
            rows: rows, outputs: outputs, rank: rank, scale: scale, dy: dy, lddy: outputs, b: b,
            du: &du, lddu: rank)
        loraProjectGradient(rows: rows, inputs: inputs, rank: rank, du: du, a: a, dx: &dx)
        loraGradientA(rows: rows, inputs: inputs, rank: rank, x: x, du: du, lddu: rank, dA: &dA)
        loraGradientB(
            rows: rows, outputs: outputs, rank: rank, scale: scale, dy: dy, lddy: outputs, u: u,
            ldu: rank, dB: &dB)
        let (xs, aa, bb, dd) = (x.doubles, a.doubles, b.doubles, dy.doubles)
        #expect(largestDifference(dx, Naive.gradient(xs) { dotProduct(naive($0, aa, bb), dd) }) < 1e-5)
        #expect(largestDifference(dA, Naive.gradient(aa) { dotProduct(naive(xs, $0, bb), dd) }) < 1e-5)
        #expect(largestDifference(dB, Naive.gradient(bb) { dotProduct(naive(xs, aa, $0), dd) }) < 1e-5)
    }

    @Test("a merged weight acts like the weight plus its adapter")
    func mergeAgrees() {
        let (inputs, outputs, rank) = (5, 3, 2)
        var numbers = Numbers(seed: 1)
        let (weight, a, b) = (
            numbers.floats(outputs * inputs), numbers.floats(rank * inputs), numbers.floats(outputs * rank)
        )
        var merged = weight
        loraMerge(
            inputs: inputs, outputs: outputs, rank: rank, scale: 0.5, a: a, b: b, target: &merged)
        let product = Naive.product(b.doubles, a.doubles, outputs, rank, inputs)
        #expect(
            largestDifference(merged, zip(weight, product).map { Double($0) + 0.5 * $1 }) < 1e-6)
    }
}
