import ArgumentParser
import FedTrain
import Models

/// `fedtrain evaluate`: the loss of a model on held-out records.
struct EvaluateCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Score a model on a JSONL file.",
        discussion: """
            `loss` is the mean cross-entropy over predicted tokens, natural logarithm. Of a text record \
            every token after the first is predicted; of an instruction record the answer.
            """)

    enum Metric: String, ExpressibleByArgument, CaseIterable {
        case loss
        case exactMatch = "exact-match"
    }

    @OptionGroup var global: GlobalOptions
    @OptionGroup var source: ModelOptions

    @Option(help: "JSONL file of held-out records.")
    var data: String

    @Option(help: "loss or exact-match.")
    var metric: Metric = .loss

    @Option(help: "How instruction records become text: plain or alpaca.")
    var template: PromptTemplate = .plain

    @Option(
        help:
            "Records longer than the model's window: refuse, truncate or drop them. A loss over cut records is not the file's."
    )
    var overlong: Overlong = .refuse

    enum Overlong: String, ExpressibleByArgument, CaseIterable {
        case refuse, truncate, drop
    }

    struct Payload: Encodable {
        let metric: String
        let loss: Double?
        let tokens: Int?
        let exactMatch: Double?
        let records: Int
        let unusable: Int
    }

    func execute(_ console: Console) throws -> Payload {
        let base = try source.loadBase(console)
        let adapter = try source.loadAdapter(for: base)
        let records = try RecordFile.read(data)
        let tokenizer = RecordTokenizer(
            tokenizer: base.tokenizer, template: template,
            tokensMax: base.model.configuration.sequenceLengthMax - (adapter?.virtualTokens ?? 0),
            overlong: overlong == .truncate ? .truncate : .drop, endToken: base.endTokens.first)
        switch metric {
        case .loss:
            let set = tokenizer.examples(records)
            if overlong == .refuse { try refuseOverlong(records, set, tokenizer) }
            guard !set.examples.isEmpty else {
                throw CommandFailure(
                    .badInput, "none of the \(records.count) records can be scored: \(set.summary)", at: data)
            }
            let result = try Evaluator(model: base.model, adapter: adapter).meanLoss(set.examples)
            return Payload(
                metric: metric.rawValue, loss: result.loss, tokens: result.tokens, exactMatch: nil,
                records: set.examples.count, unusable: records.count - set.examples.count)
        case .exactMatch:
            let test = FederationData.exactMatch(records, tokenizer)
            let score = try test.score(base: base, adapter: adapter)
            return Payload(
                metric: metric.rawValue, loss: nil, tokens: nil, exactMatch: score.value,
                records: score.count, unusable: records.count - score.count)
        }
    }

    private func refuseOverlong(
        _ records: [Record], _ set: TokenizedRecords, _ tokenizer: RecordTokenizer
    ) throws {
        guard set.unusableCounts[.tooLong] != nil,
            let index = records.firstIndex(where: { tokenizer.ids(of: $0).count > tokenizer.tokensMax })
        else { return }
        throw CommandFailure(
            .badInput,
            "record \(index + 1) has \(tokenizer.ids(of: records[index]).count) tokens, "
                + "the model's window is \(tokenizer.tokensMax)",
            at: data, privacy: "nothing left this process",
            hint: "leave such records out, or say --overlong truncate or --overlong drop")
    }

    func describe(_ payload: Payload) -> String {
        if let loss = payload.loss, let tokens = payload.tokens {
            return "loss \(decimal(loss, 6)) over \(tokens) tokens of \(payload.records) records"
        }
        return "exact match \(percent(payload.exactMatch ?? 0)) of \(payload.records) records"
    }
}
