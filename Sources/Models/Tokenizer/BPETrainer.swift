/// Makes a byte-level BPE vocabulary from texts: starting from the 256 bytes, the most frequent pair
/// of neighbours inside words becomes a token, again and again (Sennrich, Haddow, Birch 2016).
///
/// Deterministic: of equally frequent pairs the one with the smaller ids wins, as in the trainer of
/// the `tokenizers` package, whose result is the same. Words are cut by the GPT-2 expression after
/// every digit has been set apart, so that numbers are spelt digit by digit. Cost grows with merges ×
/// distinct pairs; meant for vocabularies of some thousand tokens.
public struct BPETrainer: Sendable {
    /// Target size: special tokens, 256 bytes, merges. Fewer if the texts run out of pairs.
    public let vocabularySize: Int
    /// Get the first ids, in this order.
    public let specialTokens: [String]
    /// The special token that the template puts before each text; nil for none.
    public let beginToken: String?
    /// A pair that occurs less often is not merged.
    public let countMin: Int

    /// - Precondition: room for the special tokens and 256 bytes; special tokens distinct, not empty;
    ///   `beginToken` among them.
    public init(
        vocabularySize: Int, specialTokens: [String], beginToken: String? = nil, countMin: Int = 2
    ) {
        precondition(vocabularySize >= 256 + specialTokens.count)
        precondition(specialTokens.allSatisfy { !$0.isEmpty })
        precondition(Set(specialTokens.map(ByteString.init)).count == specialTokens.count)
        precondition(beginToken == nil || specialTokens.contains(beginToken!))
        self.vocabularySize = vocabularySize
        self.specialTokens = specialTokens
        self.beginToken = beginToken
        self.countMin = max(1, countMin)
    }

    /// The `tokenizer.json` of the vocabulary learned from `texts`.
    ///
    /// `JSON.text(.indented)` is its file; `Tokenizer(trained:)` its tokenizer.
    public func train(_ texts: some Sequence<String>) -> JSON {
        var tokens = specialTokens
        // The byte alphabet in the order of its characters.
        let alphabet = ByteAlphabet.scalars.sorted()
        var symbolID: [Unicode.Scalar: Int32] = [:]
        for scalar in alphabet {
            symbolID[scalar] = Int32(tokens.count)
            tokens.append(String(scalars: [scalar]))
        }
        var words = WordCounts(texts, symbolID)
        var ids = Dictionary(uniqueKeysWithValues: tokens.enumerated().map { (ByteString($1), Int32($0)) })
        var merges: [(String, String)] = []
        while tokens.count < vocabularySize, let pair = words.mostFrequentPair(countMin: countMin) {
            let (left, right) = (tokens[Int(pair.left)], tokens[Int(pair.right)])
            let joined = left + right
            let id = ids[ByteString(joined)] ?? Int32(tokens.count)
            if id == Int32(tokens.count) {
                tokens.append(joined)
                ids[ByteString(joined)] = id
            }
            merges.append((left, right))
            words.merge(pair, into: id)
        }
        return document(tokens, merges)
    }

    private func document(_ tokens: [String], _ merges: [(String, String)]) -> JSON {
        let byteLevel: [JSON.Member] = [
            .init("type", .string("ByteLevel")), .init("add_prefix_space", .bool(false)),
            .init("trim_offsets", .bool(true)), .init("use_regex", .bool(true)),
        ]
        let digits: [JSON.Member] = [
            .init("type", .string("Digits")), .init("individual_digits", .bool(true)),
        ]
        let added = specialTokens.enumerated().map { id, content in
            JSON.object([
                .init("id", .integer(id)), .init("content", .string(content)),
                .init("single_word", .bool(false)), .init("lstrip", .bool(false)),
                .init("rstrip", .bool(false)), .init("normalized", .bool(false)),
                .init("special", .bool(true)),
            ])
        }
        let model: [JSON.Member] = [
            .init("type", .string("BPE")), .init("dropout", .null), .init("unk_token", .null),
            .init("continuing_subword_prefix", .null), .init("end_of_word_suffix", .null),
            .init("fuse_unk", .bool(false)), .init("byte_fallback", .bool(false)),
            .init("ignore_merges", .bool(false)),
            .init("vocab", .object(tokens.enumerated().map { .init($1, .integer($0)) })),
            .init("merges", .array(merges.map { .array([.string($0), .string($1)]) })),
        ]
        return .object([
            .init("version", .string("1.0")), .init("truncation", .null), .init("padding", .null),
            .init("added_tokens", .array(added)), .init("normalizer", .null),
            .init(
                "pre_tokenizer",
                .object([
                    .init("type", .string("Sequence")),
                    .init("pretokenizers", .array([.object(digits), .object(byteLevel)])),
                ])),
            .init("post_processor", template), .init("decoder", .object(byteLevel)),
            .init("model", .object(model)),
        ])
    }

