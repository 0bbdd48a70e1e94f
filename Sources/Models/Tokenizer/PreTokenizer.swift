/// A text cut into pieces; the unit on which pre-tokenizers work.
struct Pieces {
    var scalars: [Unicode.Scalar]
    /// The end of each piece in `scalars`; the last equals its count. No piece is empty.
    var ends: [Int]
    /// Whether the first piece begins the text that the user gave.
    let startsText: Bool

    init(_ scalars: [Unicode.Scalar], startsText: Bool) {
        self.scalars = scalars
        ends = scalars.isEmpty ? [] : [scalars.count]
        self.startsText = startsText
    }

    var ranges: [Range<Int>] {
        zip([0] + ends.dropLast(), ends).map { $0..<$1 }
    }

    /// Cuts every piece further.
    mutating func split(_ appendEnds: ([Unicode.Scalar], Range<Int>, inout [Int]) -> Void) {
        var finer: [Int] = []
        finer.reserveCapacity(ends.count)
        for range in ranges { appendEnds(scalars, range, &finer) }
        ends = finer
    }

    /// Rewrites every piece.
    mutating func rewrite(
        _ append: (_ index: Int, ArraySlice<Unicode.Scalar>, inout [Unicode.Scalar]) -> Void
    ) {
        var rewritten: [Unicode.Scalar] = []
        rewritten.reserveCapacity(scalars.count + scalars.count / 4)
        var newEnds: [Int] = []
        newEnds.reserveCapacity(ends.count)
        for (index, range) in ranges.enumerated() {
            append(index, scalars[range], &rewritten)
            newEnds.append(rewritten.count)
        }
        scalars = rewritten
        ends = newEnds
    }
}

/// The step of a tokenizer that cuts text into the words within which BPE merges.
indirect enum PreTokenizer: Sendable {
    /// GPT-2's: optional leading space, optional GPT-2 expression, then bytes as characters.
    case byteLevel(addsPrefixSpace: Bool, usesRegex: Bool)
    case split(RegexSplitter)
    /// Numeric characters one by one, or in runs.
    case digits(individually: Bool)
    case metaspace(replacement: Unicode.Scalar, prepend: PrependScheme, splits: Bool)
    case sequence([PreTokenizer])

    enum PrependScheme: String, Sendable {
        case always, first, never
    }

    func apply(to pieces: inout Pieces) {
        switch self {
        case .byteLevel(let addsPrefixSpace, let usesRegex):
            if addsPrefixSpace { Self.prefix(&pieces, with: " ", onlyFirst: false) }
            if usesRegex { pieces.split(RegexSplitter.gpt2.appendEnds) }
            pieces.rewrite { _, piece, result in
                for scalar in piece {
                    if scalar.isASCII {
                        result.append(ByteAlphabet.scalars[Int(scalar.value)])
                    } else {
                        for byte in UTF8.encode(scalar)! { result.append(ByteAlphabet.scalars[Int(byte)]) }
                    }
                }
            }
        case .split(let splitter):
            pieces.split(splitter.appendEnds)
        case .digits(let individually):
            pieces.split { Self.appendDigitEnds($0, $1, individually: individually, to: &$2) }
        case .metaspace(let replacement, let prepend, let splits):
            for index in pieces.scalars.indices where pieces.scalars[index] == " " {
                pieces.scalars[index] = replacement
            }
            if prepend != .never { Self.prefix(&pieces, with: replacement, onlyFirst: prepend == .first) }
            if splits {
                pieces.split { text, range, ends in
                    for index in range.dropFirst() where text[index] == replacement { ends.append(index) }
                    ends.append(range.upperBound)
                }
            }
        case .sequence(let steps):
            for step in steps { step.apply(to: &pieces) }
        }
    }

    private static func prefix(_ pieces: inout Pieces, with scalar: Unicode.Scalar, onlyFirst: Bool) {
        let startsText = pieces.startsText
        pieces.rewrite { index, piece, result in
            if piece.first != scalar, !onlyFirst || (startsText && index == 0) { result.append(scalar) }
            result += piece
        }
    }

    private static func appendDigitEnds(
        _ text: [Unicode.Scalar], _ range: Range<Int>, individually: Bool, to ends: inout [Int]
    ) {
        let classes = ScalarClasses.shared
        var wasDigit = false
        for index in range {
            let isDigit = classes[text[index]].contains(.digit)
            let breaks = isDigit != wasDigit || (isDigit && individually)
            if breaks, index > range.lowerBound { ends.append(index) }
            wasDigit = isDigit
        }
        ends.append(range.upperBound)
    }
}
