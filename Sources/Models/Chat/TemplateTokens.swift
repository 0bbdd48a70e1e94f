/// The tokens of one tag, read from the left: Jinja's expression grammar, loosest binding first.
struct TemplateTokens {
    private let tokens: [TemplateToken]
    private var index = 0
    private var depth = 0

    init(_ tokens: [TemplateToken]) { self.tokens = tokens }

    private var next: TemplateToken? { index < tokens.count ? tokens[index] : nil }

    /// The keyword that this tag began with.
    func lastKeyword() throws(TemplateFault) -> String {
        guard case .name(let name) = tokens.first else {
            throw TemplateFault(.malformed, "an empty statement")
        }
        return name
    }

    func requireEnd() throws(TemplateFault) {
        if let next { throw TemplateFault(.malformed, "a tag goes on with \(next.text)") }
    }

    mutating func take(symbol: String) -> Bool {
        guard next == .symbol(symbol) else { return false }
        index += 1
        return true
    }

    mutating func take(name: String) -> Bool {
        guard next == .name(name) else { return false }
        index += 1
        return true
    }

    mutating func name(_ what: String) throws(TemplateFault) -> String {
        guard case .name(let name) = next else {
            throw TemplateFault(.malformed, "\(next?.text ?? "the end of a tag") stands where \(what) should")
        }
        index += 1
        return name
    }

    private mutating func require(_ symbol: String) throws(TemplateFault) {
        guard take(symbol: symbol) else {
            throw TemplateFault(
                .malformed, "\(next?.text ?? "the end of a tag") stands where `\(symbol)` should")
        }
    }

    /// One expression, or several with commas between them as a list.
    mutating func expressionOrTuple() throws(TemplateFault) -> TemplateExpression {
        let first = try expression()
        guard next == .symbol(",") else { return first }
        var items = [first]
        while take(symbol: ","), next != nil, next != .symbol(")") { items.append(try expression()) }
        return .list(items)
    }

    mutating func expression() throws(TemplateFault) -> TemplateExpression {
        depth += 1
        defer { depth -= 1 }
        guard depth <= TemplateParser.depthMax else {
            throw TemplateFault(.unsupported, "an expression nested too deep")
        }
        var result = try disjunction()
        while take(name: "if") {
            let condition = try disjunction()
            let otherwise = take(name: "else") ? try expression() : nil
            result = .condition(condition, then: result, otherwise: otherwise)
        }
        return result
    }

    mutating func disjunction() throws(TemplateFault) -> TemplateExpression {
        var left = try conjunction()
        while take(name: "or") { left = .or(left, try conjunction()) }
        return left
    }

    private mutating func conjunction() throws(TemplateFault) -> TemplateExpression {
        var left = try negation()
        while take(name: "and") { left = .and(left, try negation()) }
        return left
    }

    private mutating func negation() throws(TemplateFault) -> TemplateExpression {
        var count = 0
        while take(name: "not") { count += 1 }
        let value = try comparison()
        return (0..<count).reduce(value) { value, _ in .not(value) }
    }

    private mutating func comparison() throws(TemplateFault) -> TemplateExpression {
        let left = try sum()
        var rest: [(sign: String, operand: TemplateExpression)] = []
        while true {
            if case .symbol(let symbol) = next, ["==", "!=", "<", ">", "<=", ">="].contains(symbol) {
                index += 1
                rest.append((symbol, try sum()))
            } else if take(name: "in") {
                rest.append(("in", try sum()))
            } else if next == .name("not"), index + 1 < tokens.count, tokens[index + 1] == .name("in") {
                index += 2
                rest.append(("not in", try sum()))
            } else {
                return rest.isEmpty ? left : .comparison(left, rest)
            }
        }
    }

    private mutating func sum() throws(TemplateFault) -> TemplateExpression {
        var left = try concatenation()
        while case .symbol(let symbol) = next, symbol == "+" || symbol == "-" {
            index += 1
            left = .arithmetic(symbol, left, try concatenation())
        }
        return left
    }

    private mutating func concatenation() throws(TemplateFault) -> TemplateExpression {
        var left = try product()
        while take(symbol: "~") { left = .arithmetic("~", left, try product()) }
        return left
    }

    private mutating func product() throws(TemplateFault) -> TemplateExpression {
        var left = try sign()
        while case .symbol(let symbol) = next, ["*", "/", "//", "%"].contains(symbol) {
            index += 1
            left = .arithmetic(symbol, left, try sign())
        }
        return left
    }

    private mutating func sign() throws(TemplateFault) -> TemplateExpression {
        var isNegative = false
        while case .symbol(let symbol) = next, symbol == "+" || symbol == "-" {
            index += 1
            if symbol == "-" { isNegative.toggle() }
        }
        let value = try filtered(try postfix(try primary()))
        return isNegative ? .negative(value) : value
    }