    private var template: JSON {
        guard let beginToken else { return .null }
        let id = JSON.integer(specialTokens.firstIndex(of: beginToken)!)
        func text(_ name: String, _ type: Int) -> JSON {
            .object([
                .init("Sequence", .object([.init("id", .string(name)), .init("type_id", .integer(type))]))
            ])
        }
        let begin = JSON.object([
            .init(
                "SpecialToken",
                .object([.init("id", .string(beginToken)), .init("type_id", .integer(0))]))
        ])
        let definition = JSON.object([
            .init("id", .string(beginToken)), .init("ids", .array([id])),
            .init("tokens", .array([.string(beginToken)])),
        ])
        return .object([
            .init("type", .string("TemplateProcessing")),
            .init("single", .array([begin, text("A", 0)])),
            .init("pair", .array([begin, text("A", 0), text("B", 1)])),
            .init("special_tokens", .object([.init(beginToken, definition)])),
        ])
    }
}

extension Tokenizer {
    /// The tokenizer of a document that `BPETrainer` made.
    public init(trained document: JSON) {
        do {
            try self.init(json: document, file: "tokenizer.json")
        } catch {
            preconditionFailure("the trainer made a bad document: \(error)")
        }
    }
}

/// The distinct words of a corpus as symbol ids, with how often each pair of neighbours occurs.
private struct WordCounts {
    struct Pair: Hashable {
        let left: Int32
        let right: Int32
    }

    private var words: [[Int32]] = []
    private var counts: [Int] = []
    private var pairCounts: [Pair: Int] = [:]
    /// Words that held the pair when it was last counted up; may name words that no longer do.
    private var holders: [Pair: Set<Int>] = [:]

    init(_ texts: some Sequence<String>, _ symbolID: [Unicode.Scalar: Int32]) {
        let splitter = PreTokenizer.sequence([
            .digits(individually: true), .byteLevel(addsPrefixSpace: false, usesRegex: true),
        ])
        var wordCounts: [[Int32]: Int] = [:]
        for text in texts {
            var pieces = Pieces(Array(text.unicodeScalars), startsText: true)
            splitter.apply(to: &pieces)
            for range in pieces.ranges {
                wordCounts[pieces.scalars[range].map { symbolID[$0]! }, default: 0] += 1
            }
        }
        for (word, count) in wordCounts {
            words.append(word)
            counts.append(count)
            tally(words.count - 1, sign: 1)
        }
    }

    func mostFrequentPair(countMin: Int) -> Pair? {
        let best = pairCounts.max { first, second in
            if first.value != second.value { return first.value < second.value }
            return (first.key.left, first.key.right) > (second.key.left, second.key.right)
        }
        return best.flatMap { $0.value >= countMin ? $0.key : nil }
    }

    mutating func merge(_ pair: Pair, into id: Int32) {
        for index in holders[pair] ?? [] {
            tally(index, sign: -1)
            words[index] = joined(words[index], pair, id)
            tally(index, sign: 1)
        }
        holders[pair] = nil
        pairCounts[pair] = nil
    }

    /// Adds a word's pairs to the counts, or takes them away.
    private mutating func tally(_ index: Int, sign: Int) {
        let word = words[index]
        for (left, right) in zip(word, word.dropFirst()) {
            let pair = Pair(left: left, right: right)
            pairCounts[pair, default: 0] += sign * counts[index]
            if sign > 0 { holders[pair, default: []].insert(index) }
        }
    }

    private func joined(_ word: [Int32], _ pair: Pair, _ id: Int32) -> [Int32] {
        var result: [Int32] = []
        result.reserveCapacity(word.count)
        var position = 0
        while position < word.count {
            if position + 1 < word.count, word[position] == pair.left, word[position + 1] == pair.right {
                result.append(id)
                position += 2
            } else {
                result.append(word[position])
                position += 1
            }
        }
        return result
    }
}
