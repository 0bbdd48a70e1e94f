import CVector

/// How a matrix's numbers are kept; products expand them to floats one panel at a time.
package enum MatrixStorage: Int32, CaseIterable, Sendable {
    case f32, bf16, f16
    /// Codes −127…127, times the scale of their row.
    case int8
    /// Codes −7…7 in half bytes, times the scale of their group of 32 neighbours in a row.
    case int4

    package var bits: Int {
        switch self {
        case .f32: 32
        case .bf16, .f16: 16
        case .int8: 8
        case .int4: 4
        }
    }
}

/// A frozen weight matrix, `outputs` × `inputs`, as it lies in memory or in a mapped file.
///
/// `@unchecked`: nothing writes to what it points at. Whoever makes one keeps the memory alive.
package struct StoredMatrix: @unchecked Sendable {
    package let outputs: Int
    package let inputs: Int
    package let storage: MatrixStorage
    private let matrix: vector_matrix
    /// Whether memory holds inputs × outputs.
    private let isTransposed: Bool

    /// Numbers that need no scales.
    package init(
        _ base: UnsafeRawPointer, _ storage: MatrixStorage, outputs: Int, inputs: Int,
        isTransposed: Bool = false
    ) {
        precondition(storage.bits >= 16, "codes come with scales")
        self.init(
            base, storage, scales: nil, group: 0, outputs: outputs, inputs: inputs,
            isTransposed: isTransposed)
    }

    package init(_ base: UnsafePointer<Float>, outputs: Int, inputs: Int) {
        self.init(UnsafeRawPointer(base), .f32, outputs: outputs, inputs: inputs)
    }

    fileprivate init(
        _ base: UnsafeRawPointer, _ storage: MatrixStorage, scales: UnsafePointer<Float>?, group: Int,
        outputs: Int, inputs: Int, isTransposed: Bool
    ) {
        self.outputs = outputs
        self.inputs = inputs
        self.storage = storage
        self.isTransposed = isTransposed
        matrix = vector_matrix(
            data: base, scales: scales, stride: isTransposed ? outputs : inputs, group: group,
            storage: storage.rawValue)
    }

    /// Bytes of the numbers and their scales.
    package var bytes: Int {
        let groups = matrix.group == 0 ? 0 : (inputs + matrix.group - 1) / matrix.group
        return outputs * (inputs * storage.bits / 8 + 4 * groups)
    }

    /// y = x·Wᵀ (+ y), with x `rows` × inputs and y `rows` × outputs.
    package func multiply(
        rows: Int, _ x: UnsafePointer<Float>, _ ldx: Int, _ y: UnsafeMutablePointer<Float>, _ ldy: Int,
        accumulate: Bool = false
    ) {
        product(rows, outputs, inputs, x, ldx, transposed: !isTransposed, y, ldy, accumulate)
    }

    /// dx = dy·W (+ dx).
    package func multiplyGradient(
        rows: Int, _ dy: UnsafePointer<Float>, _ lddy: Int, _ dx: UnsafeMutablePointer<Float>,
        _ lddx: Int, accumulate: Bool = false
    ) {
        product(rows, inputs, outputs, dy, lddy, transposed: isTransposed, dx, lddx, accumulate)
    }

    private func product(
        _ rows: Int, _ columns: Int, _ inner: Int, _ a: UnsafePointer<Float>, _ lda: Int,
        transposed: Bool, _ c: UnsafeMutablePointer<Float>, _ ldc: Int, _ accumulate: Bool
    ) {
        if rows == 0 || columns == 0 { return }
        withUnsafePointer(to: matrix) {
            loops.pointee.product(
                rows, columns, inner, a, lda, 1, $0, transposed ? 1 : 0, c, ldc, 1, accumulate ? 1 : 0)
        }
    }

    /// The numbers of one output's row, as floats.
    package func row(_ output: Int, into target: UnsafeMutablePointer<Float>) {
        withUnsafePointer(to: matrix) { matrix in
            if isTransposed {
                for input in 0..<inputs {
                    loops.pointee.expand(matrix, input, output, 1, target + input)
                }
            } else {
                loops.pointee.expand(matrix, output, 0, inputs, target)
            }
        }
    }

    /// Whether every number is finite; reads the matrix once, as fast as memory gives it. Codes always are: what
    /// they were made from was checked.
    package func isFinite(pool: ThreadPool) -> Bool {
        let count = outputs * inputs
        let chunk = 1 << 18
        let chunks = (count + chunk - 1) / chunk
        let found = UnsafeMutablePointer<Bool>.allocate(capacity: max(1, chunks))
        found.initialize(repeating: false, count: max(1, chunks))
        defer { found.deallocate() }
        let data = matrix.data
        pool.forEach(chunks) { index in
            let range = index * chunk..<min(count, (index + 1) * chunk)
            found[index] =
                switch storage {
                case .f32: largest(data, range, as: UInt32.self, 0x7FFF_FFFF) >= 0x7F80_0000
                case .bf16: largest(data, range, as: UInt16.self, 0x7FFF) >= 0x7F80
                case .f16: largest(data, range, as: UInt16.self, 0x7FFF) >= 0x7C00
                case .int8, .int4: false
                }
        }
        return !UnsafeBufferPointer(start: found, count: chunks).contains(true)
    }

    /// All numbers, row-major, outputs × inputs.
    package func expand(into target: UnsafeMutablePointer<Float>) {
        for output in 0..<outputs { row(output, into: target + output * inputs) }
    }
}

