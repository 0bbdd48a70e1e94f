/// An exact fraction of two integers in lowest terms, denominator positive.
public struct Rational: Hashable, Sendable {
    public let numerator: BigInteger
    public let denominator: BigInteger

    public init(_ numerator: BigInteger, _ denominator: BigInteger = 1) {
        precondition(!denominator.isZero, "a fraction needs a denominator")
        let divisor = BigInteger.greatestCommonDivisor(numerator, denominator)
        let signed = denominator.sign < 0 ? -divisor : divisor
        self.numerator = numerator.floorDivided(by: signed)
        self.denominator = denominator.floorDivided(by: signed)
    }

    public init(_ integer: Int) {
        self.init(BigInteger(integer))
    }

    /// The exact value of a finite double.
    public init?(exactly value: Double) {
        guard value.isFinite else { return nil }
        guard value != 0 else {
            self.init(0)
            return
        }
        // value = significand · 2^(exponent − 52), with an integer significand of at most 53 bits.
        let scaled = value.significand * 0x1p52
        let mantissa = BigInteger(value.sign == .minus ? -Int(scaled) : Int(scaled))
        let shift = Int(value.exponent) - 52
        self =
            shift >= 0
            ? Rational(mantissa.shiftedLeft(shift)) : Rational(mantissa, .powerOfTwo(-shift))
    }

    /// Parses "p", "p/q" or a plain decimal such as "0.25"; nil for anything else.
    public init?(_ text: String) {
        if let slash = text.firstIndex(of: "/") {
            guard let top = BigInteger(String(text[..<slash])),
                let bottom = BigInteger(String(text[text.index(after: slash)...])), bottom.sign > 0
            else { return nil }
            self.init(top, bottom)
        } else if let point = text.firstIndex(of: ".") {
            let fraction = text[text.index(after: point)...]
            guard !fraction.isEmpty, let digits = BigInteger(String(text[..<point] + fraction)) else {
                return nil
            }
            self.init(digits, BigInteger(10).power(UInt(fraction.count)))
        } else {
            guard let integer = BigInteger(text) else { return nil }
            self.init(integer)
        }
    }

    public var isZero: Bool { numerator.isZero }
    public var sign: Int { numerator.sign }
    public var isInteger: Bool { denominator == 1 }

    public var floor: BigInteger { numerator.floorDivided(by: denominator) }
    public var ceiling: BigInteger { numerator.ceilingDivided(by: denominator) }

    /// The nearest double.
    public var asDouble: Double {
        guard !isZero else { return 0 }
        // Bring 63 or 64 significant bits into one word; its conversion rounds to nearest, and the
        // bits cut off below them are too small to change that except at an exact tie.
        let shift = 63 - (numerator.bitWidth - denominator.bitWidth)
        let quotient =
            shift >= 0
            ? numerator.magnitude.shiftedLeft(shift).floorDivided(by: denominator)
            : numerator.magnitude.floorDivided(by: denominator.shiftedLeft(-shift))
        let magnitude = Double(
            sign: .plus, exponent: -shift, significand: Double(quotient.asUInt64!))
        return sign < 0 ? -magnitude : magnitude
    }

    public static func + (left: Rational, right: Rational) -> Rational {
        Rational(
            left.numerator * right.denominator + right.numerator * left.denominator,
            left.denominator * right.denominator)
    }

    public static func - (left: Rational, right: Rational) -> Rational {
        Rational(
            left.numerator * right.denominator - right.numerator * left.denominator,
            left.denominator * right.denominator)
    }

    public static func * (left: Rational, right: Rational) -> Rational {
        Rational(left.numerator * right.numerator, left.denominator * right.denominator)
    }

    public static func / (left: Rational, right: Rational) -> Rational {
        precondition(!right.isZero)
        return Rational(left.numerator * right.denominator, left.denominator * right.numerator)
    }

    public static prefix func - (operand: Rational) -> Rational {
        Rational(-operand.numerator, operand.denominator)
    }
}

extension Rational: Comparable {
    public static func < (left: Rational, right: Rational) -> Bool {
        left.numerator * right.denominator < right.numerator * left.denominator
    }
}

extension Rational: CustomStringConvertible {
    /// "p" or "p/q", the form that ledgers store.
    public var description: String { isInteger ? "\(numerator)" : "\(numerator)/\(denominator)" }
}

extension Rational: ExpressibleByIntegerLiteral {
    public init(integerLiteral literal: Int) {
        self.init(literal)
    }
}
