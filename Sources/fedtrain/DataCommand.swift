import ArgumentParser
import FedTrain
import Foundation
import Models

/// `fedtrain data`: data sets into the form that everything here reads, and into clients.
struct DataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data",
        abstract: "Prepare published data sets and deal them to clients; nothing is fetched.",
        subcommands: [DataPrepareCommand.self, DataSplitCommand.self])
}

extension RecordFormat: ExpressibleByArgument {}
extension StudySplit.Kind: ExpressibleByArgument {}

/// `fedtrain data prepare`: any known layout to JSON Lines, with a report of what is wrong with it.
struct DataPrepareCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "prepare",
        abstract:
            "Turn a data set into JSON Lines and report empty, repeated, overlong and overlapping records.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "Files of one data set, in order.", completion: .file())
    var files: [String]

    @Option(name: .shortAndLong, help: "The JSON Lines file to write; without it, report only.")
    var output: String?

    @Option(help: "The files' layout; guessed from each file when not given.")
    var format: RecordFormat?

    @Option(
        name: .customLong("field"), parsing: .singleValue,
        help: ArgumentHelp(
            "Where a field stands, for columns or keys of other names (repeatable).",
            valueName: "instruction=COLUMN"))
    var fields: [String] = []

    @Flag(help: "Keep records that repeat an earlier one.")
    var keepDuplicates = false

    @Option(help: "Records that the data must not contain: a test set, for example.", completion: .file())
    var against: String?

    @Flag(help: "Allow records that are also in --against.")
    var allowOverlap = false

    @Option(help: "Base model whose tokenizer and window lengths are measured with; `built-in` for ours.")
    var base: String?

    @Option(help: "How records become text, for lengths.")
    var template: PromptTemplate = .alpaca

    @Option(help: "Longest record in tokens; the model's window when not given.")
    var tokensMax: Int?

    @Option(help: "fs-llm: print the word None for a missing input, as FS-LLM does; for comparison only.")
    var compat: Compatibility?

    enum Compatibility: String, ExpressibleByArgument, CaseIterable {
        case fsLLM = "fs-llm"
    }

    struct Payload: Encodable {
        struct Category: Encodable {
            let name: String
            let count: Int
        }

        struct Lengths: Encodable {
            let tokensMax: Int
            let median: Int
            let longest: Int
            let overlong: Int
            let promptFillsWindow: Int
        }

        let read: Int
        let kept: Int
        let emptyAnswers: Int
        let duplicates: Int
        let contradictions: Int
        let noneInputs: Int
        let categories: [Category]
        var lengths: Lengths?
        var overlapRecords: Int?
        var overlapPrompts: Int?
        var output: String?
        let text: String

        enum CodingKeys: String, CodingKey {
            case read, kept, emptyAnswers, duplicates, contradictions, noneInputs, categories, lengths
            case overlapRecords, overlapPrompts, output
        }
    }

    func execute(_ console: Console) throws -> Payload {
        if compat != nil { console.warn("compat fs-llm reproduces a defect; for comparison only") }
        var preparation = DataPreparation()
        preparation.keepsDuplicates = keepDuplicates
        let (records, report) = preparation.prepare(try files.flatMap { try read($0) })
        var text = report.lines
        var lengths: Payload.Lengths?
        if let base {
            let model = try BaseModel.load(
                directory: base == "built-in" ? try BuiltInModel.directory() : base)
            let window = min(tokensMax ?? .max, model.model.configuration.sequenceLengthMax)
            let found = try WindowReport(
                records,
                tokenizer: try RecordTokenizer(
                    tokenizer: model.tokenizer, template: template, tokensMax: max(4, window),
                    endToken: model.endTokens.first))
            lengths = .init(
                tokensMax: window, median: found.median, longest: found.longest, overlong: found.overlong,
                promptFillsWindow: found.promptFillsWindow)
            text.append(
                "\(found.overlong) longer than \(window) tokens (median \(found.median), longest \(found.longest)); "
                    + "in \(found.promptFillsWindow) the prompt alone fills the window")
        }
        var overlap: RecordOverlap?
        if let against {
            let found = RecordOverlap(trained: records, tested: try read(against))
            overlap = found
            text.append(
                "\(found.records) records of \(against) are among them, \(found.prompts) have the same prompt"
            )
            guard found.records == 0 || allowOverlap else {
                throw CommandFailure(
                    .badInput,
                    "\(found.records) of its records are also in the data: a test on them measures memory",
                    at: against, privacy: "nothing was written",
                    hint: "take them out, or say --allow-overlap")
            }
        }
        if let output {
            try RecordWriter.write(records, to: output)
            text.append("wrote \(output)")
        }
        return Payload(
            read: report.read, kept: report.kept, emptyAnswers: report.emptyAnswers,
            duplicates: report.duplicates, contradictions: report.contradictions,
            noneInputs: report.noneInputs,
            categories: report.categories.map { .init(name: $0.name, count: $0.count) }, lengths: lengths,
            overlapRecords: overlap?.records, overlapPrompts: overlap?.prompts, output: output,
            text: text.joined(separator: "\n"))
    }

    func describe(_ payload: Payload) -> String { payload.text }

    private func read(_ file: String) throws -> [Record] {
        let bytes = try RecordFile.bytes(file)
        let reader = RecordReader(
            format: format ?? .guess(path: file, bytes), fields: try names(), writesNone: compat != nil)
        return try reader.records(bytes, file: file)
    }

    private func names() throws -> [String: String] {
        var names: [String: String] = [:]
        for field in fields {
            let parts = field.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, RecordReader.fieldNames.contains(parts[0]) else {
                throw CommandFailure(
                    .usage, "`--field \(field)` is not of the form field=column",
                    hint: "fields are \(RecordReader.fieldNames.joined(separator: ", "))")
            }
            names[parts[0]] = parts[1]
        }
        return names
    }
}

