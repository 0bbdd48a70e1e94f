/// The three regular expressions by which byte-level tokenizers cut text into words, each as a
/// hand-written automaton over Unicode scalars.
///
/// Swift's own `Regex` matches grapheme clusters, in which "\r\n" is one character, and takes its
/// tables from the platform; both would change token ids.
enum RegexSplitter: Sendable, CaseIterable {
    /// GPT-2.
    case gpt2
    /// Llama 3: up to three digits a word.
    case llama3
    /// Qwen 2: every digit a word.
    case qwen2

    /// The expression, letter for letter as tokenizer files hold it.
    var pattern: String {
        switch self {
        case .gpt2:
            return #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
        case .llama3:
            return
                #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        case .qwen2:
            return
                #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        }
    }

    /// Appends the end of each word of `text[range]`, in order. The words cover the range.
    func appendEnds(of text: [Unicode.Scalar], in range: Range<Int>, to ends: inout [Int]) {
        let cursor = Cursor(text: text, end: range.upperBound, classes: .shared)
        var position = range.lowerBound
        while position < range.upperBound {
            position = self == .gpt2 ? cursor.gpt2Word(position) : word(cursor, position)
            ends.append(position)
        }
    }

    private func word(_ cursor: Cursor, _ start: Int) -> Int {
        cursor.laterWord(start, digitsMax: self == .llama3 ? 3 : 1)
    }
}

/// The end of the word that starts at a position. Each method tries the alternatives of its
/// expression in their order; each step names the alternative.
private struct Cursor {
    let text: [Unicode.Scalar]
    let end: Int
    let classes: ScalarClasses

    func gpt2Word(_ start: Int) -> Int {
        // 's|'t|'re|'ve|'m|'ll|'d
        if let stop = contraction(start, ignoringCase: false) { return stop }
        // ` ?` before letters, before numbers, before anything else that is not white space
        let first = text[start] == " " && start + 1 < end ? start + 1 : start
        let kind = classes[text[first]]
        if kind.contains(.letter) { return run(first) { $0.contains(.letter) } }
        if kind.contains(.number) { return run(first) { $0.contains(.number) } }
        if !kind.contains(.space) { return run(first, while: isOther) }
        return spaces(start)
    }

    func laterWord(_ start: Int, digitsMax: Int) -> Int {
        // (?i:'s|'t|'re|'ve|'m|'ll|'d)
        if let stop = contraction(start, ignoringCase: true) { return stop }
        let scalar = text[start]
        let kind = classes[scalar]
        // [^\r\n\p{L}\p{N}]?\p{L}+
        if kind.contains(.letter) { return run(start) { $0.contains(.letter) } }
        if scalar != "\r", scalar != "\n", !kind.contains(.number), start + 1 < end,
            classes[text[start + 1]].contains(.letter)
        {
            return run(start + 1) { $0.contains(.letter) }
        }
        // \p{N}{1,3} or \p{N}
        if kind.contains(.number) {
            return min(run(start) { $0.contains(.number) }, start + digitsMax)
        }
        // ` ?[^\s\p{L}\p{N}]+[\r\n]*`
        let first = scalar == " " && start + 1 < end ? start + 1 : start
        if isOther(classes[text[first]]) {
            var stop = run(first, while: isOther)
            while stop < end, text[stop] == "\r" || text[stop] == "\n" { stop += 1 }
            return stop
        }
        // \s*[\r\n]+ : up to the last line break of the white space
        let stop = run(start) { $0.contains(.space) }
        if let lineBreak = text[start..<stop].lastIndex(where: { $0 == "\r" || $0 == "\n" }) {
            return lineBreak + 1
        }
        return spaces(start)
    }

    /// `\s+(?!\S)|\s+`: all white space at the end of the text, else all but the last, which may
    /// belong to the next word; a single one stands alone.
    private func spaces(_ start: Int) -> Int {
        let stop = run(start) { $0.contains(.space) }
        return stop == end || stop == start + 1 ? stop : stop - 1
    }

    private func isOther(_ kind: ScalarClasses.Class) -> Bool {
        kind.isDisjoint(with: [.letter, .number, .space])
    }

    private func run(_ start: Int, while condition: (ScalarClasses.Class) -> Bool) -> Int {
        var position = start
        while position < end, condition(classes[text[position]]) { position += 1 }
        return position
    }

    private func contraction(_ start: Int, ignoringCase: Bool) -> Int? {
        guard text[start] == "'", start + 1 < end else { return nil }
        let first = folded(text[start + 1], ignoringCase)
        if first == "s" || first == "t" || first == "m" || first == "d" { return start + 2 }
        guard start + 2 < end else { return nil }
        switch (first, folded(text[start + 2], ignoringCase)) {
        case ("r", "e"), ("v", "e"), ("l", "l"): return start + 3
        default: return nil
        }
    }

    private func folded(_ scalar: Unicode.Scalar, _ ignoringCase: Bool) -> Unicode.Scalar {
        guard ignoringCase else { return scalar }
        // LATIN SMALL LETTER LONG S folds to s.
        if scalar == "\u{17F}" { return "s" }
        return ("A"..."Z").contains(scalar) ? Unicode.Scalar(scalar.value + 32)! : scalar
    }
}
