import GMP
import Testing

@Suite("BigInteger")
struct BigIntegerTests {
    /// A fixed generator (splitmix64): these tests need variety, not secrecy.
    struct Numbers {
        var state: UInt64 = 42

        mutating func word() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }

        /// A signed integer of random width up to `words` · 64 bits.
        mutating func integer(words: Int) -> BigInteger {
            var value = BigInteger(0)
            for _ in 0..<1 + Int(word() % UInt64(words)) {
                value = value.shiftedLeft(64) + BigInteger(word())
            }
            value = value.shiftedRight(Int(word() % 64))
            return word() & 1 == 0 ? value : -value
        }
    }

    @Test("Small operands agree with Int")
    func small() {
        for a in -30...30 {
            for b in -30...30 {
                let (x, y) = (BigInteger(a), BigInteger(b))
                #expect((x + y).asInt == a + b)
                #expect((x - y).asInt == a - b)
                #expect((x * y).asInt == a * b)
                #expect((x < y) == (a < b) && (x == y) == (a == b))
                guard b != 0 else { continue }
                let floor = Int((Double(a) / Double(b)).rounded(.down))
                #expect(x.floorDivided(by: y).asInt == floor)
                #expect(x.ceilingDivided(by: y).asInt == Int((Double(a) / Double(b)).rounded(.up)))
                #expect(x.modulo(y).asInt == ((a % b) + abs(b)) % abs(b))
            }
        }
    }

    @Test("Ring laws and division with remainder on random wide operands")
    func laws() {
        var numbers = Numbers()
        for _ in 0..<300 {
            let (a, b, c) = (numbers.integer(words: 5), numbers.integer(words: 5), numbers.integer(words: 3))
            #expect((a + b) * c == a * c + b * c)
            #expect(a - b == -(b - a))
            #expect((a * b) * c == a * (b * c))
            guard !c.isZero else { continue }
            let remainder = a.modulo(c)
            #expect(remainder.sign >= 0 && remainder < c.magnitude)
            #expect((a - remainder).modulo(c).isZero)
            let quotient = a.floorDivided(by: c)
            let rest = a - quotient * c
            #expect(rest.isZero || rest.sign == c.sign)
            #expect(rest.magnitude < c.magnitude)
            #expect(-((-a).floorDivided(by: c)) == a.ceilingDivided(by: c))
        }
    }

    @Test("Operations on one and the same object")
    func aliasing() {
        let a = BigInteger(12345)
        #expect(a + a == 24690 && a * a == 152_399_025 && (a - a).isZero)
        #expect(a.floorDivided(by: a) == 1 && a.modulo(a).isZero)
        #expect(BigInteger.greatestCommonDivisor(a, a) == a && a == a && !(a < a))
    }

    @Test("Text and bytes round-trip; malformed text is refused")
    func roundTrips() throws {
        var numbers = Numbers()
        for _ in 0..<200 {
            let a = numbers.integer(words: 6)
            #expect(BigInteger(a.description) == a)
            let length = (a.bitWidth + 7) / 8 + 2
            #expect(BigInteger(littleEndian: a.littleEndianBytes(count: length)) == a.magnitude)
        }
        #expect(BigInteger("-0") == 0 && BigInteger("007") == 7)
        for text in ["", "-", "+1", " 1", "1 ", "0x1f", "1_000", "--2", "1.0", "１"] {
            #expect(BigInteger(text) == nil, "\(text)")
        }
    }

    @Test("Powers, roots, shifts, inverses and binomials")
    func functions() throws {
        #expect(BigInteger(3).power(40).description == "12157665459056928801")
        #expect(BigInteger.powerOfTwo(100).description == "1267650600228229401496703205376")
        var numbers = Numbers()
        for _ in 0..<100 {
            let a = numbers.integer(words: 4).magnitude
            let root = a.squareRoot
            #expect(root * root <= a && a < (root + 1) * (root + 1))
            #expect(a.shiftedLeft(13).shiftedRight(13) == a)
        }
        #expect(BigInteger(-5).shiftedRight(1) == -3)
        let prime = BigInteger.powerOfTwo(255) - 19
        let inverse = try #require(BigInteger(123_456_789).inverse(modulo: prime))
        #expect((inverse * 123_456_789).modulo(prime) == 1)
        #expect(BigInteger(6).inverse(modulo: 9) == nil)
        #expect(BigInteger.binomial(100, 50).description == "100891344545564193334812497256")
        #expect(BigInteger.binomial(3, 4).isZero)
    }

    @Test("Conversions at the borders of machine integers")
    func borders() {
        #expect(BigInteger(Int.min).asInt == Int.min && BigInteger(Int.max).asInt == Int.max)
        #expect((BigInteger(Int.max) + 1).asInt == nil)
        #expect(BigInteger(UInt64.max).asUInt64 == .max && BigInteger(-1).asUInt64 == nil)
        #expect((BigInteger(UInt64.max) + 1).asUInt64 == nil)
        #expect(BigInteger(UInt128.max) == BigInteger.powerOfTwo(128) - 1)
        #expect(
            BigInteger(UInt64.max).bitWidth == 64 && BigInteger(0).bitWidth == 0
                && BigInteger(-8).bitWidth == 4)
        // Towards zero, never away from it.
        #expect(BigInteger(UInt64.max).asDouble == 0x1.fffffffffffffp63)
    }
}
