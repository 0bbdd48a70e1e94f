// The operators, filters, tests and methods of the template language, each as Jinja and Python define it. Whatever
// is not here is refused by name where a template comes to it.

func arithmetic(
    _ symbol: String, _ left: TemplateValue, _ right: TemplateValue
) throws(TemplateFault) -> TemplateValue {
    if symbol == "~" { return .string(try left.printed() + right.printed()) }
    switch (left, right) {
    case (.string(let left), .string(let right)) where symbol == "+": return .string(left + right)
    case (.list(let left), .list(let right)) where symbol == "+": return .list(left + right)
    case (.integer(let left), .integer(let right)):
        let result: (partialValue: Int, overflow: Bool)
        switch symbol {
        case "+": result = left.addingReportingOverflow(right)
        case "-": result = left.subtractingReportingOverflow(right)
        case "*": result = left.multipliedReportingOverflow(by: right)
        case "//", "%":
            guard right != 0, right != -1 else { throw TemplateFault(.refused, "a division by \(right)") }
            // Python rounds down, and a remainder has the divisor's sign.
            let remainder = left % right
            let isBelow = remainder != 0 && (remainder < 0) != (right < 0)
            return .integer(
                symbol == "%" ? remainder + (isBelow ? right : 0) : left / right - (isBelow ? 1 : 0))
        default: throw TemplateFault(.unsupported, "the operator \(symbol)")
        }
        guard !result.overflow else { throw TemplateFault(.refused, "a number is too large") }
        return .integer(result.partialValue)
    default:
        throw TemplateFault(.refused, "`\(symbol)` between \(left.kind) and \(right.kind)")
    }
}

func compare(
    _ left: TemplateValue, _ symbol: String, _ right: TemplateValue
) throws(TemplateFault) -> Bool {
    switch symbol {
    case "==": return left.equals(right)
    case "!=": return !left.equals(right)
    case "in": return try right.contains(left)
    case "not in": return !(try right.contains(left))
    default:
        let order: (Bool, Bool)
        if let left = left.number, let right = right.number {
            order = (left < right, left == right)
        } else if case (.string(let left), .string(let right)) = (left, right) {
            order = (
                left.unicodeScalars.lexicographicallyPrecedes(right.unicodeScalars),
                left.utf8.elementsEqual(right.utf8)
            )
        } else {
            throw TemplateFault(.refused, "`\(symbol)` between \(left.kind) and \(right.kind)")
        }
        switch symbol {
        case "<": return order.0
        case "<=": return order.0 || order.1
        case ">": return !order.0 && !order.1
        default: return !order.0
        }
    }
}

func filtered(
    _ value: TemplateValue, _ name: String, _ arguments: [TemplateValue],
    _ named: [(key: String, value: TemplateValue)]
) throws(TemplateFault) -> TemplateValue {
    switch (name, value) {
    case ("default", _), ("d", _):
        let replacesFalse = (arguments.count > 1 ? arguments[1] : named.first { $0.key == "boolean" }?.value)
        let replaces = value.isUndefined || (replacesFalse?.isTrue == true && !value.isTrue)
        return replaces ? arguments.first ?? .string("") : value
    case ("tojson", _):
        guard arguments.isEmpty, named.isEmpty else {
            throw TemplateFault(.unsupported, "the filter tojson with settings")
        }
        return .string(try value.json())
    case ("safe", _): return value
    case ("string", _): return .string(try value.printed())
    case ("length", _), ("count", _): return .integer(try value.items().count)
    case ("list", _): return .list(try value.items())
    case ("first", _): return try value.items().first ?? .undefined("first")
    case ("last", _): return try value.items().last ?? .undefined("last")
    case ("join", _):
        var parts: [String] = []
        var size = 0
        for item in try value.items() {
            parts.append(try item.printed())
            size += parts[parts.count - 1].utf8.count
            guard size <= TemplateRenderer.madeMax else { throw TemplateFault(.refused, "it makes too much") }
        }
        return .string(parts.joined(separator: try arguments.first?.printed() ?? ""))
    case ("items", .dictionary): return try method(value, "items", [])
    case ("trim", _), ("upper", _), ("lower", _), ("replace", _):
        let text = TemplateValue.string(try value.printed())
        return try method(text, name == "trim" ? "strip" : name, arguments)
    default: throw TemplateFault(.unsupported, "the filter \(name) on \(value.kind)")
    }
}

func passes(
    _ value: TemplateValue, _ name: String, _ arguments: [TemplateValue]
) throws(TemplateFault) -> Bool {
    switch (name, value) {
    case ("defined", _): return !value.isUndefined
    case ("undefined", _): return value.isUndefined
    case ("none", .none): return true
    case ("string", .string), ("mapping", .dictionary), ("boolean", .boolean), ("integer", .integer):
        return true
    case ("number", .integer), ("number", .real), ("number", .boolean): return true
    case ("sequence", .list), ("sequence", .string), ("sequence", .dictionary): return true
    case ("iterable", .list), ("iterable", .string), ("iterable", .dictionary): return true
    case ("true", .boolean(true)), ("false", .boolean(false)): return true
    case ("none", _), ("string", _), ("mapping", _), ("boolean", _), ("integer", _), ("number", _),
        ("sequence", _), ("iterable", _), ("true", _), ("false", _):
        return false
    case ("odd", .integer(let number)): return !number.isMultiple(of: 2)
    case ("even", .integer(let number)): return number.isMultiple(of: 2)
    case ("divisibleby", .integer(let number)):
        if case .integer(let divisor) = arguments.first, divisor != 0 {
            return number.isMultiple(of: divisor)
        }
    case ("in", _): if let list = arguments.first { return try list.contains(value) }
    case ("equalto", _), ("eq", _): if let other = arguments.first { return value.equals(other) }
    case ("ne", _): if let other = arguments.first { return !value.equals(other) }
    default: break
    }
    throw TemplateFault(.unsupported, "the test \(name) on \(value.kind)")
}

