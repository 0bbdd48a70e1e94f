/// An element of the field of p = 2^255 − 19 elements, in four 64-bit limbs.
///
/// Additions and multiplications run in constant time and leave nothing on a heap, which is why
/// shares are computed here rather than in an arbitrary-precision library (the tests keep that twin).
/// Values are kept below 2^256 and brought below p only when they are written or compared.
package struct FieldElement: BitwiseCopyable, Sendable {
    package static let byteCount = 32

    private var limb0, limb1, limb2, limb3: UInt64

    package static let zero = FieldElement(0)
    package static let one = FieldElement(1)

    package init(_ value: UInt32) {
        (limb0, limb1, limb2, limb3) = (UInt64(value), 0, 0, 0)
    }

    private init(_ limb0: UInt64, _ limb1: UInt64, _ limb2: UInt64, _ limb3: UInt64) {
        (self.limb0, self.limb1, self.limb2, self.limb3) = (limb0, limb1, limb2, limb3)
    }

    /// Reads 32 little-endian bytes; nil when the value is not below p.
    package init?(canonical bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count == Self.byteCount)
        func limb(_ index: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
        }
        self.init(limb(0), limb(1), limb(2), limb(3))
        let reduced = canonical
        guard
            reduced.limb0 == limb0, reduced.limb1 == limb1, reduced.limb2 == limb2,
            reduced.limb3 == limb3
        else { return nil }
    }

    /// Writes 32 little-endian bytes of the value below p.
    package func write(into output: UnsafeMutableRawBufferPointer) {
        precondition(output.count == Self.byteCount)
        let value = canonical
        output.storeBytes(of: value.limb0.littleEndian, toByteOffset: 0, as: UInt64.self)
        output.storeBytes(of: value.limb1.littleEndian, toByteOffset: 8, as: UInt64.self)
        output.storeBytes(of: value.limb2.littleEndian, toByteOffset: 16, as: UInt64.self)
        output.storeBytes(of: value.limb3.littleEndian, toByteOffset: 24, as: UInt64.self)
    }

    package var isZero: Bool {
        let value = canonical
        return value.limb0 | value.limb1 | value.limb2 | value.limb3 == 0
    }

    package static func == (left: FieldElement, right: FieldElement) -> Bool { (left - right).isZero }

    package static func + (left: FieldElement, right: FieldElement) -> FieldElement {
        var carry: UInt64 = 0
        let sum0 = addCarry(left.limb0, right.limb0, &carry)
        let sum1 = addCarry(left.limb1, right.limb1, &carry)
        let sum2 = addCarry(left.limb2, right.limb2, &carry)
        let sum3 = addCarry(left.limb3, right.limb3, &carry)
        return fold(sum0, sum1, sum2, sum3, carry)
    }

    package static func - (left: FieldElement, right: FieldElement) -> FieldElement {
        var borrow: UInt64 = 0
        var limb0 = subtractBorrow(left.limb0, right.limb0, &borrow)
        var limb1 = subtractBorrow(left.limb1, right.limb1, &borrow)
        var limb2 = subtractBorrow(left.limb2, right.limb2, &borrow)
        var limb3 = subtractBorrow(left.limb3, right.limb3, &borrow)
        // A borrow added 2^256 ≡ 38; taking 38 off may borrow once more.
        for _ in 0..<2 {
            let excess = borrow &* 38
            borrow = 0
            limb0 = subtractBorrow(limb0, excess, &borrow)
            limb1 = subtractBorrow(limb1, 0, &borrow)
            limb2 = subtractBorrow(limb2, 0, &borrow)
            limb3 = subtractBorrow(limb3, 0, &borrow)
        }
        return FieldElement(limb0, limb1, limb2, limb3)
    }

    package static func * (left: FieldElement, right: FieldElement) -> FieldElement {
        var carry: UInt64 = 0
        let a0 = multiplyAdd(left.limb0, right.limb0, 0, &carry)
        let a1 = multiplyAdd(left.limb0, right.limb1, 0, &carry)
        let a2 = multiplyAdd(left.limb0, right.limb2, 0, &carry)
        let a3 = multiplyAdd(left.limb0, right.limb3, 0, &carry)
        let a4 = carry
        carry = 0
        let b1 = multiplyAdd(left.limb1, right.limb0, a1, &carry)
        let b2 = multiplyAdd(left.limb1, right.limb1, a2, &carry)
        let b3 = multiplyAdd(left.limb1, right.limb2, a3, &carry)
        let b4 = multiplyAdd(left.limb1, right.limb3, a4, &carry)
        let b5 = carry
        carry = 0
        let c2 = multiplyAdd(left.limb2, right.limb0, b2, &carry)
        let c3 = multiplyAdd(left.limb2, right.limb1, b3, &carry)
        let c4 = multiplyAdd(left.limb2, right.limb2, b4, &carry)
        let c5 = multiplyAdd(left.limb2, right.limb3, b5, &carry)
        let c6 = carry
        carry = 0
        let d3 = multiplyAdd(left.limb3, right.limb0, c3, &carry)
        let d4 = multiplyAdd(left.limb3, right.limb1, c4, &carry)
        let d5 = multiplyAdd(left.limb3, right.limb2, c5, &carry)
        let d6 = multiplyAdd(left.limb3, right.limb3, c6, &carry)
        let d7 = carry
        // 2^256 ≡ 38 brings the upper half down.
        carry = 0
        let low0 = multiplyAdd(d4, 38, a0, &carry)
        let low1 = multiplyAdd(d5, 38, b1, &carry)
        let low2 = multiplyAdd(d6, 38, c2, &carry)
        let low3 = multiplyAdd(d7, 38, d3, &carry)
        return fold(low0, low1, low2, low3, carry)
    }

    /// The product with a small factor: one row of the long multiplication.
    package static func * (left: FieldElement, right: UInt32) -> FieldElement {
        let factor = UInt64(right)
        var carry: UInt64 = 0
        let low0 = multiplyAdd(left.limb0, factor, 0, &carry)
        let low1 = multiplyAdd(left.limb1, factor, 0, &carry)
        let low2 = multiplyAdd(left.limb2, factor, 0, &carry)
        let low3 = multiplyAdd(left.limb3, factor, 0, &carry)
        return fold(low0, low1, low2, low3, carry)
    }

    /// The inverse by Fermat's little theorem; zero stays zero.
    package var inverse: FieldElement {
        // p − 2 = 2^255 − 21: bits 254 … 5 are ones, the low five are 01011.
        var result = FieldElement.one
        for bit in stride(from: 254, through: 0, by: -1) {
            result = result * result
            if bit >= 5 || (0b01011 >> bit) & 1 == 1 { result = result * self }
        }
        return result
    }

    /// The same residue below p.
    private var canonical: FieldElement {
        var value = self
        // Below 2^256 = 2p + 38, so p fits at most twice.
        for _ in 0..<2 {
            var borrow: UInt64 = 0
            let limb0 = Self.subtractBorrow(value.limb0, 0xffff_ffff_ffff_ffed, &borrow)
            let limb1 = Self.subtractBorrow(value.limb1, .max, &borrow)
            let limb2 = Self.subtractBorrow(value.limb2, .max, &borrow)
            let limb3 = Self.subtractBorrow(value.limb3, 0x7fff_ffff_ffff_ffff, &borrow)
            // Keep the difference only when it did not borrow, without a branch.
            let keep = borrow &- 1
            value.limb0 = (limb0 & keep) | (value.limb0 & ~keep)
            value.limb1 = (limb1 & keep) | (value.limb1 & ~keep)
            value.limb2 = (limb2 & keep) | (value.limb2 & ~keep)
            value.limb3 = (limb3 & keep) | (value.limb3 & ~keep)
        }
        return value
    }

    /// Adds `overflow · 2^256 ≡ overflow · 38`; a second fold catches the carry of the first.
    @inline(__always)
    private static func fold(
        _ limb0: UInt64, _ limb1: UInt64, _ limb2: UInt64, _ limb3: UInt64, _ overflow: UInt64
    ) -> FieldElement {
        var carry: UInt64 = 0
        let low0 = addCarry(limb0, overflow &* 38, &carry)
        let low1 = addCarry(limb1, 0, &carry)
        let low2 = addCarry(limb2, 0, &carry)
        let low3 = addCarry(limb3, 0, &carry)
        // After a carry the remaining value is below 38 · 2^7, so this addition cannot carry again.
        return FieldElement(low0 &+ carry &* 38, low1, low2, low3)
    }

    @inline(__always)
    private static func addCarry(_ left: UInt64, _ right: UInt64, _ carry: inout UInt64) -> UInt64 {
        let sum = UInt128(left) &+ UInt128(right) &+ UInt128(carry)
        carry = UInt64(truncatingIfNeeded: sum >> 64)
        return UInt64(truncatingIfNeeded: sum)
    }

    @inline(__always)
    private static func subtractBorrow(
        _ left: UInt64, _ right: UInt64, _ borrow: inout UInt64
    ) -> UInt64 {
        let difference = UInt128(left) &- UInt128(right) &- UInt128(borrow)
        borrow = UInt64(truncatingIfNeeded: difference >> 127)
        return UInt64(truncatingIfNeeded: difference)
    }

    /// left · right + addend + carry, which always fits 128 bits.
    @inline(__always)
    private static func multiplyAdd(
        _ left: UInt64, _ right: UInt64, _ addend: UInt64, _ carry: inout UInt64
    ) -> UInt64 {
        let product = UInt128(left) &* UInt128(right) &+ UInt128(addend) &+ UInt128(carry)
        carry = UInt64(truncatingIfNeeded: product >> 64)
        return UInt64(truncatingIfNeeded: product)
    }
}
