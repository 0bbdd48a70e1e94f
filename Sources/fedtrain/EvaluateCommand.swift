import ArgumentParser
import FedTrain
import Models

/// `fedtrain evaluate`: score a model, or texts that a model wrote, on held-out records.
struct EvaluateCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Score a model on a JSONL file.",
        discussion: """
            loss, perplexity: mean cross-entropy over predicted tokens (natural logarithm), and its \
            exponential. Of a text record every token after the first is predicted; of an instruction \
            record the answer. accuracy: records with context, choices and answer, scored by \
            log-likelihood. exact-match: greedy answers against the records' own, as a whole or by the \
            number in them (--rules). pass@k: HumanEval-style problems, whose programs run in a sandbox.
            """)

    enum Metric: String, ExpressibleByArgument, CaseIterable {
        case loss, perplexity, accuracy
        case exactMatch = "exact-match"
        case passAtK = "pass@k"
    }

    enum Overlong: String, ExpressibleByArgument, CaseIterable {
        case refuse, truncate, drop
    }

    enum Rules: String, ExpressibleByArgument, CaseIterable {
        case exact, strict, sentence, flexible
    }

    @OptionGroup var global: GlobalOptions
    @OptionGroup var source: ModelOptions

    @Option(help: "JSONL file of held-out records.")
    var data: String

    @Option(help: "What to measure.")
    var metric: Metric = .loss

    @Option(
        help:
            "How instruction records become text: plain, alpaca, text, or chat for the model's own template.")
    var template: PromptTemplate = .plain

    @Option(help: "Records longer than the model's window. A loss over cut records is not the file's.")
    var overlong: Overlong = .refuse

    @Option(
        help: "exact-match: the whole answer, or the number after `####`, after `The answer is`, or last.")
    var rules: Rules = .exact

    @Option(help: "exact-match: JSONL file of worked examples that precede every question.")
    var shots: String?

    @Option(help: "How many of them, from the start of the file.")
    var shotCount: Int = 8

    @Option(help: "Longest generated answer, in tokens.")
    var maxTokens: Int = 256

    @Option(help: "pass@k: samples per problem.")
    var samples: Int = 1

    @Option(help: "pass@k: each k to report (repeatable); not more than there are samples.")
    var k: [Int] = [1]

    @Option(help: "pass@k: 0 takes the likeliest token each time.")
    var temperature: Float = 0

    @Option(help: "pass@k: seconds that a program may take.")
    var timeout: Int = 3

    @Option(
        help: "Score these texts instead of asking a model: JSONL with completion, for pass@k also task_id.")
    var completions: String?

    @Flag(help: "pass@k: run generated programs with your own rights where no sandbox is to be had.")
    var allowUnsandboxed = false

    @Option(help: "Seed for sampling; a fresh one when not given.")
    var seed: UInt64?

    struct Payload: Encodable {
        let metric: String
        var loss: Double?
        var perplexity: Double?
        var tokens: Int?
        var exactMatch: Double?
        /// Shares of right choices: by log-likelihood, and divided by characters or bytes of the choice.
        var accuracy: Double?
        var normalisedAccuracy: Double?
        var bytesAccuracy: Double?
        /// By k.
        var passAtK: [String: Double]?
        var timedOut: Int?
        let records: Int
        var unusable = 0
    }

    func validate() throws {
        guard samples >= 1, k.allSatisfy({ $0 >= 1 }) else {
            throw ValidationError("--samples and --k are at least 1")
        }
        guard completions != nil || k.allSatisfy({ $0 <= samples }) else {
            throw ValidationError("--k is at most --samples")
        }
        guard maxTokens >= 1, timeout >= 1, shotCount >= 1, temperature >= 0 else {
            throw ValidationError(
                "--max-tokens, --timeout and --shot-count are at least 1, --temperature at least 0")
        }
        guard completions == nil || metric == .passAtK || (metric == .exactMatch && rules != .exact) else {
            throw ValidationError("--completions goes with pass@k, or with exact-match and --rules")
        }
    }

    func execute(_ console: Console) throws -> Payload {
        switch metric {
        case .loss, .perplexity: return try scoreLoss(console)
        case .accuracy: return try scoreChoices(console)
        case .exactMatch: return try rules == .exact ? scoreAnswers(console) : scoreNumbers(console)
        case .passAtK: return try scorePrograms(console)
        }
    }

    private func scoreLoss(_ console: Console) throws -> Payload {
        let (base, adapter) = try load(console)
        let records = try RecordFile.read(data)
        let tokenizer = try recordTokenizer(base, adapter)
        let set = tokenizer.examples(records)
        if overlong == .refuse { try refuseOverlong(records, set, tokenizer) }
        guard !set.examples.isEmpty else {
            throw CommandFailure(
                .badInput, "none of the \(records.count) records can be scored: \(set.summary)", at: data)
        }
        let result = try Evaluator(model: base.model, adapter: adapter).meanLoss(set.examples)
        return Payload(
            metric: metric.rawValue, loss: result.loss,
            perplexity: metric == .perplexity ? exponential(result.loss) : nil, tokens: result.tokens,
            records: set.examples.count, unusable: records.count - set.examples.count)
    }

    private func scoreAnswers(_ console: Console) throws -> Payload {
        let (base, adapter) = try load(console)
        let records = try RecordFile.read(data)
        let test = try FederationData.exactMatch(records, recordTokenizer(base, adapter))
        let score = try test.score(base: base, adapter: adapter)
        return Payload(
            metric: metric.rawValue, exactMatch: score.value, records: score.count,
            unusable: records.count - score.count)
    }

    func load(_ console: Console) throws -> (base: BaseModel, adapter: Adapter?) {
        let base = try source.loadBase(console)
        return (base, try source.loadAdapter(for: base))
    }

    private func recordTokenizer(_ base: BaseModel, _ adapter: Adapter?) throws -> RecordTokenizer {
        try RecordTokenizer(
            tokenizer: base.tokenizer, template: template,
            tokensMax: base.model.configuration.sequenceLengthMax - (adapter?.virtualTokens ?? 0),
            overlong: overlong == .truncate ? .truncate : .drop, endToken: base.endTokens.first)
    }

    private func refuseOverlong(
        _ records: [Record], _ set: TokenizedRecords, _ tokenizer: RecordTokenizer
    ) throws {
        guard set.unusableCounts[.tooLong] != nil,
            let index = try records.firstIndex(where: {
                try tokenizer.ids(of: $0).count > tokenizer.tokensMax
            })
        else { return }
        throw CommandFailure(
            .badInput,
            "record \(index + 1) has \(try tokenizer.ids(of: records[index]).count) tokens, "
                + "the model's window is \(tokenizer.tokensMax)",
            at: data, privacy: "nothing left this process",
            hint: "leave such records out, or say --overlong truncate or --overlong drop")
    }

    func describe(_ payload: Payload) -> String {
        if let perplexity = payload.perplexity, let tokens = payload.tokens {
            return "perplexity \(decimal(perplexity, 4)) over \(tokens) tokens of \(payload.records) records"
        }
        if let loss = payload.loss, let tokens = payload.tokens {
            return "loss \(decimal(loss, 6)) over \(tokens) tokens of \(payload.records) records"
        }
        if let accuracy = payload.accuracy, let normalised = payload.normalisedAccuracy {
            return
                "accuracy \(percent(accuracy)), by length \(percent(normalised)) of \(payload.records) questions"
        }
        if let passAtK = payload.passAtK {
            let parts = passAtK.sorted { Int($0.key)! < Int($1.key)! }
                .map { "pass@\($0.key) \(percent($0.value))" }
            return "\(parts.joined(separator: ", ")) of \(payload.records) problems"
        }
        return "exact match \(percent(payload.exactMatch ?? 0)) of \(payload.records) records"
    }
}
