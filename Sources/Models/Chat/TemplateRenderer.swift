/// Runs a parsed template. It reaches nothing outside: its names are what it was given, its functions are those
/// in `TemplateFunctions.swift`, and its work and output are bounded.
struct TemplateRenderer {
    /// Far above any chat; a template cannot run for ever or fill the memory.
    static let stepsMax = 1_000_000
    static let outputMax = 16 << 20
    /// Bytes and items of all values that it may make on its way.
    static let madeMax = 256 << 20

    private(set) var output = ""
    private var scopes: [[(name: String, value: TemplateValue)]]
    private var namespaces: [[(key: String, value: TemplateValue)]] = []
    private var steps = 0
    private var made = 0
    /// Today, if the template may know.
    let date: ChatDate?

    init(names: [(name: String, value: TemplateValue)], date: ChatDate?) {
        scopes = [names]
        self.date = date
    }

    private enum Flow { case on, leavesLoop, nextTurn }

    mutating func run(_ nodes: [TemplateNode]) throws(TemplateFault) { _ = try flow(nodes) }

    private mutating func flow(_ nodes: [TemplateNode]) throws(TemplateFault) -> Flow {
        for node in nodes {
            try count()
            switch node {
            case .text(let text): try write(text)
            case .output(let expression): try write(try value(expression).printed())
            case .leaveLoop: return .leavesLoop
            case .nextTurn: return .nextTurn
            case .assign(let targets, let expression):
                try assign(targets, try value(expression))
            case .capture(let target, let body):
                let before = output
                output = ""
                let flow = try flow(body)
                let text = output
                output = before
                try assign([target], .string(text))
                if flow != .on { return flow }
            case .branches(let branches):
                for branch in branches {
                    if let condition = branch.condition, !(try value(condition).isTrue) { continue }
                    let flow = try flow(branch.body)
                    if flow != .on { return flow }
                    break
                }
            case .loop(let loop):
                let flow = try run(loop)
                if flow != .on { return flow }
            }
        }
        return .on
    }

    private mutating func run(_ loop: TemplateLoop) throws(TemplateFault) -> Flow {
        var turns: [[(name: String, value: TemplateValue)]] = []
        var items: [TemplateValue] = []
        for item in try value(loop.sequence).items() {
            try count()
            let bound = try bind(loop.names, item)
            if let condition = loop.condition {
                scopes.append(bound)
                defer { scopes.removeLast() }
                guard try value(condition).isTrue else { continue }
            }
            turns.append(bound)
            items.append(item)
        }
        if turns.isEmpty { return try flow(loop.whenEmpty) }
        for (index, names) in turns.enumerated() {
            scopes.append(names + [("loop", state(index, items))])
            defer { scopes.removeLast() }
            if try flow(loop.body) == .leavesLoop { break }
        }
        return .on
    }

    private func bind(
        _ names: [String], _ item: TemplateValue
    ) throws(TemplateFault) -> [(name: String, value: TemplateValue)] {
        if names.count == 1 { return [(names[0], item)] }
        let parts = try item.items()
        guard parts.count == names.count else {
            throw TemplateFault(.refused, "\(parts.count) values for \(names.count) names")
        }
        return Array(zip(names, parts)).map { ($0.0, $0.1) }
    }

    private func state(_ index: Int, _ items: [TemplateValue]) -> TemplateValue {
        let count = items.count
        var state: [(key: String, value: TemplateValue)] = [
            ("index", .integer(index + 1)), ("index0", .integer(index)),
            ("revindex", .integer(count - index)), ("revindex0", .integer(count - index - 1)),
            ("first", .boolean(index == 0)), ("last", .boolean(index == count - 1)),
            ("length", .integer(count)),
        ]
        if index > 0 { state.append(("previtem", items[index - 1])) }
        if index + 1 < count { state.append(("nextitem", items[index + 1])) }
        return .dictionary(state)
    }

