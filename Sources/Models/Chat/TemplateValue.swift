/// A value of the template language. Strings are compared as Python does, scalar by scalar.
indirect enum TemplateValue: Sendable {
    case undefined(String)
    case none
    case boolean(Bool)
    case integer(Int)
    case real(Double)
    case string(String)
    case list([TemplateValue])
    case dictionary([(key: String, value: TemplateValue)])
    /// What `namespace(…)` made: the number under which the renderer keeps it.
    case namespace(Int)
    /// A function of the language, or a method and what it belongs to.
    case function(String)
    case method(TemplateValue, String)
}

extension TemplateValue {
    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .boolean(let value): value
        case .integer(let value): value != 0
        case .real(let value): value != 0
        case .string(let text): !text.isEmpty
        case .list(let items): !items.isEmpty
        case .dictionary(let entries): !entries.isEmpty
        case .namespace, .function, .method: true
        }
    }

    var isUndefined: Bool {
        if case .undefined = self { return true }
        return false
    }

    var kind: String {
        switch self {
        case .undefined(let name): "undefined (`\(name)`)"
        case .none: "none"
        case .boolean: "a boolean"
        case .integer, .real: "a number"
        case .string: "a string"
        case .list: "a list"
        case .dictionary: "a dictionary"
        case .namespace: "a namespace"
        case .function, .method: "a function"
        }
    }

    /// Bytes or items, roughly what a copy would cost; bounds what a template may make.
    var size: Int {
        switch self {
        case .string(let text): text.utf8.count
        case .list(let items): items.count
        default: 1
        }
    }

    subscript(key: String) -> TemplateValue? {
        guard case .dictionary(let entries) = self else { return nil }
        return entries.last { $0.key.utf8.elementsEqual(key.utf8) }?.value
    }

    /// What `{{ … }}` prints.
    func printed() throws(TemplateFault) -> String {
        switch self {
        case .undefined: return ""
        case .none: return "None"
        case .boolean(let value): return value ? "True" : "False"
        case .integer(let value): return "\(value)"
        case .string(let text): return text
        case .real, .list, .dictionary, .namespace, .function, .method:
            throw TemplateFault(.unsupported, "printing \(kind)")
        }
    }

    func equals(_ other: TemplateValue) -> Bool {
        switch (self, other) {
        case (.undefined, .undefined), (.none, .none): true
        case (.string(let left), .string(let right)): left.utf8.elementsEqual(right.utf8)
        case (.list(let left), .list(let right)):
            left.count == right.count && zip(left, right).allSatisfy { $0.equals($1) }
        case (.dictionary(let left), .dictionary(let right)):
            left.count == right.count
                && left.allSatisfy { entry in other[entry.key].map { $0.equals(entry.value) } ?? false }
        case (.namespace(let left), .namespace(let right)): left == right
        default:
            if let left = number, let right = other.number { left == right } else { false }
        }
    }

    /// Booleans count as 0 and 1, as in Python.
    var number: Double? {
        switch self {
        case .boolean(let value): value ? 1 : 0
        case .integer(let value): Double(value)
        case .real(let value): value
        default: nil
        }
    }

    /// What a loop goes over.
    func items() throws(TemplateFault) -> [TemplateValue] {
        switch self {
        case .undefined: return []
        case .list(let items): return items
        case .dictionary(let entries): return entries.map { .string($0.key) }
        case .string(let text): return text.unicodeScalars.map { .string(String(scalars: [$0])) }
        default: throw TemplateFault(.refused, "\(kind) is no sequence")
        }
    }

    func contains(_ value: TemplateValue) throws(TemplateFault) -> Bool {
        if case .string(let text) = self {
            guard case .string(let part) = value else {
                throw TemplateFault(.refused, "\(value.kind) is looked for in a string")
            }
            return text.firstRange(ofScalars: part) != nil
        }
        return try items().contains { $0.equals(value) }
    }

    /// As `json.dumps(…, ensure_ascii=False)` writes it, which is `transformers`' `tojson`.
    func json() throws(TemplateFault) -> String {
        switch self {
        case .none: return "null"
        case .boolean(let value): return value ? "true" : "false"
        case .integer(let value): return "\(value)"
        case .string(let text): return JSON.quoted(text)
        case .list(let items):
            var parts: [String] = []
            for item in items { parts.append(try item.json()) }
            return "[" + parts.joined(separator: ", ") + "]"
        case .dictionary(let entries):
            var parts: [String] = []
            for entry in entries { parts.append(JSON.quoted(entry.key) + ": " + (try entry.value.json())) }
            return "{" + parts.joined(separator: ", ") + "}"
        default: throw TemplateFault(.unsupported, "\(kind) as JSON")
        }
    }
}

extension String {
    /// Where `part` first stands, scalar by scalar; the empty text stands at the start.
    func firstRange(ofScalars part: String) -> Range<String.Index>? {
        let (text, wanted) = (Array(utf8), Array(part.utf8))
        guard wanted.count <= text.count else { return nil }
        for start in 0...(text.count - wanted.count)
        where text[start..<start + wanted.count].elementsEqual(wanted) {
            let lower = utf8.index(startIndex, offsetBy: start)
            return lower..<utf8.index(lower, offsetBy: wanted.count)
        }
        return nil
    }

    /// Without the scalars that `drops` at both ends, or at one.
    func stripped(
        left: Bool = true, right: Bool = true, _ drops: (Unicode.Scalar) -> Bool = \.isPythonSpace
    ) -> String {
        var scalars = unicodeScalars[...]
        if left { scalars = scalars.drop(while: drops) }
        if right { while let last = scalars.last, drops(last) { scalars.removeLast() } }
        return String(scalars: scalars)
    }

    /// The pieces between separators.
    func separated(by separator: String, atMost splitsMax: Int = .max) -> [String] {
        var (pieces, rest) = ([String](), self)
        while pieces.count < splitsMax, let range = rest.firstRange(ofScalars: separator) {
            pieces.append(String(rest[..<range.lowerBound]))
            rest = String(rest[range.upperBound...])
        }
        return pieces + [rest]
    }
}
