/// A parsed expression of a template.
indirect enum TemplateExpression: Sendable {
    case literal(TemplateValue)
    case name(String)
    case list([TemplateExpression])
    case dictionary([(key: TemplateExpression, value: TemplateExpression)])
    case attribute(TemplateExpression, String)
    case item(TemplateExpression, TemplateExpression)
    case slice(
        TemplateExpression, from: TemplateExpression?, to: TemplateExpression?, step: TemplateExpression?)
    case call(TemplateExpression, TemplateArguments)
    case filter(TemplateExpression, String, TemplateArguments)
    case test(TemplateExpression, String, TemplateArguments, isNegated: Bool)
    case not(TemplateExpression)
    case negative(TemplateExpression)
    case and(TemplateExpression, TemplateExpression)
    case or(TemplateExpression, TemplateExpression)
    case arithmetic(String, TemplateExpression, TemplateExpression)
    case comparison(TemplateExpression, [(sign: String, operand: TemplateExpression)])
    case condition(TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?)
}

struct TemplateArguments: Sendable {
    var positional: [TemplateExpression] = []
    var named: [(name: String, value: TemplateExpression)] = []
}

/// A parsed part of a template's body.
indirect enum TemplateNode: Sendable {
    case text(String)
    case output(TemplateExpression)
    case branches([(condition: TemplateExpression?, body: [TemplateNode])])
    case loop(TemplateLoop)
    case assign(targets: [TemplateTarget], TemplateExpression)
    case capture(TemplateTarget, [TemplateNode])
    case leaveLoop
    case nextTurn
}

struct TemplateLoop: Sendable {
    let names: [String]
    let sequence: TemplateExpression
    let condition: TemplateExpression?
    let body: [TemplateNode]
    let whenEmpty: [TemplateNode]
}

/// What `set` writes to: a name, or an attribute of a namespace.
struct TemplateTarget: Sendable {
    let name: String
    let attribute: String?
}

/// Reads the tags of a template into nodes. What this version does not run (macros, includes, …) is refused
/// here, by name.
struct TemplateParser {
    /// Expressions and blocks may nest so deep; bounds the stack.
    static let depthMax = 100

    private var pieces: [TemplatePiece]
    private var index = 0
    private var depth = 0
    private var loopDepth = 0

    init(_ source: String) throws(TemplateFault) {
        var lexer = TemplateLexer(source)
        pieces = try lexer.pieces()
    }

    mutating func template() throws(TemplateFault) -> [TemplateNode] {
        let (nodes, end) = try body(until: [])
        precondition(end == nil)
        return nodes
    }

    /// Nodes up to one of the tags `ends`, and that tag's tokens; the whole rest if there are none.
    private mutating func body(
        until ends: [String]
    ) throws(TemplateFault) -> (nodes: [TemplateNode], end: TemplateTokens?) {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthMax else { throw TemplateFault(.unsupported, "blocks nested too deep") }
        var nodes: [TemplateNode] = []
        while index < pieces.count {
            let piece = pieces[index]
            index += 1
            switch piece {
            case .text(let text): nodes.append(.text(text))
            case .output(let tokens):
                var tokens = TemplateTokens(tokens)
                nodes.append(.output(try tokens.expressionOrTuple()))
                try tokens.requireEnd()
            case .statement(let tokens):
                var tokens = TemplateTokens(tokens)
                let keyword = try tokens.name("a statement")
                if ends.contains(keyword) { return (nodes, tokens) }
                nodes += try statement(keyword, &tokens)
            }
        }
        if let end = ends.last { throw TemplateFault(.malformed, "{% \(end) %} is missing") }
        return (nodes, nil)
    }

    private mutating func statement(
        _ keyword: String, _ tokens: inout TemplateTokens
    ) throws(TemplateFault) -> [TemplateNode] {
        switch keyword {
        case "if": return [try branches(&tokens)]
        case "for": return [try loop(&tokens)]
        case "set": return [try assignment(&tokens)]
        case "generation":
            // transformers' own tag: marks what the assistant says, prints nothing.
            try tokens.requireEnd()
            return try body(until: ["endgeneration"]).nodes
        case "break", "continue":
            try tokens.requireEnd()
            guard loopDepth > 0 else { throw TemplateFault(.malformed, "{% \(keyword) %} outside of a loop") }
            return [keyword == "break" ? .leaveLoop : .nextTurn]
        default: throw TemplateFault(.unsupported, "the statement {% \(keyword) %}")
        }
    }

    private mutating func branches(_ tokens: inout TemplateTokens) throws(TemplateFault) -> TemplateNode {
        var branches: [(condition: TemplateExpression?, body: [TemplateNode])] = []
        var condition: TemplateExpression? = try tokens.expression()
        try tokens.requireEnd()
        while true {
            let isLast = condition == nil
            var (nodes, end) = try body(until: isLast ? ["endif"] : ["elif", "else", "endif"])
            branches.append((condition, nodes))
            switch try end!.lastKeyword() {
            case "elif": condition = try end!.expression()
            case "else": condition = nil
            default:
                try end!.requireEnd()
                return .branches(branches)
            }
            try end!.requireEnd()
        }
    }

    private mutating func loop(_ tokens: inout TemplateTokens) throws(TemplateFault) -> TemplateNode {
        var names = [try tokens.name("a loop variable")]
        while tokens.take(symbol: ",") { names.append(try tokens.name("a loop variable")) }
        guard tokens.take(name: "in") else { throw TemplateFault(.malformed, "a {% for %} has no `in`") }
        let sequence = try tokens.disjunction()
        let condition = tokens.take(name: "if") ? try tokens.expression() : nil
        if tokens.take(name: "recursive") { throw TemplateFault(.unsupported, "a recursive loop") }
        try tokens.requireEnd()
        loopDepth += 1
        defer { loopDepth -= 1 }
        let (nodes, end) = try body(until: ["else", "endfor"])
        var whenEmpty: [TemplateNode] = []
        if try end!.lastKeyword() == "else" { whenEmpty = try body(until: ["endfor"]).nodes }
        try end!.requireEnd()
        return .loop(
            TemplateLoop(
                names: names, sequence: sequence, condition: condition, body: nodes, whenEmpty: whenEmpty))
    }

    private mutating func assignment(_ tokens: inout TemplateTokens) throws(TemplateFault) -> TemplateNode {
        var targets = [try target(&tokens)]
        while tokens.take(symbol: ",") { targets.append(try target(&tokens)) }
        if tokens.take(symbol: "=") {
            let value = try tokens.expressionOrTuple()
            try tokens.requireEnd()
            return .assign(targets: targets, value)
        }
        try tokens.requireEnd()
        guard targets.count == 1 else { throw TemplateFault(.malformed, "a {% set %} has no value") }
        return .capture(targets[0], try body(until: ["endset"]).nodes)
    }

    private func target(_ tokens: inout TemplateTokens) throws(TemplateFault) -> TemplateTarget {
        let name = try tokens.name("what to set")
        let attribute = tokens.take(symbol: ".") ? try tokens.name("an attribute") : nil
        return TemplateTarget(name: name, attribute: attribute)
    }
}