/// A matrix together with the memory that its codes live in.
package final class EncodedMatrix: @unchecked Sendable {
    package let matrix: StoredMatrix
    private let codes: UnsafeMutableRawPointer
    private let scales: FloatBuffer?

    /// Encodes `outputs` rows that `row` delivers one by one, on several threads.
    ///
    /// int8 and int4 round to the nearest code of a symmetric scale: the largest magnitude of the row (int8)
    /// or group of 32 (int4) gets the largest code.
    package init(
        _ storage: MatrixStorage, outputs: Int, inputs: Int, pool: ThreadPool,
        row: (_ output: Int, _ target: UnsafeMutablePointer<Float>) -> Void
    ) {
        // Rows of half bytes begin on a byte.
        precondition(storage != .int4 || inputs % 2 == 0, "int4 rows have an even length")
        let stride = inputs * storage.bits / 8
        let codes = UnsafeMutableRawPointer.allocate(byteCount: max(outputs * stride, 1), alignment: 64)
        let group =
            switch storage {
            case .int8: inputs
            case .int4: 32
            case .f32, .bf16, .f16: 0
            }
        let groups = group == 0 ? 0 : (inputs + group - 1) / group
        let builder = FloatBuffer.Builder(count: outputs * groups)
        let scales = builder.slice(0..<outputs * groups).baseAddress!
        pool.forEachRows(outputs) { rows in
            withScratch(inputs) { values in
                for output in rows {
                    row(output, values)
                    encode(
                        values, inputs, storage, codes + output * stride, group: group,
                        scales: scales + output * groups)
                }
            }
        }
        let finished = builder.finish()
        self.codes = codes
        self.scales = groups == 0 ? nil : finished
        matrix = StoredMatrix(
            codes, storage, scales: groups == 0 ? nil : finished.base, group: group, outputs: outputs,
            inputs: inputs, isTransposed: false)
    }

    deinit { codes.deallocate() }
}

private func encode(
    _ values: UnsafePointer<Float>, _ count: Int, _ storage: MatrixStorage,
    _ target: UnsafeMutableRawPointer, group: Int, scales: UnsafeMutablePointer<Float>
) {
    switch storage {
    case .f32:
        target.copyMemory(from: values, byteCount: 4 * count)
    case .bf16:
        let codes = target.assumingMemoryBound(to: UInt16.self)
        for i in 0..<count { codes[i] = bfloat16Bits(values[i]) }
    case .f16:
        preconditionFailure("f16 is read from files, never written")
    case .int8, .int4:
        let codeMax: Float = storage == .int8 ? 127 : 7
        for start in stride(from: 0, to: count, by: group) {
            let end = min(count, start + group)
            var largest: Float = 0
            for i in start..<end { largest = max(largest, abs(values[i])) }
            scales[start / group] = largest / codeMax
            let inverse = largest > 0 ? codeMax / largest : 0
            for i in start..<end {
                let code = Int((values[i] * inverse).rounded(.toNearestOrEven))
                if storage == .int8 {
                    target.storeBytes(of: Int8(code), toByteOffset: i, as: Int8.self)
                } else {
                    let half = UInt8(code + 8)
                    let byte =
                        i % 2 == 0
                        ? half : target.load(fromByteOffset: i / 2, as: UInt8.self) | half << 4
                    target.storeBytes(of: byte, toByteOffset: i / 2, as: UInt8.self)
                }
            }
        }
    }
}

/// The nearest bfloat16, ties to even; a NaN stays a (quiet) NaN.
package func bfloat16Bits(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if value.isNaN { return UInt16(bits >> 16) | 0x0040 }
    let roundingBias = 0x7FFF + ((bits >> 16) & 1)
    return UInt16(truncatingIfNeeded: (bits + roundingBias) >> 16)
}

/// The largest of the numbers' bits without their signs. Numbers that are not finite have the largest exponent.
@inline(__always)
private func largest<Bits: FixedWidthInteger & UnsignedInteger>(
    _ source: UnsafeRawPointer, _ range: Range<Int>, as: Bits.Type, _ mask: Bits
) -> Bits {
    let numbers = source.assumingMemoryBound(to: Bits.self)
    var largest: Bits = 0
    for index in range { largest = max(largest, numbers[index] & mask) }
    return largest
}
