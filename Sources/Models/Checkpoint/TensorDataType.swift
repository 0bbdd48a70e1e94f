/// Element types of the safetensors format, in the format's own order of rank, lowest first.
public enum TensorDataType: String, CaseIterable, Sendable {
    case bool = "BOOL"
    case f4 = "F4"
    case f6e2m3 = "F6_E2M3"
    case f6e3m2 = "F6_E3M2"
    case u8 = "U8"
    case i8 = "I8"
    case f8e5m2 = "F8_E5M2"
    case f8e4m3 = "F8_E4M3"
    case f8e8m0 = "F8_E8M0"
    case f8e4m3fnuz = "F8_E4M3FNUZ"
    case f8e5m2fnuz = "F8_E5M2FNUZ"
    case i16 = "I16"
    case u16 = "U16"
    case f16 = "F16"
    case bf16 = "BF16"
    case i32 = "I32"
    case u32 = "U32"
    case f32 = "F32"
    case c64 = "C64"
    case f64 = "F64"
    case i64 = "I64"
    case u64 = "U64"

    /// Bits of one element.
    public var bitWidth: Int {
        switch self {
        case .f4: return 4
        case .f6e2m3, .f6e3m2: return 6
        case .bool, .u8, .i8, .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz: return 8
        case .i16, .u16, .f16, .bf16: return 16
        case .i32, .u32, .f32: return 32
        case .c64, .f64, .i64, .u64: return 64
        }
    }

    /// Position in the order by which a safetensors writer sorts tensors.
    var rank: Int { Self.allCases.firstIndex(of: self)! }

    /// Whether values of this type expand to `Float` without loss.
    public var isExpandable: Bool {
        switch self {
        case .f32, .f16, .bf16: return true
        default: return false
        }
    }
}

/// Expands little-endian `f32`, `f16` or `bf16` elements to `Float`. Exact, NaN payloads included
/// for `f32` and `bf16`. `source` may be unaligned.
func expandFloats(
    _ type: TensorDataType, from source: UnsafeRawBufferPointer,
    into destination: UnsafeMutableBufferPointer<Float>
) {
    precondition(type.isExpandable)
    precondition(source.count * 8 == destination.count * type.bitWidth)
    switch type {
    case .f32:
        UnsafeMutableRawBufferPointer(destination).copyMemory(from: source)
        #if _endian(big)
            for index in destination.indices {
                destination[index] = Float(bitPattern: destination[index].bitPattern.littleEndian)
            }
        #endif
    case .bf16:
        for index in destination.indices {
            let bits = UInt16(
                littleEndian: source.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self))
            destination[index] = Float(bitPattern: UInt32(bits) << 16)
        }
    default:
        for index in destination.indices {
            let bits = UInt16(
                littleEndian: source.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self))
            destination[index] = float(halfBits: bits)
        }
    }
}

/// The value of an IEEE 754 binary16 number, without the `Float16` type that some platforms lack.
func float(halfBits bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1F
    let fraction = UInt32(bits & 0x3FF)
    switch exponent {
    case 0:
        // Subnormal or zero: fraction · 2⁻²⁴, exact in binary32.
        let magnitude = Float(fraction) * 0x1p-24
        return Float(bitPattern: magnitude.bitPattern | sign)
    case 31:
        return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
    default:
        return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
}