    private mutating func primary() throws(TemplateFault) -> TemplateExpression {
        guard let token = next else { throw TemplateFault(.malformed, "an expression is missing") }
        index += 1
        switch token {
        case .string(var text):
            while case .string(let more) = next {
                text += more
                index += 1
            }
            return .literal(.string(text))
        case .integer(let value): return .literal(.integer(value))
        case .real(let value): return .literal(.real(value))
        case .name("true"), .name("True"): return .literal(.boolean(true))
        case .name("false"), .name("False"): return .literal(.boolean(false))
        case .name("none"), .name("None"): return .literal(.none)
        case .name(let name): return .name(name)
        case .symbol("("):
            if take(symbol: ")") { return .list([]) }
            let inner = try expressionOrTuple()
            try require(")")
            return inner
        case .symbol("["):
            var items: [TemplateExpression] = []
            while !take(symbol: "]") {
                items.append(try expression())
                if next != .symbol("]") { try require(",") }
            }
            return .list(items)
        case .symbol("{"):
            var entries: [(key: TemplateExpression, value: TemplateExpression)] = []
            while !take(symbol: "}") {
                let key = try expression()
                try require(":")
                entries.append((key, try expression()))
                if next != .symbol("}") { try require(",") }
            }
            return .dictionary(entries)
        case .symbol(let symbol): throw TemplateFault(.malformed, "`\(symbol)` begins an expression")
        }
    }

    private mutating func postfix(_ start: TemplateExpression) throws(TemplateFault) -> TemplateExpression {
        var value = start
        while true {
            if take(symbol: ".") {
                if case .integer(let place) = next {
                    index += 1
                    value = .item(value, .literal(.integer(place)))
                } else {
                    value = .attribute(value, try name("an attribute"))
                }
            } else if take(symbol: "[") {
                value = try subscripted(value)
            } else if take(symbol: "(") {
                value = .call(value, try arguments())
            } else {
                return value
            }
        }
    }

    private mutating func subscripted(_ value: TemplateExpression) throws(TemplateFault) -> TemplateExpression
    {
        var bounds: [TemplateExpression?] = [nil]
        while !take(symbol: "]") {
            if take(symbol: ":") {
                bounds.append(nil)
            } else {
                guard bounds[bounds.count - 1] == nil else {
                    throw TemplateFault(.malformed, "an index does not end")
                }
                bounds[bounds.count - 1] = try expression()
            }
        }
        if bounds.count == 1, let only = bounds[0] { return .item(value, only) }
        guard (2...3).contains(bounds.count) else { throw TemplateFault(.malformed, "an index is missing") }
        return .slice(value, from: bounds[0], to: bounds[1], step: bounds.count == 3 ? bounds[2] : nil)
    }

    private mutating func filtered(_ start: TemplateExpression) throws(TemplateFault) -> TemplateExpression {
        var value = start
        while true {
            if take(symbol: "|") {
                let name = try name("a filter")
                value = .filter(value, name, take(symbol: "(") ? try arguments() : TemplateArguments())
            } else if take(name: "is") {
                let isNegated = take(name: "not")
                let name = try name("a test")
                var arguments = TemplateArguments()
                if take(symbol: "(") {
                    arguments = try self.arguments()
                } else if let next, next.beginsBareArgument {
                    arguments.positional = [try postfix(try primary())]
                }
                value = .test(value, name, arguments, isNegated: isNegated)
            } else {
                return value
            }
        }
    }

    private mutating func arguments() throws(TemplateFault) -> TemplateArguments {
        var arguments = TemplateArguments()
        while !take(symbol: ")") {
            if case .name(let name) = next, index + 1 < tokens.count, tokens[index + 1] == .symbol("=") {
                index += 2
                arguments.named.append((name, try expression()))
            } else {
                arguments.positional.append(try expression())
            }
            if next != .symbol(")") { try require(",") }
        }
        return arguments
    }
}

extension TemplateToken {
    fileprivate var text: String {
        switch self {
        case .name(let text), .symbol(let text): "`\(text)`"
        case .string: "a string"
        case .integer(let value): "\(value)"
        case .real(let value): "\(value)"
        }
    }

    /// Whether a test without parentheses takes this as its argument: `x is divisibleby 3`.
    fileprivate var beginsBareArgument: Bool {
        switch self {
        case .name(let name): !["and", "or", "not", "is", "in", "if", "else"].contains(name)
        case .string, .integer, .real, .symbol("["), .symbol("{"): true
        case .symbol: false
        }
    }
}