/// `fedtrain data split`: a pool of records dealt to clients, with a picture of who holds what.
struct DataSplitCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "split",
        abstract: "Deal prepared records to clients: one training, validation and test file each.",
        discussion: """
            A client's validation and test records follow the same proportions as its training records. The \
            same seed gives the same files.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "Files of prepared records.", completion: .file())
    var files: [String]

    @Option(name: .shortAndLong, help: "Directory to write client files and `holdings.svg` to.")
    var output: String?

    @Option(help: "How the records are dealt.")
    var kind: StudySplit.Kind = .iid

    @Option(help: "How many clients.")
    var clients: Int = 8

    @Option(help: "Of dirichlet and quantity: the smaller, the more clients differ.")
    var concentration: Double = 0.5

    @Option(help: "Share of records that become validation records.")
    var validationShare: Double = 0.1

    @Option(help: "Share of records that become test records.")
    var testShare: Double = 0.1

    @Option(help: "Everything random follows from it.")
    var seed: UInt64 = 1

    struct Payload: Encodable {
        struct Client: Encodable {
            let name: String
            let train: Int
            let validation: Int
            let test: Int
        }

        let clients: [Client]
        let digest: String
        var output: String?
        let text: String

        enum CodingKeys: String, CodingKey {
            case clients, digest, output
        }
    }

    func validate() throws {
        guard kind != .natural else {
            throw ValidationError("natural is what files already are: give them to data.clients as they come")
        }
        guard clients >= 2, concentration > 0, validationShare >= 0, testShare >= 0,
            validationShare + testShare < 1
        else {
            throw ValidationError(
                "--clients is at least 2, --concentration above 0, both shares at least 0 and together below 1"
            )
        }
    }

    func execute(_ console: Console) throws -> Payload {
        let records = DataPreparation().prepare(try files.flatMap { try RecordFile.read($0) }).records
        let parts = RecordSplit.cut(
            records, shares: [1 - validationShare - testShare, validationShare, testShare], seed: seed
        ).map { part in part.map { records[$0] } }
        let split = try ClientSplit(
            train: parts[0], validation: parts[1], test: parts[2],
            by: StudySplit(kind: kind, clients: clients, concentration: concentration).recordSplit!,
            clients: clients, seed: seed)
        let picture = HoldingsPicture(split)
        var text = picture.text
        if let output {
            try split.write(to: output, picture: picture)
            text += "\nwrote \(output)/*.train.jsonl, .validation.jsonl, .test.jsonl and holdings.svg"
        }
        return Payload(
            clients: split.clients.map {
                .init(
                    name: $0.name, train: $0.train.count, validation: $0.validation.count, test: $0.test.count
                )
            }, digest: split.digest.hex, output: output, text: text)
    }

    func describe(_ payload: Payload) -> String { payload.text }
}
