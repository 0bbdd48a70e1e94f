/// A piece of a Jinja template: literal text, or the tokens of a tag.
enum TemplatePiece: Equatable, Sendable {
    case text(String)
    /// `{{ … }}`
    case output([TemplateToken])
    /// `{% … %}`
    case statement([TemplateToken])
}

enum TemplateToken: Equatable, Sendable {
    case name(String)
    case string(String)
    case integer(Int)
    case real(Double)
    case symbol(String)
}

/// What is wrong with a template or with what it was given; `ChatTemplate` adds the file.
struct TemplateFault: Error, Equatable {
    enum Kind: Sendable {
        /// No Jinja.
        case malformed
        /// Jinja, but beyond what this version runs.
        case unsupported
        /// The template itself refuses the messages, or they do not fit it.
        case refused
    }

    let kind: Kind
    let reason: String

    init(_ kind: Kind, _ reason: String) {
        self.kind = kind
        self.reason = reason
    }
}

/// Cuts a template into text and tags as Jinja does with `trim_blocks` and `lstrip_blocks`, the settings that
/// `transformers` runs chat templates with: a line break after a statement or comment goes, and so does the
/// indentation before one. `-` strips all white space on its side, `+` keeps what would go.
struct TemplateLexer {
    private let source: [Unicode.Scalar]
    private var position = 0

    init(_ text: String) {
        var scalars: [Unicode.Scalar] = []
        for scalar in text.unicodeScalars {
            if scalar == "\n", scalars.last == "\r" { scalars.removeLast() }
            scalars.append(scalar)
        }
        scalars = scalars.map { $0 == "\r" ? "\n" : $0 }
        if scalars.last == "\n" { scalars.removeLast() }
        source = scalars
    }

    mutating func pieces() throws(TemplateFault) -> [TemplatePiece] {
        var pieces: [TemplatePiece] = []
        var startsLine = true
        while position < source.count {
            let start = position
            while position < source.count, !isTagStart(position) { position += 1 }
            var text = Array(source[start..<position])
            guard position < source.count else {
                append(text, to: &pieces)
                break
            }
            let kind = source[position + 1]
            position += 2
            let sign = position < source.count ? source[position] : " "
            if sign == "-" {
                position += 1
                while let last = text.last, isSpace(last) { text.removeLast() }
            } else if sign == "+", kind != "{" {
                position += 1
            } else if kind != "{" {
                stripIndentation(&text, startsLine: startsLine)
            }
            append(text, to: &pieces)
            switch kind {
            case "#": try skipComment()
            case "%": pieces.append(.statement(try tokens(until: "%")))
            default: pieces.append(.output(try tokens(until: "}")))
            }
            startsLine = source[position - 1] == "\n"
        }
        return pieces
    }

    private func isTagStart(_ index: Int) -> Bool {
        source[index] == "{" && index + 1 < source.count && ["{", "%", "#"].contains(source[index + 1])
    }

    private func append(_ text: [Unicode.Scalar], to pieces: inout [TemplatePiece]) {
        if !text.isEmpty { pieces.append(.text(String(scalars: text))) }
    }

    private func stripIndentation(_ text: inout [Unicode.Scalar], startsLine: Bool) {
        let lineStart = text.lastIndex(of: "\n").map { $0 + 1 } ?? 0
        guard lineStart > 0 || startsLine, text[lineStart...].allSatisfy(isSpace) else { return }
        text.removeSubrange(lineStart...)
    }

    private mutating func skipComment() throws(TemplateFault) {
        while position + 1 < source.count {
            if source[position] == "#", source[position + 1] == "}" {
                let sign = source[position - 1]
                position += 2
                endTag(sign: sign, trimsLine: true)
                return
            }
            position += 1
        }
        throw TemplateFault(.malformed, "a comment does not end")
    }

    /// Takes the white space that a tag's end takes with it.
    private mutating func endTag(sign: Unicode.Scalar?, trimsLine: Bool) {
        if sign == "-" {
            while position < source.count, isSpace(source[position]) { position += 1 }
        } else if trimsLine, sign != "+", position < source.count, source[position] == "\n" {
            position += 1
        }
    }

    /// Whether the tag ends here, before the sign that may stand before its end.
    private func tagEnd(_ closing: Unicode.Scalar) -> (length: Int, sign: Unicode.Scalar?)? {
        func closes(_ index: Int) -> Bool {
            index + 1 < source.count && source[index] == closing && source[index + 1] == "}"
        }
        if closes(position) { return (2, nil) }
        let sign = source[position]
        guard sign == "-" || (sign == "+" && closing == "%"), closes(position + 1) else { return nil }
        return (3, sign)
    }

