import Foundation

/// Numbers taken out of worked answers, and when two of them are the same: the rules by which GSM8K is
/// scored in EleutherAI's lm-evaluation-harness.
public enum NumericAnswer {
    /// Where the answer stands.
    public enum Rule: String, Sendable, CaseIterable {
        /// After `#### `, as GSM8K's own solutions end.
        case strict
        /// After `The answer is `, up to a full stop: chain-of-thought prompts.
        case sentence
        /// The last number anywhere.
        case flexible
    }

    /// What an answer without a number counts as.
    static let none = "[invalid]"

    /// The answer in a text, by a rule.
    public static func extract(_ text: String, _ rule: Rule) -> String {
        let scalars = Array(text.unicodeScalars)
        switch rule {
        case .strict: return after("#### ", scalars, needsStop: false) ?? none
        case .sentence: return after("The answer is ", scalars, needsStop: true) ?? none
        case .flexible: return numbers(scalars).last ?? none
        }
    }

    /// Whether two answers are equal once commas, dollar signs, what stands before `#### ` and a final
    /// full stop are left out, and letters are lower case. 18 and 18.0 are not.
    public static func agree(_ a: String, _ b: String) -> Bool { normalised(a) == normalised(b) }

    static func normalised(_ answer: String) -> String {
        var text = answer.filter { $0 != "," && $0 != "$" }
        if let marker = text.range(of: "#### ", options: .backwards) {
            text = String(text[marker.upperBound...])
        }
        if text.hasSuffix(".") { text.removeLast() }
        return text.lowercased()
    }

    /// An optional minus and at least one digit, full stop or comma after the first `marker` that such a
    /// number follows; with `needsStop` one more character must come after it.
    private static func after(
        _ marker: String, _ text: [Unicode.Scalar], needsStop: Bool
    ) -> String? {
        let marker = Array(marker.unicodeScalars)
        for start in text.indices where text[start...].starts(with: marker) {
            let first = start + marker.count
            var end = first
            if end < text.count, text[end] == "-" { end += 1 }
            let digits = end
            while end < text.count, isNumeric(text[end]) { end += 1 }
            // The pattern's closing dot is any character but a line feed; giving back one digit finds it.
            if needsStop, end == text.count || text[end] == "\n" { end -= 1 }
            if end > digits { return string(text[first..<end]) }
        }
        return nil
    }

    /// Every number: two or more of `$0-9.,` after an optional minus, or digits after one.
    private static func numbers(_ text: [Unicode.Scalar]) -> [String] {
        var found: [String] = []
        var place = 0
        while place < text.count {
            let start = place
            let body = text[start] == "-" ? start + 1 : start
            var end = body
            while end < text.count, isNumeric(text[end]) || text[end] == "$" { end += 1 }
            if end - body < 2 {
                end = body
                while end < text.count, isDigit(text[end]) { end += 1 }
            }
            if end > body {
                found.append(string(text[start..<end]))
                place = end
            } else {
                place += 1
            }
        }
        return found
    }

    private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

    private static func isNumeric(_ scalar: Unicode.Scalar) -> Bool {
        isDigit(scalar) || scalar == "." || scalar == ","
    }

    private static func string(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
        String(String.UnicodeScalarView(scalars))
    }
}

/// A prompt that shows worked answers before the question: `Q:` and `A:`, a blank line between.
public struct FewShotPrompt: Sendable, Equatable {
    private let shots: String

    /// - Parameter shots: questions and worked answers, in order. `<<…>>` calculator marks are left out,
    ///   and the `#### ` of GSM8K becomes the sentence that `NumericAnswer.Rule.sentence` reads.
    public init(_ shots: [(question: String, answer: String)]) {
        self.shots = shots.map { "Q: \($0.question)\nA: \(Self.worked($0.answer))\n\n" }.joined()
    }

    public func text(_ question: String) -> String { "\(shots)Q: \(question)\nA:" }

    /// Where an answer ends: the next question begins.
    public static let stops = ["\nQ:", "\n\n"]

    static func worked(_ answer: String) -> String {
        var text = answer
        while let start = text.range(of: "<<"),
            let end = text.range(of: ">>", range: start.upperBound..<text.endIndex)
        {
            text.removeSubrange(start.lowerBound..<end.upperBound)
        }
        guard let marker = text.range(of: "\n#### ") else { return text }
        return "\(text[..<marker.lowerBound]) The answer is \(text[marker.upperBound...])."
    }
}
