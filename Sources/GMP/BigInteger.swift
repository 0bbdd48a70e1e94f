import CGMP

/// A signed integer of any size, on GMP's `mpz`.
///
/// Values are immutable; each operation returns a new one. GMP aborts the process when memory runs
/// out, so callers bound the sizes they accept from a peer before they build integers from them.
public final class BigInteger: @unchecked Sendable {
    // Written only inside initialisers, before the reference is shared.
    fileprivate var value = mpz_t_storage()

    fileprivate init() {
        __gmpz_init(&value)
    }

    deinit {
        __gmpz_clear(&value)
    }

    public convenience init(_ integer: Int) {
        self.init()
        __gmpz_set_si(&value, integer)
    }

    public convenience init(_ integer: UInt64) {
        self.init()
        __gmpz_set_ui(&value, UInt(integer))
    }

    /// The integer of little-endian `bytes`, non-negative.
    public convenience init(littleEndian bytes: UnsafeRawBufferPointer) {
        self.init()
        __gmpz_import(&value, bytes.count, -1, 1, 0, 0, bytes.baseAddress)
    }

    public convenience init(littleEndian bytes: [UInt8]) {
        self.init()
        bytes.withUnsafeBytes { __gmpz_import(&value, $0.count, -1, 1, 0, 0, $0.baseAddress) }
    }

    public convenience init(_ integer: UInt128) {
        var copy = integer.littleEndian
        self.init()
        withUnsafeBytes(of: &copy) { __gmpz_import(&value, 16, -1, 1, 0, 0, $0.baseAddress) }
    }

    /// Parses a decimal integer; nil unless the text is exactly an optional minus sign and digits.
    public convenience init?(_ text: String) {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        self.init()
        guard __gmpz_set_str(&value, text, 10) == 0 else { return nil }
    }

    /// 2 to the power `exponent`.
    public static func powerOfTwo(_ exponent: Int) -> BigInteger {
        let result = BigInteger()
        __gmpz_setbit(&result.value, UInt(exponent))
        return result
    }

    // MARK: Reading

    public var sign: Int { value._mp_size == 0 ? 0 : (value._mp_size < 0 ? -1 : 1) }
    public var isZero: Bool { sign == 0 }
    public var isOdd: Bool { __gmpz_tstbit(&value, 0) == 1 }

    /// The number of bits of the absolute value; 0 for zero.
    public var bitWidth: Int { isZero ? 0 : __gmpz_sizeinbase(&value, 2) }

    /// The value as `Int`, or nil when it does not fit.
    public var asInt: Int? { __gmpz_fits_slong_p(&value) != 0 ? __gmpz_get_si(&value) : nil }

    /// The value as `UInt64`, or nil when it does not fit.
    public var asUInt64: UInt64? { __gmpz_fits_ulong_p(&value) != 0 ? UInt64(__gmpz_get_ui(&value)) : nil }

    /// The value truncated towards zero to double precision (never larger in magnitude).
    public var asDouble: Double { __gmpz_get_d(&value) }

    /// Writes the absolute value little-endian into all of `output`.
    public func writeLittleEndian(into output: UnsafeMutableRawBufferPointer) {
        precondition(bitWidth <= output.count * 8, "the integer does not fit the field")
        output.initializeMemory(as: UInt8.self, repeating: 0)
        __gmpz_export(output.baseAddress, nil, -1, 1, 0, 0, &value)
    }

    public func littleEndianBytes(count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        bytes.withUnsafeMutableBytes { writeLittleEndian(into: $0) }
        return bytes
    }

    /// Zeroes the limbs in place: for integers that held a secret and are not used again.
    public func wipe() {
        guard let limbs = value._mp_d else { return }
        for index in 0..<Int(value._mp_alloc) { limbs[index] = 0 }
        value._mp_size = 0
    }

    // MARK: Arithmetic

    public static func + (left: BigInteger, right: BigInteger) -> BigInteger {
        binary(left, right) { __gmpz_add($0, $1, $2) }
    }

    public static func - (left: BigInteger, right: BigInteger) -> BigInteger {
        binary(left, right) { __gmpz_sub($0, $1, $2) }
    }

    public static func * (left: BigInteger, right: BigInteger) -> BigInteger {
        binary(left, right) { __gmpz_mul($0, $1, $2) }
    }

    public static prefix func - (operand: BigInteger) -> BigInteger {
        let result = BigInteger()
        __gmpz_neg(&result.value, &operand.value)
        return result
    }

    /// The quotient rounded towards minus infinity.
    public func floorDivided(by divisor: BigInteger) -> BigInteger {
        precondition(!divisor.isZero)
        return Self.binary(self, divisor) { __gmpz_fdiv_q($0, $1, $2) }
    }