    private mutating func tokens(until closing: Unicode.Scalar) throws(TemplateFault) -> [TemplateToken] {
        var tokens: [TemplateToken] = []
        // A `}}` inside braces closes them, not the tag.
        var braces = 0
        while position < source.count {
            let scalar = source[position]
            if isSpace(scalar) {
                position += 1
            } else if braces == 0, let end = tagEnd(closing) {
                position += end.length
                endTag(sign: end.sign, trimsLine: closing == "%")
                return tokens
            } else if scalar == "'" || scalar == "\"" {
                tokens.append(.string(try string(quote: scalar)))
            } else if isDigit(scalar) {
                tokens.append(try number())
            } else if isNameStart(scalar) {
                let start = position
                while position < source.count, isNameStart(source[position]) || isDigit(source[position]) {
                    position += 1
                }
                tokens.append(.name(String(scalars: source[start..<position])))
            } else {
                let symbol = try symbol()
                if symbol == "{" { braces += 1 }
                if symbol == "}" { braces -= 1 }
                tokens.append(.symbol(symbol))
            }
        }
        throw TemplateFault(.malformed, "a tag does not end")
    }

    private mutating func symbol() throws(TemplateFault) -> String {
        let pair = String(scalars: source[position..<min(position + 2, source.count)])
        if ["==", "!=", "<=", ">=", "//", "**"].contains(pair) {
            position += 2
            return pair
        }
        let single = String(scalars: [source[position]])
        guard "+-*/%~()[]{}.,:|<>=".unicodeScalars.contains(source[position]) else {
            throw TemplateFault(.malformed, "a tag holds the character \(single)")
        }
        position += 1
        return single
    }

    private mutating func number() throws(TemplateFault) -> TemplateToken {
        let start = position
        while position < source.count, isDigit(source[position]) { position += 1 }
        var isReal = false
        if position + 1 < source.count, source[position] == ".", isDigit(source[position + 1]) {
            isReal = true
            position += 1
            while position < source.count, isDigit(source[position]) { position += 1 }
        }
        let text = String(scalars: source[start..<position])
        if isReal, let value = Double(text) { return .real(value) }
        guard let value = Int(text) else {
            throw TemplateFault(.malformed, "the number \(text) is too large")
        }
        return .integer(value)
    }

    /// A literal, with Python's escapes.
    private mutating func string(quote: Unicode.Scalar) throws(TemplateFault) -> String {
        position += 1
        var result: [Unicode.Scalar] = []
        while position < source.count, source[position] != quote {
            guard source[position] == "\\", position + 1 < source.count else {
                result.append(source[position])
                position += 1
                continue
            }
            let escaped = source[position + 1]
            position += 2
            let simple: [Unicode.Scalar: Unicode.Scalar] = [
                "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", "\"": "\"", "a": "\u{7}",
                "b": "\u{8}", "f": "\u{C}", "v": "\u{B}",
            ]
            if let plain = simple[escaped] {
                result.append(plain)
            } else if escaped == "\n" {
                continue
            } else if let length = ["x": 2, "u": 4, "U": 8][String(scalars: [escaped])] {
                let digits = String(scalars: source[position..<min(position + length, source.count)])
                guard digits.unicodeScalars.count == length, let code = UInt32(digits, radix: 16),
                    let scalar = Unicode.Scalar(code)
                else { throw TemplateFault(.malformed, "\\\(escaped)\(digits) is no character") }
                result.append(scalar)
                position += length
            } else if isDigit(escaped) || escaped == "N" {
                throw TemplateFault(.unsupported, "the escape \\\(escaped) in a string")
            } else {
                result += ["\\", escaped]
            }
        }
        guard position < source.count else { throw TemplateFault(.malformed, "a string does not end") }
        position += 1
        return String(scalars: result)
    }

    private func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.isPythonSpace }

    private func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

    private func isNameStart(_ scalar: Unicode.Scalar) -> Bool {
        ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_"
    }
}

extension Unicode.Scalar {
    /// What Python's `str.strip` and `\s` take for white space.
    var isPythonSpace: Bool {
        switch value {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F,
            0x3000:
            true
        default: false
        }
    }
}
