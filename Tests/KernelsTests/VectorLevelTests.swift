import CVector
import Kernels
import Testing

/// Every set of loops that this machine can run, against the plain one and the formulas.
@Suite("Sets of instructions agree")
struct VectorLevelTests {
    static let lengths = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 67]

    func loops(_ level: VectorLevel) -> vector_loops { vector_loops_for(level.rawValue).pointee }

    // A sum of K terms of unit scale: rounding grows like √K and the sets order their sums differently.
    @Test("sums agree to 2e-6·√K", arguments: VectorLevel.available)
    func sumsAgree(level: VectorLevel) {
        var numbers = Numbers(seed: 41)
        let set = loops(level)
        for count in Self.lengths + [1000] {
            let (a, b, c) = (numbers.floats(count), numbers.floats(count), numbers.floats(count))
            let bound = 2e-6 * Double(count).squareRoot()
            func check(_ value: Float, _ terms: [Double]) {
                #expect(abs(Double(value) - terms.reduce(0, +)) < bound)
            }
            check(set.sum(a, count), a.doubles)
            check(set.dot(a, b, count), zip(a.doubles, b.doubles).map { $0 * $1 })
            check(
                set.dot3(a, b, c, count), a.indices.map { Double(a[$0]) * Double(b[$0]) * Double(c[$0]) })
            check(set.deviation(a, 0.25, count), a.doubles.map { ($0 - 0.25) * ($0 - 0.25) })
            #expect(set.largest(a, count) == a.max()!)
        }
    }

    @Test("elementwise loops agree with the plain ones at every length", arguments: VectorLevel.available)
    func elementwiseLoopsAgree(level: VectorLevel) {
        var numbers = Numbers(seed: 42)
        let (plain, set) = (loops(.plain), loops(level))
        for count in Self.lengths {
            let x = numbers.floats(count).map { 3 * $0 }
            let (y, z, w) = (numbers.floats(count), numbers.floats(count), numbers.floats(count))
            func compare(
                _ tolerance: Double = 4e-6, _ run: (vector_loops, UnsafeMutablePointer<Float>) -> Void
            ) {
                let expected = w.unaligned { run(plain, $0) }
                #expect(largestDifference(w.unaligned(3) { run(set, $0) }, expected.doubles) < tolerance)
            }
            compare { _ = $0.exponentials($1, 0.5, count) }
            compare { $0.scale($1, 0.3, count) }
            compare { $0.axpy(0.3, x, $1, count) }
            compare { $0.scale_by(x, 0.3, y, $1, count) }
            compare { $0.standardise(x, 0.1, 1.5, y, z, $1, count) }
            compare { $0.norm_gradient(x, y, z, 0.1, 0.2, 0.3, 1.5, $1, count) }
            compare { $0.gain_gradient(x, y, 0.1, 1.5, $1, count) }
            compare { $0.swiglu(x, y, $1, count) }
            compare { $0.gelu_erf(x, $1, count) }
            compare { $0.gelu_tanh(x, $1, count) }
            compare { $0.gelu_erf_gradient(x, y, $1, count) }
            compare { $0.gelu_tanh_gradient(x, y, $1, count) }
            compare { set, target in
                var other = x
                set.swiglu_gradient(target, &other, y, count)
                for i in 0..<count { target[i] += other[i] }
            }
            compare { set, target in
                var other = x
                set.softmax_gradient(target, &other, 0.7, 0.2, 0.5, count)
                for i in 0..<count { target[i] += other[i] }
            }
            compare { set, target in
                var other = x
                set.rotate(target, &other, y, z, -1, count)
                for i in 0..<count { target[i] += 2 * other[i] }
            }
        }
    }

    @Test("not-a-number and infinity come through", arguments: VectorLevel.available)
    func specialValuesPropagate(level: VectorLevel) {
        let set = loops(level)
        for count in [3, 16, 19] {
            for place in 0..<count {
                var x = [Float](repeating: 1, count: count)
                x[place] = .nan
                #expect(set.sum(x, count).isNaN && set.dot(x, x, count).isNaN)
                #expect(set.largest(x, count).isNaN)
                var y = x
                set.swiglu(x, x, &y, count)
                #expect(y[place].isNaN && y.filter(\.isNaN).count == 1)
                set.gelu_erf(x, &y, count)
                #expect(y[place].isNaN && y.filter(\.isNaN).count == 1)
                x[place] = .infinity
                #expect(set.sum(x, count) == .infinity && set.largest(x, count) == .infinity)
            }
        }
    }
}