    private mutating func assign(
        _ targets: [TemplateTarget], _ value: TemplateValue
    ) throws(TemplateFault) {
        let values = targets.count == 1 ? [value] : try value.items()
        guard values.count == targets.count else {
            throw TemplateFault(.refused, "\(values.count) values for \(targets.count) names")
        }
        for (target, value) in zip(targets, values) {
            if let attribute = target.attribute {
                guard case .namespace(let number) = lookup(target.name) else {
                    throw TemplateFault(.refused, "`\(target.name)` is no namespace")
                }
                namespaces[number].removeAll { $0.key == attribute }
                namespaces[number].append((attribute, value))
            } else {
                scopes[scopes.count - 1].append((target.name, value))
            }
        }
    }

    private func lookup(_ name: String) -> TemplateValue {
        for scope in scopes.reversed() {
            if let found = scope.last(where: { $0.name == name }) { return found.value }
        }
        let known = ["raise_exception", "namespace", "range"] + (date == nil ? [] : ["strftime_now"])
        return known.contains(name) ? .function(name) : .undefined(name)
    }

    private mutating func write(_ text: String) throws(TemplateFault) {
        output += text
        guard output.utf8.count <= Self.outputMax else {
            throw TemplateFault(.refused, "it prints more than \(Self.outputMax) bytes")
        }
    }

    private mutating func count() throws(TemplateFault) {
        steps += 1
        guard steps <= Self.stepsMax else { throw TemplateFault(.refused, "it does not come to an end") }
    }

    // MARK: Expressions

    private mutating func value(_ expression: TemplateExpression) throws(TemplateFault) -> TemplateValue {
        let value = try evaluate(expression)
        made += value.size
        guard made <= Self.madeMax else { throw TemplateFault(.refused, "it makes too much") }
        return value
    }

    private mutating func evaluate(_ expression: TemplateExpression) throws(TemplateFault) -> TemplateValue {
        try count()
        switch expression {
        case .literal(let value): return value
        case .name(let name): return lookup(name)
        case .list(let items): return .list(try values(items))
        case .dictionary(let entries):
            var result: [(key: String, value: TemplateValue)] = []
            for entry in entries {
                guard case .string(let key) = try value(entry.key) else {
                    throw TemplateFault(.unsupported, "a dictionary whose keys are no strings")
                }
                result.append((key, try value(entry.value)))
            }
            return .dictionary(result)
        case .attribute(let object, let name): return try attribute(try value(object), name)
        case .item(let object, let key): return try item(try value(object), try value(key))
        case .slice(let object, let from, let to, let step):
            var bounds: [Int?] = []
            for bound in [from, to, step] { bounds.append(bound == nil ? nil : try place(bound!)) }
            return try value(object).sliced(from: bounds[0], to: bounds[1], step: bounds[2] ?? 1)
        case .call(let callee, let arguments):
            return try call(try value(callee), try values(arguments.positional), try named(arguments))
        case .filter(let operand, let name, let arguments):
            return try filtered(
                try value(operand), name, try values(arguments.positional), try named(arguments))
        case .test(let operand, let name, let arguments, let isNegated):
            let holds = try passes(try value(operand), name, try values(arguments.positional))
            return .boolean(holds != isNegated)
        case .not(let operand): return .boolean(!(try value(operand).isTrue))
        case .negative(let operand):
            switch try value(operand) {
            case .integer(let number): return .integer(0 &- number)
            case .real(let number): return .real(-number)
            case let other: throw TemplateFault(.refused, "the negative of \(other.kind)")
            }
        case .and(let left, let right):
            let first = try value(left)
            return first.isTrue ? try value(right) : first
        case .or(let left, let right):
            let first = try value(left)
            return first.isTrue ? first : try value(right)
        case .arithmetic(let symbol, let left, let right):
            return try arithmetic(symbol, try value(left), try value(right))
        case .comparison(let first, let rest):
            var left = try value(first)
            for (symbol, operand) in rest {
                let right = try value(operand)
                guard try compare(left, symbol, right) else { return .boolean(false) }
                left = right
            }
            return .boolean(true)
        case .condition(let condition, let then, let otherwise):
            if try value(condition).isTrue { return try value(then) }
            if let otherwise { return try value(otherwise) }
            return .undefined("the inline if")
        }
    }

