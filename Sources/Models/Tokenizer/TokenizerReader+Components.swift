extension TokenizerReader {
    private func type(_ json: JSON, of role: String) throws(CheckpointError) -> String {
        guard let type = json["type"]?.string else { throw malformed("a \(role) has no type") }
        return type
    }

    private func steps(_ json: JSON, _ key: String) throws(CheckpointError) -> [JSON] {
        guard let steps = json[key]?.array else { throw malformed("a Sequence has no \(key)") }
        return steps
    }

    private func scalars(_ json: JSON, _ key: String) throws(CheckpointError) -> [Unicode.Scalar] {
        guard let text = json[key]?.string else { throw malformed("\(key) is missing or no string") }
        return Array(text.unicodeScalars)
    }

    private func scalar(_ json: JSON, _ key: String) throws(CheckpointError) -> Unicode.Scalar {
        let scalars = try scalars(json, key)
        guard scalars.count == 1 else { throw malformed("\(key) must be one character") }
        return scalars[0]
    }

    private func pattern(_ json: JSON, of component: String) throws(CheckpointError) -> [Unicode.Scalar] {
        guard let pattern = json["pattern"]?["String"]?.string else {
            throw unsupported("\(component) with a regular expression")
        }
        guard !pattern.isEmpty else { throw malformed("\(component) has an empty pattern") }
        return Array(pattern.unicodeScalars)
    }

    func normaliser(_ json: JSON?) throws(CheckpointError) -> Normalizer? {
        guard let json, !json.isNull else { return nil }
        switch try type(json, of: "normalizer") {
        case "NFC": return .canonicalComposition
        case "Prepend": return .prepend(try scalars(json, "prepend"))
        case "Replace":
            return .replace(
                pattern: try pattern(json, of: "normalizer Replace"), by: try scalars(json, "content"))
        case "Sequence":
            var sequence: [Normalizer] = []
            for step in try steps(json, "normalizers") {
                if let step = try normaliser(step) { sequence.append(step) }
            }
            return .sequence(sequence)
        case let other: throw unsupported("normalizer \(other)")
        }
    }

    func preTokenizer(_ json: JSON?) throws(CheckpointError) -> PreTokenizer? {
        guard let json, !json.isNull else { return nil }
        switch try type(json, of: "pre-tokenizer") {
        case "ByteLevel":
            return .byteLevel(
                addsPrefixSpace: json["add_prefix_space"]?.boolean ?? true,
                usesRegex: json["use_regex"]?.boolean ?? true)
        case "Split":
            let expression = json["pattern"]?["Regex"]?.string
            guard let splitter = RegexSplitter.allCases.first(where: { $0.pattern == expression }) else {
                throw unsupported(
                    "pre-tokenizer Split by \(expression ?? "a string"), unlike GPT-2, Llama 3 and Qwen 2,")
            }
            guard json["behavior"]?.string == "Isolated", json["invert"]?.boolean != true else {
                throw unsupported("pre-tokenizer Split with a behavior other than Isolated")
            }
            return .split(splitter)
        case "Digits":
            return .digits(individually: json["individual_digits"]?.boolean ?? false)
        case "Metaspace":
            return .metaspace(
                replacement: try scalar(json, "replacement"), prepend: try prependScheme(json),
                splits: json["split"]?.boolean ?? true)
        case "Sequence":
            var sequence: [PreTokenizer] = []
            for step in try steps(json, "pretokenizers") {
                if let step = try preTokenizer(step) { sequence.append(step) }
            }
            return .sequence(sequence)
        case let other: throw unsupported("pre-tokenizer \(other)")
        }
    }

    private func prependScheme(_ json: JSON) throws(CheckpointError) -> PreTokenizer.PrependScheme {
        // Files from before the scheme existed say it with a flag.
        guard let name = json["prepend_scheme"]?.string else {
            return json["add_prefix_space"]?.boolean == false ? .never : .always
        }
        guard let scheme = PreTokenizer.PrependScheme(rawValue: name) else {
            throw unsupported("prepend_scheme \(name)")
        }
        return scheme
    }

    func decoder(_ json: JSON?) throws(CheckpointError) -> TokenDecoder? {
        guard let json, !json.isNull else { return nil }
        switch try type(json, of: "decoder") {
        case "ByteLevel": return .byteLevel
        case "ByteFallback": return .byteFallback
        case "Fuse": return .fuse
        case "Replace":
            return .replace(
                pattern: try pattern(json, of: "decoder Replace"), by: try scalars(json, "content"))
        case "Strip":
            guard let start = json["start"]?.integer, let stop = json["stop"]?.integer, start >= 0, stop >= 0
            else { throw malformed("decoder Strip lacks start or stop") }
            return .strip(try scalar(json, "content"), start: start, stop: stop)
        case "Metaspace":
            return .metaspace(
                replacement: try scalar(json, "replacement"), dropsFirst: try prependScheme(json) != .never)
        case "Sequence":
            var sequence: [TokenDecoder] = []
            for step in try steps(json, "decoders") {
                if let step = try decoder(step) { sequence.append(step) }
            }
            return .sequence(sequence)
        case let other: throw unsupported("decoder \(other)")
        }
    }

    // MARK: Template

    /// The ids that the post-processor puts around a single text.
    func template(
        _ json: JSON?, model: BPEModel, added: [AddedToken]
    ) throws(CheckpointError) -> (prefix: [Int32], suffix: [Int32]) {
        guard let json, !json.isNull else { return ([], []) }
        switch try type(json, of: "post-processor") {
        case "ByteLevel":
            // Changes offsets only, which we do not have.
            return ([], [])
        case "TemplateProcessing":
            return try templateProcessing(json)
        case "Sequence":
            var result: (prefix: [Int32], suffix: [Int32]) = ([], [])
            for step in try steps(json, "processors") {
                let (prefix, suffix) = try template(step, model: model, added: added)
                result = (prefix + result.prefix, result.suffix + suffix)
            }
            return result
        case let other: throw unsupported("post-processor \(other)")
        }
    }

    private func templateProcessing(
        _ json: JSON
    ) throws(CheckpointError) -> (prefix: [Int32], suffix: [Int32]) {
        guard let pieces = json["single"]?.array else { throw malformed("TemplateProcessing has no single") }
        var prefix: [Int32] = []
        var suffix: [Int32] = []
        var textsSeen = 0
        for piece in pieces {
            if let name = piece["SpecialToken"]?["id"]?.string {
                guard let ids = json["special_tokens"]?[name]?["ids"]?.array else {
                    throw malformed("TemplateProcessing does not define \(name)")
                }
                for value in ids {
                    guard let id = value.integer, (0...Self.idMax).contains(id) else {
                        throw malformed("TemplateProcessing has a bad id for \(name)")
                    }
                    if textsSeen == 0 { prefix.append(Int32(id)) } else { suffix.append(Int32(id)) }
                }
            } else if piece["Sequence"]?["id"]?.string == "A" {
                textsSeen += 1
            } else {
                throw unsupported("post-processor TemplateProcessing with a piece other than A for one text")
            }
        }
        guard textsSeen == 1 else { throw malformed("TemplateProcessing must hold the text once") }
        return (prefix, suffix)
    }
}
