/// A token that is cut out of the text as a whole, before BPE sees it.
public struct AddedToken: Sendable, Equatable {
    public let id: Int32
    public let content: String
    /// Left out by `decode(skipSpecialTokens: true)`.
    public let isSpecial: Bool
    /// Matches only where no word character touches it.
    public let isSingleWord: Bool
    /// Takes the white space before it.
    public let stripsLeft: Bool
    /// Takes the white space after it.
    public let stripsRight: Bool
    /// Is looked for in the normalised text rather than in the raw text.
    public let isNormalised: Bool

    public init(
        id: Int32, content: String, isSpecial: Bool = true, isSingleWord: Bool = false,
        stripsLeft: Bool = false, stripsRight: Bool = false, isNormalised: Bool = false
    ) {
        self.id = id
        self.content = content
        self.isSpecial = isSpecial
        self.isSingleWord = isSingleWord
        self.stripsLeft = stripsLeft
        self.stripsRight = stripsRight
        self.isNormalised = isNormalised
    }
}

/// Finds added tokens in a text: leftmost first, among those the longest.
struct AddedTokenMatcher: Sendable {
    enum Part {
        case text(Range<Int>)
        case token(Int32)
    }

    private struct Pattern: Sendable {
        let scalars: [Unicode.Scalar]
        let token: AddedToken
    }

    /// Patterns by their first scalar, longest first.
    private let patterns: [Unicode.Scalar: [Pattern]]

    /// - Parameter contents: what to look for, in the order of `tokens`.
    init(_ tokens: [AddedToken], contents: [[Unicode.Scalar]]) {
        var patterns: [Unicode.Scalar: [Pattern]] = [:]
        for (token, content) in zip(tokens, contents) {
            guard let first = content.first else { continue }
            let known = patterns[first]?.contains { $0.scalars == content } ?? false
            // Of two tokens with the same content the first counts.
            if !known { patterns[first, default: []].append(Pattern(scalars: content, token: token)) }
        }
        self.patterns = patterns.mapValues { $0.sorted { $0.scalars.count > $1.scalars.count } }
    }

    func split(_ text: [Unicode.Scalar]) -> [Part] {
        guard !text.isEmpty else { return [] }
        guard !patterns.isEmpty else { return [.text(0..<text.count)] }
        var parts: [Part] = []
        var done = 0
        var position = 0
        while position < text.count {
            guard
                let pattern = patterns[text[position]]?
                    .first(where: { text[position...].starts(with: $0.scalars) })
            else {
                position += 1
                continue
            }
            var start = position
            var stop = position + pattern.scalars.count
            position = stop
            if pattern.token.isSingleWord, touchesWord(text, start, stop) { continue }
            if pattern.token.stripsLeft {
                while start > done, isSpace(text[start - 1]) { start -= 1 }
            }
            if pattern.token.stripsRight {
                while stop < text.count, isSpace(text[stop]) { stop += 1 }
            }
            if done < start { parts.append(.text(done..<start)) }
            parts.append(.token(pattern.token.id))
            done = stop
        }
        if done < text.count { parts.append(.text(done..<text.count)) }
        return parts
    }

    private func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        ScalarClasses.shared[scalar].contains(.space)
    }

    private func touchesWord(_ text: [Unicode.Scalar], _ start: Int, _ stop: Int) -> Bool {
        let classes = ScalarClasses.shared
        return (start > 0 && classes[text[start - 1]].contains(.word))
            || (stop < text.count && classes[text[stop]].contains(.word))
    }
}