    private mutating func values(_ expressions: [TemplateExpression]) throws(TemplateFault) -> [TemplateValue]
    {
        var values: [TemplateValue] = []
        for expression in expressions { values.append(try value(expression)) }
        return values
    }

    private mutating func named(
        _ arguments: TemplateArguments
    ) throws(TemplateFault) -> [(key: String, value: TemplateValue)] {
        var named: [(key: String, value: TemplateValue)] = []
        for argument in arguments.named { named.append((argument.name, try value(argument.value))) }
        return named
    }

    private mutating func place(_ expression: TemplateExpression) throws(TemplateFault) -> Int? {
        switch try value(expression) {
        case .none: return nil
        case .integer(let place): return place
        case let other: throw TemplateFault(.refused, "\(other.kind) as the bound of a slice")
        }
    }

    private func attribute(_ object: TemplateValue, _ name: String) throws(TemplateFault) -> TemplateValue {
        switch object {
        case .undefined: throw TemplateFault(.refused, "`.\(name)` of \(object.kind)")
        case .namespace(let number):
            return namespaces[number].last { $0.key == name }?.value ?? .undefined(name)
        case .dictionary:
            if let value = object[name] { return value }
            return ["get", "items", "keys", "values"].contains(name)
                ? .method(object, name) : .undefined(name)
        case .string: return .method(object, name)
        default: return .undefined(name)
        }
    }

    private func item(_ object: TemplateValue, _ key: TemplateValue) throws(TemplateFault) -> TemplateValue {
        switch (object, key) {
        case (.undefined, _): throw TemplateFault(.refused, "an item of \(object.kind)")
        case (.dictionary, .string(let name)): return object[name] ?? .undefined(name)
        case (.list, .integer(let place)), (.string, .integer(let place)):
            let items = try object.items()
            let index = place < 0 ? place + items.count : place
            return items.indices.contains(index) ? items[index] : .undefined("[\(place)]")
        case (.string, .string(let name)), (.namespace, .string(let name)): return try attribute(object, name)
        default: return .undefined("[…]")
        }
    }

    private mutating func call(
        _ callee: TemplateValue, _ arguments: [TemplateValue], _ named: [(key: String, value: TemplateValue)]
    ) throws(TemplateFault) -> TemplateValue {
        switch callee {
        case .function("namespace"):
            namespaces.append(named)
            return .namespace(namespaces.count - 1)
        case .function("raise_exception"):
            throw TemplateFault(.refused, try arguments.first?.printed() ?? "no reason given")
        case .function("strftime_now"):
            guard let date, case .string(let format) = arguments.first else {
                throw TemplateFault(.refused, "strftime_now wants a format")
            }
            return .string(try date.formatted(format))
        case .function("range"):
            let bounds = arguments.compactMap {
                if case .integer(let bound) = $0 { bound } else { nil as Int? }
            }
            guard bounds.count == arguments.count, (1...2).contains(bounds.count) else {
                throw TemplateFault(.unsupported, "a range with other than one or two whole numbers")
            }
            let (lower, upper) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
            guard upper.subtractingReportingOverflow(lower).partialValue <= Self.stepsMax else {
                throw TemplateFault(.refused, "it does not come to an end")
            }
            return .list((lower..<max(lower, upper)).map { .integer($0) })
        case .method(let object, let name): return try method(object, name, arguments)
        default: throw TemplateFault(.refused, "a call of \(callee.kind)")
        }
    }
}
