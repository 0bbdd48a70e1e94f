/// Turns text into token ids and back, exactly as the Hugging Face `tokenizers` package does with
/// the same `tokenizer.json`.
///
/// Supported are byte-level and byte-fallback BPE with the components that Llama, Mistral, SmolLM,
/// Qwen 2 and GPT-2 tokenizers use. A file that asks for anything else is refused by name; nothing is
/// approximated. The file's truncation and padding settings are ignored, as `transformers` does.
public struct Tokenizer: Sendable {
    let model: BPEModel
    let normaliser: Normalizer?
    let preTokenizer: PreTokenizer?
    let decoder: TokenDecoder?
    /// Ids that the file's template puts before a text when special tokens are asked for.
    public let beginTokens: [Int32]
    /// Ids that the template puts after a text.
    public let endTokens: [Int32]
    public let addedTokens: [AddedToken]

    private let rawMatcher: AddedTokenMatcher
    private let normalisedMatcher: AddedTokenMatcher
    private let addedTexts: [Int32: AddedText]

    /// What an added token decodes to.
    private struct AddedText: Sendable {
        let text: String
        let isSkippable: Bool
    }

    /// What starts and ends a text by the model's convention, if `tokenizer_config.json` names it.
    public internal(set) var beginTokenID: Int32?
    public internal(set) var endTokenID: Int32?
    /// The directory's chat template, not yet read, and what it may print.
    var chat = ChatTemplateSource()

    init(
        model: BPEModel, normaliser: Normalizer?, preTokenizer: PreTokenizer?, decoder: TokenDecoder?,
        prefix: [Int32], suffix: [Int32], addedTokens: [AddedToken]
    ) {
        self.model = model
        self.normaliser = normaliser
        self.preTokenizer = preTokenizer
        self.decoder = decoder
        beginTokens = prefix
        endTokens = suffix
        self.addedTokens = addedTokens
        let raw = addedTokens.filter { !$0.isNormalised }
        let normalised = addedTokens.filter(\.isNormalised)
        let rawContents = raw.map { Array($0.content.unicodeScalars) }
        let normalisedContents = normalised.map {
            let content = Array($0.content.unicodeScalars)
            return normaliser?.normalise(content) ?? content
        }
        rawMatcher = AddedTokenMatcher(raw, contents: rawContents)
        normalisedMatcher = AddedTokenMatcher(normalised, contents: normalisedContents)

        // As in the `tokenizers` package: a token decodes to the text it is looked for as, and counts
        // as special only if that is the text of a special token.
        let specials = Set(addedTokens.filter(\.isSpecial).map { ByteString($0.content) })
        var texts: [Int32: AddedText] = [:]
        for (token, content) in zip(raw + normalised, rawContents + normalisedContents) {
            let text = String(scalars: content)
            texts[token.id] = AddedText(text: text, isSkippable: specials.contains(ByteString(text)))
        }
        addedTexts = texts
    }

    /// One more than the highest id.
    public var vocabularySize: Int {
        max(model.tokens.count, Int(addedTokens.map(\.id).max() ?? -1) + 1)
    }

    /// The id of a token given by its exact text, or nil.
    public func id(of token: String) -> Int32? {
        addedTokens.first { $0.content.utf8.elementsEqual(token.utf8) }?.id ?? model.id(of: token)
    }

    /// The text of a token as the vocabulary holds it, or nil.
    public func token(of id: Int32) -> String? {
        if let added = addedTexts[id] { return added.text }
        return model.tokens.indices.contains(Int(id)) ? model.tokens[Int(id)] : nil
    }

    /// The token ids of a text.
    /// - Parameter addSpecialTokens: whether the file's template puts its tokens (such as a begin
    ///   token) around the text. Special tokens written out in the text are found in any case.
    public func encode(_ text: String, addSpecialTokens: Bool = true) -> [Int32] {
        var ids = addSpecialTokens ? beginTokens : []
        let raw = Array(text.unicodeScalars)
        for part in rawMatcher.split(raw) {
            switch part {
            case .token(let id): ids.append(id)
            case .text(let range):
                encodeSection(Array(raw[range]), startsText: range.lowerBound == 0, into: &ids)
            }
        }
        if addSpecialTokens { ids += endTokens }
        return ids
    }

    private func encodeSection(_ raw: [Unicode.Scalar], startsText: Bool, into ids: inout [Int32]) {
        let text = normaliser?.normalise(raw) ?? raw
        for part in normalisedMatcher.split(text) {
            switch part {
            case .token(let id): ids.append(id)
            case .text(let range):
                var pieces = Pieces(
                    Array(text[range]), startsText: startsText && range.lowerBound == 0)
                preTokenizer?.apply(to: &pieces)
                for word in pieces.ranges { model.encode(pieces.scalars[word], into: &ids) }
            }
        }
    }

    /// The text of token ids. Ids outside the vocabulary are skipped; bytes that are no UTF-8 become
    /// U+FFFD.
    public func decode(_ ids: some Sequence<Int32>, skipSpecialTokens: Bool = false) -> String {
        let texts = ids.compactMap { id in
            skipSpecialTokens && addedTexts[id]?.isSkippable == true ? nil : token(of: id)
        }
        return decoder?.decode(texts).joined() ?? texts.joined(separator: " ")
    }
}
