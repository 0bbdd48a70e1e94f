/// Decimal texts for numbers, the same bytes on every machine.
///
/// A privacy figure is computed with `exp` and `log`, whose last bits differ between processors.
/// Reports therefore print few significant digits, and bounds are rounded in the direction that
/// keeps them bounds.
package enum Figures {
    package enum Direction: Sendable {
        case nearest
        /// Towards positive infinity: for upper bounds.
        case up
        /// Towards negative infinity: for lower bounds.
        case down
    }

    /// The digits that reports print of a derived figure.
    package static let significantDigits = 6

    /// `value` rounded to `digits` significant decimal digits, as the double nearest to that decimal.
    /// With `.up` the result is never below `value`, with `.down` never above.
    package static func rounded(
        _ value: Double, digits: Int = significantDigits, _ direction: Direction = .nearest
    ) -> Double {
        guard value.isFinite, value != 0 else { return value }
        var decimal = Decimal(abs(value))
        let away: Bool? =
            switch direction {
            case .nearest: nil
            case .up: value > 0
            case .down: value < 0
            }
        decimal.round(toDigits: digits, awayFromZero: away)
        let magnitude = decimal.asDouble
        return value < 0 ? -magnitude : magnitude
    }

    /// `value` with `digits` significant digits for people: "7.98", "0.0125", "1e-05", "12,500".
    package static func text(
        _ value: Double, digits: Int = 4, _ direction: Direction = .nearest
    ) -> String {
        guard value.isFinite else { return value.isNaN ? "not a number" : value > 0 ? "∞" : "−∞" }
        guard value != 0 else { return "0" }
        let rounded = rounded(value, digits: digits, direction)
        var decimal = Decimal(abs(rounded))
        decimal.round(toDigits: digits, awayFromZero: nil)
        let sign = rounded < 0 ? "−" : ""
        return sign + (decimal.exponent < -4 || decimal.exponent > 15 ? decimal.scientific : decimal.plain)
    }

    /// `value` to the nearest multiple of 10^−`places`, without trailing zeros: for coordinates.
    package static func fixed(_ value: Double, places: Int = 2) -> String {
        precondition(value.isFinite && abs(value) < 1e12)
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        let units = Int((abs(value) * scale).rounded())
        guard units != 0 else { return "0" }
        let sign = value < 0 ? "-" : ""
        guard places > 0 else { return sign + String(units) }
        var fraction = String(units % Int(scale))
        fraction = String(repeating: "0", count: places - fraction.count) + fraction
        while fraction.hasSuffix("0") { fraction.removeLast() }
        return sign + String(units / Int(scale)) + (fraction.isEmpty ? "" : "." + fraction)
    }

    /// A share in [0, 1] as per cent with one decimal: "12.5 %".
    package static func percent(_ share: Double, _ direction: Direction = .nearest) -> String {
        let tenths = share * 1000
        let rounded =
            switch direction {
            case .nearest: tenths.rounded()
            case .up: tenths.rounded(.up)
            case .down: tenths.rounded(.down)
            }
        return fixed(rounded / 10, places: 1) + " %"
    }

    /// A whole number with thousands separated: "12,500".
    package static func count(_ value: Int) -> String {
        (value < 0 ? "−" : "") + grouped(String(value.magnitude))
    }

    fileprivate static func grouped(_ digits: String) -> String {
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return text
    }
}

/// A positive decimal number d.ddd × 10^exponent, from the shortest digits that name a double.
private struct Decimal {
    /// Decimal digits 0…9, the first one not 0.
    var digits: [Int]
    var exponent: Int

    init(_ value: Double) {
        // Swift's description is the shortest text that reads back as the same double,
        // with its own arithmetic: it does not depend on the C library.
        var mantissa = value.description
        var shift = 0
        if let mark = mantissa.firstIndex(of: "e") {
            shift = Int(mantissa[mantissa.index(after: mark)...])!
            mantissa = String(mantissa[..<mark])
        }
        let point = mantissa.firstIndex(of: ".")
        let wholeCount = point.map { mantissa.distance(from: mantissa.startIndex, to: $0) } ?? mantissa.count
        let all = mantissa.filter { $0 != "." }.map { $0.wholeNumberValue! }
        let leading = all.prefix { $0 == 0 }.count
        digits = Array(all.dropFirst(leading))
        while digits.count > 1, digits.last == 0 { digits.removeLast() }
        exponent = wholeCount - 1 - leading + shift
    }

    mutating func round(toDigits count: Int, awayFromZero: Bool?) {
        guard digits.count > count else { return }
        let carry = awayFromZero ?? (digits[count] >= 5)
        digits.removeLast(digits.count - count)
        if carry {
            var index = count - 1
            while index >= 0, digits[index] == 9 {
                digits[index] = 0
                index -= 1
            }
            if index >= 0 {
                digits[index] += 1
            } else {
                digits = [1]
                exponent += 1
            }
        }
        while digits.count > 1, digits.last == 0 { digits.removeLast() }
    }

    var scientific: String {
        let head = String(digits[0])
        let tail = digits.dropFirst().map(String.init).joined()
        return head + (tail.isEmpty ? "" : "." + tail) + "e" + (exponent < 0 ? "-" : "")
            + "\(exponent.magnitude)"
    }

    var plain: String {
        let text = digits.map(String.init).joined()
        if exponent < 0 { return "0." + String(repeating: "0", count: -exponent - 1) + text }
        if digits.count <= exponent + 1 {
            return Figures.grouped(text + String(repeating: "0", count: exponent + 1 - digits.count))
        }
        return Figures.grouped(String(text.prefix(exponent + 1))) + "." + text.dropFirst(exponent + 1)
    }

    var asDouble: Double { Double(scientific)! }
}