func method(
    _ object: TemplateValue, _ name: String, _ arguments: [TemplateValue]
) throws(TemplateFault) -> TemplateValue {
    let texts = arguments.compactMap { if case .string(let text) = $0 { text } else { nil as String? } }
    switch (object, name, arguments.count) {
    case (.dictionary, "get", 1...2):
        return (texts.first.flatMap { object[$0] }) ?? (arguments.count > 1 ? arguments[1] : .none)
    case (.dictionary(let entries), "items", 0):
        return .list(entries.map { .list([.string($0.key), $0.value]) })
    case (.dictionary(let entries), "keys", 0): return .list(entries.map { .string($0.key) })
    case (.dictionary(let entries), "values", 0): return .list(entries.map(\.value))
    case (.string(let text), "strip", 0...1), (.string(let text), "lstrip", 0...1),
        (.string(let text), "rstrip", 0...1):
        let (left, right) = (name != "rstrip", name != "lstrip")
        if arguments.isEmpty { return .string(text.stripped(left: left, right: right)) }
        guard let dropped = texts.first else { break }
        return .string(
            text.stripped(left: left, right: right) { dropped.unicodeScalars.contains($0) })
    case (.string(let text), "startswith", 1) where texts.count == 1:
        return .boolean(text.utf8.starts(with: texts[0].utf8))
    case (.string(let text), "endswith", 1) where texts.count == 1:
        return .boolean(text.utf8.reversed().starts(with: texts[0].utf8.reversed()))
    case (.string(let text), "upper", 0): return .string(text.uppercased())
    case (.string(let text), "lower", 0): return .string(text.lowercased())
    case (.string(let text), "replace", 2) where texts.count == 2 && !texts[0].isEmpty:
        let pieces = text.separated(by: texts[0])
        guard
            pieces.count.multipliedReportingOverflow(by: texts[1].utf8.count).partialValue
                <= TemplateRenderer.madeMax
        else { throw TemplateFault(.refused, "it makes too much") }
        return .string(pieces.joined(separator: texts[1]))
    case (.string(let text), "split", 1...2) where texts.first?.isEmpty == false:
        var splitsMax = Int.max
        if arguments.count == 2 {
            guard case .integer(let count) = arguments[1], count >= 0 else { break }
            splitsMax = count
        }
        return .list(text.separated(by: texts[0], atMost: splitsMax).map { .string($0) })
    default: break
    }
    throw TemplateFault(
        .unsupported, "the method \(name) with \(arguments.count) arguments on \(object.kind)")
}

extension TemplateValue {
    /// Python's `[from:to:step]`.
    func sliced(from: Int?, to: Int?, step: Int) throws(TemplateFault) -> TemplateValue {
        guard step != 0 else { throw TemplateFault(.refused, "a slice with step 0") }
        let items = try items()
        func bound(_ place: Int?, _ whenMissing: Int) -> Int {
            guard let place else { return whenMissing }
            let index = place < 0 ? place + items.count : place
            return min(max(index, step > 0 ? 0 : -1), step > 0 ? items.count : items.count - 1)
        }
        let start = bound(from, step > 0 ? 0 : items.count - 1)
        let stop = bound(to, step > 0 ? items.count : -1)
        let kept = stride(from: start, to: stop, by: step).map { items[$0] }
        if case .string = self {
            var text = ""
            for item in kept { text += try item.printed() }
            return .string(text)
        }
        return .list(kept)
    }
}

/// A day, as templates may print it. Comes from the caller: nothing below the command line reads a clock.
public struct ChatDate: Sendable, Equatable {
    public let year: Int
    public let month: Int
    public let day: Int

    public init(year: Int, month: Int, day: Int) {
        precondition((1...12).contains(month) && (1...31).contains(day) && (1...9999).contains(year))
        self.year = year
        self.month = month
        self.day = day
    }

    /// Python's `strftime` with English names, for what concerns a day.
    func formatted(_ format: String) throws(TemplateFault) -> String {
        let months = [
            "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
            "November", "December",
        ]
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        var (result, isField) = ("", false)
        for scalar in format.unicodeScalars {
            guard isField else {
                if scalar == "%" { isField = true } else { result.unicodeScalars.append(scalar) }
                continue
            }
            isField = false
            switch scalar {
            case "d": result += two(day)
            case "m": result += two(month)
            case "Y": result += "\(year)"
            case "b": result += months[month - 1].prefix(3)
            case "B": result += months[month - 1]
            case "%": result += "%"
            default: throw TemplateFault(.unsupported, "strftime_now with %\(scalar)")
            }
        }
        return result
    }
}
