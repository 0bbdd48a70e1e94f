/// The step of a tokenizer that rewrites text before it is split.
indirect enum Normalizer: Sendable {
    /// Canonical composition, form C.
    case canonicalComposition
    /// Puts a string before a non-empty text.
    case prepend([Unicode.Scalar])
    /// Replaces every occurrence of a string.
    case replace(pattern: [Unicode.Scalar], by: [Unicode.Scalar])
    case sequence([Normalizer])

    func normalise(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
        switch self {
        case .canonicalComposition:
            return CanonicalComposition.shared.normalised(text)
        case .prepend(let prefix):
            return text.isEmpty ? text : prefix + text
        case .replace(let pattern, let replacement):
            return replacing(pattern, by: replacement, in: text)
        case .sequence(let steps):
            return steps.reduce(text) { $1.normalise($0) }
        }
    }
}

/// Replaces occurrences from left to right without overlap.
func replacing(
    _ pattern: [Unicode.Scalar], by replacement: [Unicode.Scalar], in text: [Unicode.Scalar]
) -> [Unicode.Scalar] {
    precondition(!pattern.isEmpty)
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(text.count)
    var position = 0
    while position < text.count {
        if text[position] == pattern[0], text[position...].starts(with: pattern) {
            result += replacement
            position += pattern.count
        } else {
            result.append(text[position])
            position += 1
        }
    }
    return result
}
