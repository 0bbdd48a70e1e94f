import Kernels
import Testing

@Suite("Chunked cross-entropy of a linear head")
struct CrossEntropyTests {
    struct Result {
        var losses: [Float]
        var dx: [Float]
        var dHead: [Float]
    }

    func run(
        rows: Int, width: Int, vocabulary: Int, x: [Float], head: [Float], targets: [Int32],
        weights: [Float], trainsHead: Bool = true, threads: Int = 1
    ) -> Result {
        var result = Result(
            losses: [Float](repeating: .nan, count: rows), dx: [Float](repeating: .nan, count: rows * width),
            dHead: [Float](repeating: 0, count: vocabulary * width))
        result.dHead.withUnsafeMutableBufferPointer { dHead in
            head.withUnsafeBufferPointer { head in
                crossEntropy(
                    rows: rows, width: width, vocabulary: vocabulary, x: x,
                    head: StoredMatrix(head.baseAddress!, outputs: vocabulary, inputs: width),
                    targets: targets, losses: &result.losses, weights: weights, dx: &result.dx,
                    dHead: trainsHead ? dHead.baseAddress : nil, pool: ThreadPool(threads: threads))
            }
        }
        return result
    }

    @Test("losses and gradients equal the formula", arguments: [(1, 3, 2), (4, 8, 11), (7, 5, 40)])
    func agreesWithFormula(rows: Int, width: Int, vocabulary: Int) {
        var numbers = Numbers(seed: UInt64(rows))
        let (x, head) = (
            numbers.floats(rows * width).map { 3 * $0 }, numbers.floats(vocabulary * width)
        )
        let targets = (0..<rows).map { Int32($0 * 7 % vocabulary) }
        let weights = numbers.floats(rows)
        let result = run(
            rows: rows, width: width, vocabulary: vocabulary, x: x, head: head, targets: targets,
            weights: weights)
        #expect(
            largestDifference(
                result.losses,
                Naive.crossEntropy(x.doubles, head: head.doubles, targets: targets, width: width))
                < 2e-6)
        let dx = Naive.gradient(x.doubles) {
            dotProduct(
                Naive.crossEntropy($0, head: head.doubles, targets: targets, width: width),
                weights.doubles)
        }
        let dHead = Naive.gradient(head.doubles) {
            dotProduct(
                Naive.crossEntropy(x.doubles, head: $0, targets: targets, width: width),
                weights.doubles)
        }
        #expect(largestDifference(result.dx, dx) < 2e-6)
        #expect(largestDifference(result.dHead, dHead) < 4e-6)
    }

    @Test("many chunks equal one row at a time, for any number of threads")
    func chunksChangeNothing() {
        var numbers = Numbers(seed: 12)
        // 600 rows are three chunks.
        let (rows, width, vocabulary) = (600, 16, 50)
        let (x, head) = (numbers.floats(rows * width), numbers.floats(vocabulary * width))
        let targets = (0..<rows).map { Int32($0 % vocabulary) }
        let weights = [Float](repeating: 1, count: rows)
        let whole = run(
            rows: rows, width: width, vocabulary: vocabulary, x: x, head: head, targets: targets,
            weights: weights, trainsHead: false)
        for row in [0, 255, 256, 599] {
            let one = run(
                rows: 1, width: width, vocabulary: vocabulary,
                x: Array(x[row * width..<(row + 1) * width]), head: head, targets: [targets[row]],
                weights: [1])
            #expect(abs(one.losses[0] - whole.losses[row]) < 1e-6)
            #expect(
                largestDifference(
                    one.dx, whole.dx[row * width..<(row + 1) * width].map(Double.init)) < 1e-6)
        }
        let parallel = run(
            rows: rows, width: width, vocabulary: vocabulary, x: x, head: head, targets: targets,
            weights: weights, trainsHead: false, threads: 2)
        #expect(parallel.losses == whole.losses && parallel.dx == whole.dx)
    }

    @Test("logits far apart neither overflow nor lose the loss")
    func largeLogits() {
        let result = run(
            rows: 2, width: 1, vocabulary: 2, x: [500, 500], head: [1, -1], targets: [0, 1],
            weights: [1, 1])
        #expect(result.losses[0] == 0)
        #expect(result.losses[1] == 1000)
        #expect(result.dx == [0, 2])
    }

    @Test("NaN in a row shows in its loss and nowhere else")
    func nanStaysInItsRow() {
        var numbers = Numbers(seed: 13)
        var x = numbers.floats(3 * 8)
        x[9] = .nan
        let result = run(
            rows: 3, width: 8, vocabulary: 20, x: x, head: numbers.floats(160), targets: [1, 2, 3],
            weights: [1, 1, 1], trainsHead: false)
        #expect(result.losses[0].isFinite && result.losses[1].isNaN && result.losses[2].isFinite)
    }
}
