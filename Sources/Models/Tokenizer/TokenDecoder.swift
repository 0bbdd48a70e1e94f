/// The step that turns token texts back into text.
indirect enum TokenDecoder: Sendable {
    /// Characters of the byte alphabet back to bytes, then UTF-8 with U+FFFD for what is broken.
    case byteLevel
    case replace(pattern: [Unicode.Scalar], by: [Unicode.Scalar])
    /// Runs of `<0xHH>` back to characters.
    case byteFallback
    /// Joins all tokens.
    case fuse
    /// Removes up to so many of a scalar at either end of each token.
    case strip(Unicode.Scalar, start: Int, stop: Int)
    case metaspace(replacement: Unicode.Scalar, dropsFirst: Bool)
    case sequence([TokenDecoder])

    /// The texts that, joined, are the decoded text.
    func decode(_ tokens: [String]) -> [String] {
        switch self {
        case .byteLevel:
            return [String(decoding: tokens.flatMap(Self.bytes), as: UTF8.self)]
        case .replace(let pattern, let replacement):
            return tokens.map { token in
                String(scalars: replacing(pattern, by: replacement, in: Array(token.unicodeScalars)))
            }
        case .byteFallback:
            return Self.byteFallback(tokens)
        case .fuse:
            return [tokens.joined()]
        case .strip(let scalar, let start, let stop):
            return tokens.map { token in
                var scalars = Array(token.unicodeScalars)[...]
                for _ in 0..<start where scalars.first == scalar { scalars.removeFirst() }
                for _ in 0..<stop where scalars.last == scalar { scalars.removeLast() }
                return String(scalars: Array(scalars))
            }
        case .metaspace(let replacement, let dropsFirst):
            return tokens.enumerated().map { index, token in
                let scalars = token.unicodeScalars.compactMap { scalar in
                    scalar != replacement ? scalar : index == 0 && dropsFirst ? nil : " "
                }
                return String(scalars: scalars)
            }
        case .sequence(let steps):
            return steps.reduce(tokens) { $1.decode($0) }
        }
    }

    /// The bytes a byte-level token stands for; a token with a foreign character stands for itself.
    private static func bytes(_ token: String) -> [UInt8] {
        var bytes: [UInt8] = []
        for scalar in token.unicodeScalars {
            guard let byte = ByteAlphabet.byte(scalar) else { return Array(token.utf8) }
            bytes.append(byte)
        }
        return bytes
    }

    private static func byteFallback(_ tokens: [String]) -> [String] {
        var result: [String] = []
        var bytes: [UInt8] = []
        func flush() {
            guard !bytes.isEmpty else { return }
            if let text = String(validating: bytes, as: UTF8.self) {
                result.append(text)
            } else {
                result += Array(repeating: "\u{FFFD}", count: bytes.count)
            }
            bytes = []
        }
        for token in tokens {
            if let byte = fallbackByte(token) {
                bytes.append(byte)
            } else {
                flush()
                result.append(token)
            }
        }
        flush()
        return result
    }

    private static func fallbackByte(_ token: String) -> UInt8? {
        let text = token.utf8
        guard text.count == 6, text.starts(with: "<0x".utf8), text.last == UInt8(ascii: ">") else {
            return nil
        }
        return UInt8(String(token.dropFirst(3).dropLast()), radix: 16)
    }
}

extension String {
    init(scalars: some Sequence<Unicode.Scalar>) {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        self.init(view)
    }
}
