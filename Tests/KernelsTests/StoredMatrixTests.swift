import Kernels
import Testing

@Suite("Matrices in fewer bits")
struct StoredMatrixTests {
    func encode(_ storage: MatrixStorage, _ values: [Float], outputs: Int, inputs: Int) -> EncodedMatrix {
        EncodedMatrix(storage, outputs: outputs, inputs: inputs, pool: ThreadPool(threads: 2)) {
            row, target in
            for i in 0..<inputs { target[i] = values[row * inputs + i] }
        }
    }

    func expanded(_ matrix: StoredMatrix) -> [Float] {
        var values = [Float](repeating: .nan, count: matrix.outputs * matrix.inputs)
        matrix.expand(into: &values)
        return values
    }

    @Test(
        "expanded numbers are the nearest that the storage can hold",
        arguments: [MatrixStorage.f32, .bf16, .int8, .int4])
    func encodingIsNearest(storage: MatrixStorage) {
        var numbers = Numbers(seed: 31)
        let (outputs, inputs) = (7, 70)
        var values = numbers.floats(outputs * inputs)
        for i in 0..<inputs { values[3 * inputs + i] = 0 }
        let encoded = encode(storage, values, outputs: outputs, inputs: inputs)
        let found = expanded(encoded.matrix)
        for output in 0..<outputs {
            for input in 0..<inputs {
                let index = output * inputs + input
                let group =
                    storage == .int4
                    ? output * inputs + input / 32 * 32..<output * inputs
                        + min(inputs, input / 32 * 32 + 32)
                    : output * inputs..<(output + 1) * inputs
                let largest = values[group].map(abs).max()!
                let bound: Float =
                    switch storage {
                    case .f32: 0
                    case .bf16, .f16: abs(values[index]) * 0x1p-8
                    case .int8: largest / 127 * 0.5001
                    case .int4: largest / 7 * 0.5001
                    }
                #expect(abs(found[index] - values[index]) <= bound)
            }
        }
        let row = 4 * ((70 + 31) / 32)
        let bytes = [
            MatrixStorage.f32: 280, .bf16: 140, .int8: 70 + 4, .int4: 35 + row,
        ][storage]!
        #expect(encoded.matrix.bytes == outputs * bytes)
    }

    @Test(
        "products equal bit for bit those with the expanded numbers, both ways",
        arguments: [MatrixStorage.bf16, .int8, .int4])
    func productsEqualExpanded(storage: MatrixStorage) {
        var numbers = Numbers(seed: 32)
        for (rows, outputs, inputs) in [(1, 1, 2), (5, 33, 18), (17, 70, 96), (3, 40, 1400)] {
            let encoded = encode(
                storage, numbers.floats(outputs * inputs), outputs: outputs, inputs: inputs)
            let (x, dy) = (numbers.floats(rows * inputs), numbers.floats(rows * outputs))
            func run(_ matrix: StoredMatrix) -> ([Float], [Float]) {
                var y = [Float](repeating: .nan, count: rows * outputs)
                var dx = [Float](repeating: 0.5, count: rows * inputs)
                matrix.multiply(rows: rows, x, inputs, &y, outputs)
                matrix.multiplyGradient(rows: rows, dy, outputs, &dx, inputs, accumulate: true)
                return (y, dx)
            }
            let found = run(encoded.matrix)
            let values = expanded(encoded.matrix)
            let expected = values.withUnsafeBufferPointer {
                run(StoredMatrix($0.baseAddress!, outputs: outputs, inputs: inputs))
            }
            #expect(found.0 == expected.0 && found.1 == expected.1)
        }
    }

