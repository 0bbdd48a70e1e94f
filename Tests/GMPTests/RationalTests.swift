import GMP
import Testing

@Suite("Rational")
struct RationalTests {
    @Test("Fractions are kept in lowest terms with a positive denominator")
    func lowestTerms() {
        #expect(Rational(6, -4).description == "-3/2")
        #expect(Rational(0, -7).description == "0" && Rational(0, 7) == 0)
        #expect(Rational(10, 5).isInteger && Rational(10, 5).description == "2")
        #expect(Rational(2, 4).hashValue == Rational(1, 2).hashValue)
    }

    @Test("Field laws on a grid of small fractions")
    func laws() {
        var values: [Rational] = []
        for p in -4...4 { for q in 1...4 { values.append(Rational(BigInteger(p), BigInteger(q))) } }
        for a in values {
            for b in values {
                #expect(a + b == b + a && a - b == -(b - a))
                if !b.isZero { #expect(a / b * b == a) }
                #expect((a < b) == (a.asDouble < b.asDouble))
            }
        }
    }

    @Test("Floor and ceiling")
    func rounding() {
        #expect(Rational(-3, 2).floor == -2 && Rational(-3, 2).ceiling == -1)
        #expect(Rational(3, 2).floor == 1 && Rational(3, 2).ceiling == 2)
        #expect(Rational(4).floor == 4 && Rational(4).ceiling == 4)
    }

    @Test("Text round-trips; malformed text is refused")
    func text() {
        for text in ["0", "7", "-7", "1/3", "-22/7"] { #expect(Rational(text)?.description == text) }
        #expect(Rational("0.25") == Rational(1, 4) && Rational("-0.5") == Rational(-1, 2))
        #expect(Rational("2/4") == Rational(1, 2))
        for text in ["", "1/0", "1/-2", "/2", "1/", "1.", ".", "1e3", "nan", "0.-5", "1/2/3"] {
            #expect(Rational(text) == nil, "\(text)")
        }
    }

    @Test("Doubles convert exactly, there and back, from subnormal to huge")
    func doubles() throws {
        let values: [Double] = [
            0, 1, -1, 0.1, -0.1, 1.5, 0x1p-1074, 0x1.8p-1060, .leastNormalMagnitude, .greatestFiniteMagnitude,
            -3.75e200,
            .pi,
        ]
        for value in values {
            let exact = try #require(Rational(exactly: value))
            #expect(exact.asDouble == value, "\(value)")
        }
        #expect(Rational(exactly: 0.1) != Rational(1, 10))
        #expect(Rational(exactly: .nan) == nil && Rational(exactly: .infinity) == nil)
    }

    @Test("asDouble is the nearest double")
    func nearest() {
        // IEEE 754 division of two small integers is the nearest double by definition.
        for p in 1...60 {
            for q in 1...60 {
                #expect(Rational(BigInteger(p), BigInteger(q)).asDouble == Double(p) / Double(q))
                #expect(Rational(BigInteger(-p), BigInteger(q)).asDouble == -Double(p) / Double(q))
            }
        }
    }
}
