import CVector
import Kernels
import Testing

@Suite("Matrix products")
struct ProductTests {
    func product(
        _ level: VectorLevel, _ rows: Int, _ columns: Int, _ inner: Int, _ a: [Float],
        transposeA: Bool = false, _ b: [Float], transposeB: Bool = false, alpha: Float = 1,
        into c: [Float]? = nil
    ) -> [Float] {
        b.withUnsafeBufferPointer { b in
            var matrix = vector_matrix(
                data: UnsafeRawPointer(b.baseAddress!), scales: nil,
                stride: transposeB ? inner : columns, group: 0, storage: 0)
            return (c ?? [Float](repeating: .nan, count: rows * columns)).unaligned { target in
                vector_loops_for(level.rawValue).pointee.product(
                    rows, columns, inner, a, transposeA ? 1 : inner, transposeA ? rows : 1, &matrix,
                    transposeB ? 1 : 0, target, columns, alpha, c == nil ? 0 : 1)
            }
        }
    }

    // Sizes around tiles, panels and blocks of every set; 2e-6·√K is the rounding of a sum of K terms.
    @Test(
        "every orientation equals the sum of products in double precision",
        arguments: VectorLevel.available)
    func productsAgree(level: VectorLevel) {
        var numbers = Numbers(seed: 51)
        let sizes = [1, 2, 5, 13, 14, 15, 16, 31, 32, 33, 67]
        for (index, rows) in sizes.enumerated() {
            for (other, columns) in sizes.enumerated() where (index + other) % 2 == 0 {
                let inner = sizes[(index * 3 + other) % sizes.count]
                let (a, b) = (numbers.floats(rows * inner), numbers.floats(inner * columns))
                let expected = Naive.product(a.doubles, b.doubles, rows, inner, columns)
                let bound = 2e-6 * Double(inner).squareRoot()
                let aT = Naive.transposed(a.doubles, rows, inner).map(Float.init)
                let bT = Naive.transposed(b.doubles, inner, columns).map(Float.init)
                let plain = product(level, rows, columns, inner, a, b)
                #expect(largestDifference(plain, expected) < bound)
                #expect(product(level, rows, columns, inner, a, bT, transposeB: true) == plain)
                #expect(product(level, rows, columns, inner, aT, transposeA: true, b) == plain)
                let start = numbers.floats(rows * columns)
                let added = product(level, rows, columns, inner, a, b, alpha: 0.5, into: start)
                #expect(
                    largestDifference(added, zip(start, expected).map { Double($0) + 0.5 * $1 }) < bound)
            }
        }
    }

    @Test("an inner dimension of many blocks", arguments: VectorLevel.available)
    func longSumsAgree(level: VectorLevel) {
        var numbers = Numbers(seed: 52)
        for inner in [639, 640, 641, 1500, 2049] {
            let (a, b) = (numbers.floats(3 * inner), numbers.floats(inner * 35))
            let expected = Naive.product(a.doubles, b.doubles, 3, inner, 35)
            #expect(
                largestDifference(product(level, 3, 35, inner, a, b), expected)
                    < 2e-6 * Double(inner).squareRoot())
        }
    }

    @Test("a row's result does not depend on the rows around it", arguments: VectorLevel.available)
    func rowsAreIndependent(level: VectorLevel) {
        var numbers = Numbers(seed: 53)
        let (rows, columns, inner) = (45, 70, 700)
        let (a, b) = (numbers.floats(rows * inner), numbers.floats(inner * columns))
        let whole = product(level, rows, columns, inner, a, b)
        for (first, count) in [(0, 1), (3, 14), (17, 28), (44, 1)] {
            let part = product(
                level, count, columns, inner, Array(a[first * inner..<(first + count) * inner]), b)
            #expect(part == Array(whole[first * columns..<(first + count) * columns]))
        }
    }

    @Test(
        "not-a-number in either factor reaches exactly its rows and columns", arguments: VectorLevel.available
    )
    func specialValuesPropagate(level: VectorLevel) {
        var a = [Float](repeating: 1, count: 20 * 9)
        let b = [Float](repeating: 1, count: 9 * 40)
        a[7 * 9 + 3] = .nan
        let c = product(level, 20, 40, 9, a, b)
        for row in 0..<20 {
            #expect(c[row * 40..<row * 40 + 40].allSatisfy { row == 7 ? $0.isNaN : $0 == 9 })
        }
    }
}