    @Test("a matrix stored the other way round multiplies the same")
    func transposedAgrees() {
        var numbers = Numbers(seed: 33)
        let (rows, outputs, inputs) = (6, 37, 50)
        let values = numbers.floats(outputs * inputs)
        let stored = (0..<inputs).flatMap { i in (0..<outputs).map { values[$0 * inputs + i] } }
        let (x, dy) = (numbers.floats(rows * inputs), numbers.floats(rows * outputs))
        values.withUnsafeBufferPointer { values in
            stored.withUnsafeBufferPointer { stored in
                let plain = StoredMatrix(values.baseAddress!, outputs: outputs, inputs: inputs)
                let other = StoredMatrix(
                    UnsafeRawPointer(stored.baseAddress!), .f32, outputs: outputs, inputs: inputs,
                    isTransposed: true)
                var (y, z) = (
                    [Float](repeating: 0, count: rows * outputs),
                    [Float](repeating: 0, count: rows * outputs)
                )
                plain.multiply(rows: rows, x, inputs, &y, outputs)
                other.multiply(rows: rows, x, inputs, &z, outputs)
                #expect(y == z && expanded(plain) == expanded(other))
                var (dx, dz) = (x, x)
                plain.multiplyGradient(rows: rows, dy, outputs, &dx, inputs)
                other.multiplyGradient(rows: rows, dy, outputs, &dz, inputs)
                #expect(dx == dz)
            }
        }
    }

    @Test("half-precision numbers expand exactly, subnormals and specials too")
    func halfExpands() {
        let bits: [UInt16] = [
            0x0000, 0x8000, 0x0001, 0x03FF, 0x0400, 0x3C00, 0xC000, 0x7BFF, 0x7C00, 0xFC00, 0x7E00, 0x3555,
        ]
        let found = bits.withUnsafeBytes {
            expanded(StoredMatrix($0.baseAddress!, .f16, outputs: 2, inputs: 6))
        }
        let expected: [Float] = [
            0, -0.0, 0x1p-24, 0x1.FF8p-15, 0x1p-14, 1, -2, 65504, .infinity, -.infinity, .nan, 0x1.554p-2,
        ]
        for (a, b) in zip(found, expected) {
            #expect(a.bitPattern == b.bitPattern || (a.isNaN && b.isNaN))
        }
    }

    @Test(
        "a value that is no finite number is found wherever it is",
        arguments: [MatrixStorage.f32, .bf16, .f16])
    func notFiniteIsFound(storage: MatrixStorage) {
        let (outputs, inputs) = (1030, 517)
        let pool = ThreadPool(threads: 2)
        // The bits of 1, the largest finite number, infinity and a NaN with a sign, in each storage.
        let (one, most, infinite, invalid): (UInt32, UInt32, UInt32, UInt32) =
            switch storage {
            case .f32: (0x3F80_0000, 0xFF7F_FFFF, 0x7F80_0000, 0xFFC0_0001)
            case .bf16: (0x3F80, 0xFF7F, 0x7F80, 0xFFC1)
            default: (0x3C00, 0xFBFF, 0x7C00, 0xFE01)
            }
        let width = storage.bits / 8
        let memory = UnsafeMutableRawPointer.allocate(byteCount: outputs * inputs * width, alignment: 64)
        defer { memory.deallocate() }
        func set(_ index: Int, _ bits: UInt32) {
            if width == 4 {
                memory.storeBytes(of: bits, toByteOffset: 4 * index, as: UInt32.self)
            } else {
                memory.storeBytes(of: UInt16(bits), toByteOffset: 2 * index, as: UInt16.self)
            }
        }
        for index in 0..<outputs * inputs { set(index, index % 3 == 0 ? most : one) }
        let matrix = StoredMatrix(memory, storage, outputs: outputs, inputs: inputs)
        #expect(matrix.isFinite(pool: pool))
        for place in [0, 1, 262_143, 262_144, outputs * inputs - 1] {
            for bits in [infinite, invalid] {
                set(place, bits)
                #expect(!matrix.isFinite(pool: pool), "\(place)")
                set(place, one)
            }
        }
        #expect(matrix.isFinite(pool: pool))
    }
}