    /// The quotient rounded towards plus infinity.
    public func ceilingDivided(by divisor: BigInteger) -> BigInteger {
        precondition(!divisor.isZero)
        return Self.binary(self, divisor) { __gmpz_cdiv_q($0, $1, $2) }
    }

    /// The remainder in 0 ..< |modulus|.
    public func modulo(_ modulus: BigInteger) -> BigInteger {
        precondition(!modulus.isZero)
        return Self.binary(self, modulus) { __gmpz_mod($0, $1, $2) }
    }

    /// The inverse modulo `modulus`, or nil when there is none.
    public func inverse(modulo modulus: BigInteger) -> BigInteger? {
        let result = BigInteger()
        return __gmpz_invert(&result.value, &value, &modulus.value) != 0 ? result : nil
    }

    public func power(_ exponent: UInt) -> BigInteger {
        let result = BigInteger()
        __gmpz_pow_ui(&result.value, &value, exponent)
        return result
    }

    /// The largest integer whose square does not exceed this non-negative one.
    public var squareRoot: BigInteger {
        precondition(sign >= 0)
        let result = BigInteger()
        __gmpz_sqrt(&result.value, &value)
        return result
    }

    public var magnitude: BigInteger { sign < 0 ? -self : self }

    public func shiftedLeft(_ bits: Int) -> BigInteger {
        let result = BigInteger()
        __gmpz_mul_2exp(&result.value, &value, UInt(bits))
        return result
    }

    /// Divided by 2^bits, rounded towards minus infinity.
    public func shiftedRight(_ bits: Int) -> BigInteger {
        let result = BigInteger()
        __gmpz_fdiv_q_2exp(&result.value, &value, UInt(bits))
        return result
    }

    public static func greatestCommonDivisor(_ left: BigInteger, _ right: BigInteger) -> BigInteger {
        binary(left, right) { __gmpz_gcd($0, $1, $2) }
    }

    /// The binomial coefficient; zero when `k` exceeds `n`.
    public static func binomial(_ n: UInt, _ k: UInt) -> BigInteger {
        let result = BigInteger()
        __gmpz_bin_uiui(&result.value, n, k)
        return result
    }

    private static func binary(
        _ left: BigInteger, _ right: BigInteger,
        _ operation: (
            UnsafeMutablePointer<mpz_t_storage>, UnsafeMutablePointer<mpz_t_storage>,
            UnsafeMutablePointer<mpz_t_storage>
        ) -> Void
    ) -> BigInteger {
        let result = BigInteger()
        // Distinct objects have distinct storage, and GMP allows both operands to be the same one.
        if left === right {
            withUnsafeMutablePointer(to: &left.value) { operand in
                withUnsafeMutablePointer(to: &result.value) { operation($0, operand, operand) }
            }
        } else {
            withUnsafeMutablePointer(to: &left.value) { first in
                withUnsafeMutablePointer(to: &right.value) { second in
                    withUnsafeMutablePointer(to: &result.value) { operation($0, first, second) }
                }
            }
        }
        return result
    }
}

/// GMP's integer record under its C name.
package typealias mpz_t_storage = __mpz_struct

extension BigInteger: Comparable, Hashable {
    public static func == (left: BigInteger, right: BigInteger) -> Bool {
        left === right || __gmpz_cmp(&left.value, &right.value) == 0
    }

    public static func < (left: BigInteger, right: BigInteger) -> Bool {
        left === right ? false : __gmpz_cmp(&left.value, &right.value) < 0
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(description)
    }
}

extension BigInteger: CustomStringConvertible {
    public var description: String {
        let length = __gmpz_sizeinbase(&value, 10) + 2
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: length) { buffer in
            __gmpz_get_str(buffer.baseAddress!, 10, &value)
            return String(cString: buffer.baseAddress!)
        }
    }
}

extension BigInteger: ExpressibleByIntegerLiteral {
    public convenience init(integerLiteral literal: Int) {
        self.init(literal)
    }
}

extension BigInteger {
    /// A non-negative integer from 64-bit words, the least significant first.
    public convenience init(littleEndianLimbs limbs: [UInt64]) {
        self.init()
        __gmpz_import(&value, limbs.count, -1, 8, 0, 0, limbs)
    }

    /// The lowest `count` 64-bit words, the least significant first; the integer must be non-negative
    /// and fit.
    public func littleEndianLimbs(count: Int) -> [UInt64] {
        precondition(sign >= 0 && bitWidth <= 64 * count)
        var limbs = [UInt64](repeating: 0, count: count)
        var written = 0
        limbs.withUnsafeMutableBytes { _ = __gmpz_export($0.baseAddress, &written, -1, 8, 0, 0, &value) }
        return limbs
    }
}
