extension Tokenizer {
    /// Loads `tokenizer.json` and, if it is there, `tokenizer_config.json` of a model directory.
    /// - Throws: `CheckpointError` naming file and component.
    public init(directory: String) throws(CheckpointError) {
        try self.init(file: directory + "/tokenizer.json")
        let path = directory + "/tokenizer_config.json"
        if fileExists(path) { try apply(configuration: try readJSONObject(path), file: path) }
        try chat.takeFile(in: directory)
    }

    /// Loads a `tokenizer.json`.
    public init(file: String) throws(CheckpointError) {
        try self.init(json: try readJSONObject(file), file: file)
    }

    /// - Parameter file: the path that error messages name.
    package init(json: JSON, file: String) throws(CheckpointError) {
        let reader = TokenizerReader(file: file)
        let model = try reader.model(json["model"])
        let added = try reader.addedTokens(json["added_tokens"], model: model)
        let template = try reader.template(json["post_processor"], model: model, added: added)
        self.init(
            model: model,
            normaliser: try reader.normaliser(json["normalizer"]),
            preTokenizer: try reader.preTokenizer(json["pre_tokenizer"]),
            decoder: try reader.decoder(json["decoder"]),
            prefix: template.prefix, suffix: template.suffix, addedTokens: added)
    }

    /// Takes begin and end tokens from `tokenizer_config.json`, and refuses settings by which
    /// Python would override the template of `tokenizer.json`.
    private mutating func apply(configuration: JSON, file: String) throws(CheckpointError) {
        beginTokenID = try namedToken("bos_token", in: configuration, file: file)
        endTokenID = try namedToken("eos_token", in: configuration, file: file)
        chat = ChatTemplateSource(configuration: configuration, file: file)
        let claims = [
            ("add_bos_token", beginTokenID, beginTokenID.map { beginTokens.first == $0 }),
            ("add_eos_token", endTokenID, endTokenID.map { endTokens.last == $0 }),
        ]
        for (key, id, isInTemplate) in claims {
            guard let claim = configuration[key]?.boolean, id != nil, claim != isInTemplate else { continue }
            throw CheckpointError(
                .unsupported, file: file,
                "\(key) is \(claim), but the post_processor of tokenizer.json says otherwise",
                hint: "Save the tokenizer again with transformers so that both agree")
        }
    }

    private func namedToken(
        _ key: String, in configuration: JSON, file: String
    ) throws(CheckpointError) -> Int32? {
        guard let value = configuration[key], !value.isNull else { return nil }
        guard let content = value.string ?? value["content"]?.string else {
            throw CheckpointError(.malformed, file: file, "\(key) is neither a string nor a token")
        }
        guard let id = id(of: content) else {
            throw CheckpointError(
                .mismatch, file: file, "\(key) \(content) is not in the vocabulary of tokenizer.json")
        }
        return id
    }
}
