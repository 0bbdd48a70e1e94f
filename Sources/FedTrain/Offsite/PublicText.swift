import Models

/// Text that an owner may show to anyone: what emulators are taught, measured and attacked with.
public struct PublicText: Sendable {
    public let training: [TokenizedExample]
    public let heldOut: [TokenizedExample]
    /// What it is, for reports.
    public let statement: String

    /// One record in ten is held out.
    private static let heldOutEvery = 10

    /// - Parameters:
    ///   - file: JSONL; nil takes the generated text that the built-in model was made from.
    ///   - countMax: records taken from the start.
    /// - Throws: `RecordFileError`, or `OffsiteError.noPublicText` for less than ten usable records.
    public init(file: String?, base: BaseModel, countMax: Int = 4000) throws {
        let records =
            try file.map { Array(try RecordFile.read($0).prefix(countMax)) }
            ?? PublicCorpus(seed: Self.generatedSeed).prefix(countMax).map { Record($0) }
        let tokenizer = try RecordTokenizer(
            tokenizer: base.tokenizer, template: .text,
            tokensMax: base.model.configuration.sequenceLengthMax, endToken: base.endTokens.first)
        let examples = tokenizer.examples(records).examples
        guard examples.count >= Self.heldOutEvery else {
            throw OffsiteError.noPublicText(
                "\(file ?? "generated text"): \(examples.count) usable records; at least "
                    + "\(Self.heldOutEvery) are needed")
        }
        var (training, heldOut): ([TokenizedExample], [TokenizedExample]) = ([], [])
        for (index, example) in examples.enumerated() {
            if index % Self.heldOutEvery == Self.heldOutEvery - 1 {
                heldOut.append(example)
            } else {
                training.append(example)
            }
        }
        self.training = training
        self.heldOut = Array(heldOut.prefix(200))
        statement = "\(examples.count) records of \(file ?? "generated text")"
    }

    /// Another stretch of the generated text than the built-in model saw.
    private static let generatedSeed: UInt64 = 77_001
}
