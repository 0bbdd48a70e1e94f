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
            tokensMax: base.model.configuration.sequenceLengthMax, endToken: base.endTokens.first)
        switch metric {
        case .loss:
            let set = tokenizer.examples(records)
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

    func describe(_ payload: Payload) -> String {
        if let loss = payload.loss, let tokens = payload.tokens {
            return "loss \(decimal(loss, 6)) over \(tokens) tokens of \(payload.records) records"
        }
        return "exact match \(percent(payload.exactMatch ?? 0)) of \(payload.records) records"
    }
}
