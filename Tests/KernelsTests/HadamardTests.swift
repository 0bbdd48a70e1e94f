import CVector
import Kernels
import Testing

/// The Walsh–Hadamard loop against its definition, for every set of instructions that runs here.
@Suite struct HadamardTests {
    /// Level by level, as the definition's Kronecker product has it.
    private func naive(_ x: [Float], before: [Float]?, after: [Float]?) -> [Float] {
        var x = x
        if let before { for index in x.indices { x[index] *= before[index] } }
        var distance = 1
        while distance < x.count {
            for index in x.indices where index & distance == 0 {
                let (a, b) = (x[index], x[index + distance])
                x[index] = a + b
                x[index + distance] = a - b
            }
            distance *= 2
        }
        if let after { for index in x.indices { x[index] *= after[index] } }
        return x
    }

    @Test(
        "Every length gives the definition's bits, with and without factors", arguments: VectorLevel.available
    )
    func bits(level: VectorLevel) {
        let loops = vector_loops_for(level.rawValue)
        for power in 0...17 {
            let count = 1 << power
            let input = (0..<count).map { Float(($0 * 2_654_435_761) % 1009) / 7 - 70 }
            let factors = (0..<count).map { Float($0 * 40_503 % 3 == 0 ? 0.7 : -0.7) }
            for (before, after) in [(nil, nil), (factors, nil), (nil, factors), (factors, factors)] {
                var ours = input
                loops.pointee.hadamard(&ours, before, after, count)
                #expect(ours == naive(input, before: before, after: after), "2^\(power), \(level.name)")
            }
        }
    }

    @Test("It is its own inverse up to the length and keeps squares, for small whole numbers exactly")
    func inverse() {
        let loops = vector_loops_for(VectorLevel.best.rawValue)
        let count = 1 << 12
        let input = (0..<count).map { Float($0 * 7 % 5 - 2) }
        var twice = input
        loops.pointee.hadamard(&twice, nil, nil, count)
        let energy = twice.reduce(0.0) { $0 + Double($1) * Double($1) }
        #expect(energy == Double(count) * input.reduce(0.0) { $0 + Double($1) * Double($1) })
        loops.pointee.hadamard(&twice, nil, nil, count)
        #expect(twice == input.map { Float(count) * $0 })
    }
}
