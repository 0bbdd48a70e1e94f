/// The machine word that carries one coordinate: 16 bits when b ≤ 16, else 32.
package protocol RingLane: FixedWidthInteger, UnsignedInteger, BitwiseCopyable, Sendable {}
extension UInt16: RingLane {}
extension UInt32: RingLane {}

/// A vector over the ring of integers modulo 2^b, one lane per coordinate.
///
/// Lanes wrap at their own width, a multiple of 2^b, so bits above b are noise until `packed` or
/// `elements` masks them off.
package struct RingVector<Lane: RingLane>: Sendable {
    package let bits: Int
    package var lanes: [Lane]

    package var count: Int { lanes.count }
    private var mask: Lane { Lane.max >> Lane(Lane.bitWidth - bits) }

    package init(zeros count: Int, bits: Int) {
        precondition((8...Lane.bitWidth).contains(bits))
        self.bits = bits
        lanes = [Lane](repeating: 0, count: count)
    }

    /// Takes integers modulo 2^b.
    package init(_ values: [Int32], bits: Int) {
        precondition((8...Lane.bitWidth).contains(bits))
        self.bits = bits
        lanes = values.map { Lane(truncatingIfNeeded: $0) }
    }

    /// The representatives in 0 ..< 2^b.
    package var elements: [UInt32] { lanes.map { UInt32($0 & mask) } }

    /// Coordinate i of `range` at bits [i·b, (i+1)·b) of the result, little-endian.
    package func packed(_ range: Range<Int>) -> [UInt8] {
        let byteCount = (range.count * bits + 7) / 8
        return lanes.withUnsafeBufferPointer { source in
            [UInt8](unsafeUninitializedCapacity: byteCount) { output, initialised in
                let bytes = UnsafeMutableRawBufferPointer(start: output.baseAddress, count: byteCount)
                if bits == Lane.bitWidth {
                    bytes.copyMemory(
                        from: UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: source[range])))
                } else {
                    packBits(source, range, into: bytes)
                }
                initialised = byteCount
            }
        }
    }

    private func packBits(
        _ source: UnsafeBufferPointer<Lane>, _ range: Range<Int>, into bytes: UnsafeMutableRawBufferPointer
    ) {
        var window: UInt64 = 0
        var filled = 0
        var offset = 0
        for index in range {
            window |= UInt64(source[index] & mask) << UInt64(filled)
            filled += bits
            while filled >= 8 {
                bytes[offset] = UInt8(truncatingIfNeeded: window)
                window >>= 8
                filled -= 8
                offset += 1
            }
        }
        if filled > 0 { bytes[offset] = UInt8(truncatingIfNeeded: window) }
    }

    /// Adds packed coordinates to those of `range`.
    package mutating func add(packed bytes: [UInt8], to range: Range<Int>) {
        precondition(bytes.count == (range.count * bits + 7) / 8 && range.upperBound <= count)
        let (bits, mask) = (bits, mask)
        lanes.withUnsafeMutableBufferPointer { target in
            bytes.withUnsafeBytes { source in
                if bits == Lane.bitWidth {
                    for offset in 0..<range.count {
                        let lane = source.loadUnaligned(
                            fromByteOffset: offset * MemoryLayout<Lane>.size, as: Lane.self)
                        target[range.lowerBound + offset] &+= Lane(littleEndian: lane)
                    }
                    return
                }
                var window: UInt64 = 0
                var filled = 0
                var offset = 0
                for index in range {
                    while filled < bits {
                        window |= UInt64(source[offset]) << UInt64(filled)
                        filled += 8
                        offset += 1
                    }
                    target[index] &+= Lane(truncatingIfNeeded: window) & mask
                    window >>= UInt64(bits)
                    filled -= bits
                }
            }
        }
    }
}

/// The centred representatives −2^(b−1) … 2^(b−1) − 1 of ring elements.
public func centredLift(_ elements: [UInt32], modulusBits: Int) -> [Int32] {
    let shift = Int32(32 - modulusBits)
    // Moving bit b − 1 to the sign position and back extends it.
    return elements.map { (Int32(bitPattern: $0) << shift) >> shift }
}
