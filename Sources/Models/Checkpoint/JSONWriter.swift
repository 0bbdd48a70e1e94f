extension JSON {
    public enum Layout: Sendable {
        /// No white space at all, as `serde_json` writes.
        case compact
        /// Two spaces per level and `": "`, as Python's `json.dump(indent=2)` writes.
        case indented
        /// As `indented`, but an array of plain values stays on one line: for tables.
        case rows
    }

    /// This document as UTF-8 text. Scalars outside ASCII are written as they are.
    public func text(_ layout: Layout = .compact) -> String {
        var writer = JSONWriter(layout: layout)
        writer.write(self, level: 0)
        return writer.text
    }

    /// A quoted JSON string, escaped as `serde_json` and Python do (short forms where they exist).
    static func quoted(_ string: String) -> String {
        var text = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\u{08}": text += "\\b"
            case "\u{0C}": text += "\\f"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{00}"..<"\u{20}":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }
}

extension JSON {
    /// Whether this is neither an array nor an object.
    fileprivate var isPlain: Bool {
        switch self {
        case .array, .object: false
        case .null, .bool, .integer, .real, .string: true
        }
    }
}

private struct JSONWriter {
    let layout: JSON.Layout
    var text = ""

    mutating func write(_ value: JSON, level: Int) {
        switch value {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        case .real(let value): text += number(value)
        case .string(let value): text += JSON.quoted(value)
        case .array(let elements)
        where layout == .rows && !elements.isEmpty && elements.allSatisfy(\.isPlain):
            text += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { text += ", " }
                write(element, level: level)
            }
            text += "]"
        case .array(let elements):
            bracketed("[", "]", isEmpty: elements.isEmpty, level: level) { writer in
                for (index, element) in elements.enumerated() {
                    writer.separate(index, level: level + 1)
                    writer.write(element, level: level + 1)
                }
            }
        case .object(let members):
            bracketed("{", "}", isEmpty: members.isEmpty, level: level) { writer in
                for (index, member) in members.enumerated() {
                    writer.separate(index, level: level + 1)
                    writer.text += JSON.quoted(member.key)
                    writer.text += writer.layout == .compact ? ":" : ": "
                    writer.write(member.value, level: level + 1)
                }
            }
        }
    }

    private mutating func bracketed(
        _ open: String, _ close: String, isEmpty: Bool, level: Int,
        _ body: (inout JSONWriter) -> Void
    ) {
        text += open
        body(&self)
        if !isEmpty { newLine(level: level) }
        text += close
    }

    private mutating func separate(_ index: Int, level: Int) {
        if index > 0 { text += "," }
        newLine(level: level)
    }

    private mutating func newLine(level: Int) {
        guard layout != .compact else { return }
        text += "\n" + String(repeating: "  ", count: level)
    }

    /// The shortest digits that read back as the same double. A whole number keeps its `.0`,
    /// so that it stays a real for readers that care; Swift and Python agree on that.
    private func number(_ value: Double) -> String {
        precondition(value.isFinite, "JSON has no infinities")
        return value.description
    }
}
