import Sodium

/// A key's name for people: hexadecimal to compare by eye, words to read out on the telephone.
///
/// 80 bits of BLAKE2b-256 over a label and the key: enough against someone who makes keys until one
/// looks right.
package struct Fingerprint: Hashable, Sendable, CustomStringConvertible {
    private let bytes: [UInt8]

    package init(of key: VerifyingKey) {
        self.init(of: Digest.labelled("fedtrain/v1/fingerprint", [key.bytes]))
    }

    package init(of digest: Digest) { bytes = Array(digest.bytes.prefix(10)) }

    /// `a1b2 c3d4 …`: five groups of four digits.
    package var hex: String {
        stride(from: 0, to: bytes.count, by: 2).map { hexString(bytes[$0..<$0 + 2]) }
            .joined(separator: " ")
    }

    /// Ten words, one for each byte.
    package var words: String { bytes.map { Self.wordList[Int($0)] }.joined(separator: " ") }

    package var description: String { hex }

    /// Whether a person's text is this fingerprint, in either form.
    package func matches(_ text: String) -> Bool {
        let plain = text.lowercased().split(whereSeparator: { !$0.isLetter && !$0.isNumber })
        return plain.joined() == hex.filter { $0 != " " }
            || plain.joined(separator: " ") == words
    }
}
