import ArgumentParser
import FedTrain
import Models

/// `fedtrain tokenize`: the token ids that a model would see.
struct TokenizeCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize", abstract: "Print the token ids of each record of a JSONL file.")

    @OptionGroup var global: GlobalOptions

    @Option(help: "Hugging Face directory of the model; the built-in one when not given.")
    var base: String?

    @Option(help: "JSONL file of records.")
    var data: String

    @Option(
        help:
            "How instruction records become text: plain, alpaca, text, or chat for the model's own template.")
    var template: PromptTemplate = .plain

    struct Payload: Encodable {
        struct Record: Encodable {
            let ids: [Int32]
            let decoded: String
        }

        let records: [Record]
    }

    func execute(_ console: Console) throws -> Payload {
        let tokenizer = try Tokenizer(directory: base ?? BuiltInModel.directory())
        let records = try RecordFile.read(data)
        let recordTokenizer = try RecordTokenizer(tokenizer: tokenizer, template: template)
        return Payload(
            records: try records.map { record in
                let ids = try recordTokenizer.ids(of: record)
                return Payload.Record(ids: ids, decoded: tokenizer.decode(ids, skipSpecialTokens: true))
            })
    }

    func describe(_ payload: Payload) -> String {
        payload.records.map { $0.ids.map(String.init).joined(separator: " ") }.joined(separator: "\n")
    }
}
