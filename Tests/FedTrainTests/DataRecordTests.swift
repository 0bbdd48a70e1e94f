import FedTrain
import Foundation
import Models
import Testing

@Suite struct DataRecordTests {
    /// Reads records from a file with this content.
    static func read(_ content: [UInt8]) throws -> [Record] {
        let path = NSTemporaryDirectory() + "fedtrain-records-\(UUID().uuidString).jsonl"
        try Data(content).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try RecordFile.read(path)
    }

    static func read(_ content: String) throws -> [Record] { try read(Array(content.utf8)) }

    @Test func everyKnownSpellingOfAnInstructionRecordIsRead() throws {
        let expected = Record(.instruction(instruction: "a", input: "b", output: "c"))
        for line in [
            #"{"instruction": "a", "input": "b", "output": "c"}"#,
            #"{"instruction": "a", "context": "b", "response": "c"}"#,
            #"{"question": "a", "context": "b", "answer": "c", "extra": [1]}"#,
            #"{"prompt": "a", "input": "b", "completion": "c"}"#,
        ] {
            #expect(try Self.read(line) == [expected])
        }
    }

    @Test func aMissingANullAndAnEmptyInputAreTheSame() throws {
        let expected = Record(.instruction(instruction: "a", input: "", output: "c"), category: "x")
        for line in [
            #"{"instruction": "a", "output": "c", "category": "x"}"#,
            #"{"instruction": "a", "input": null, "output": "c", "category": "x"}"#,
            #"{"instruction": "a", "input": "", "output": "c", "category": "x"}"#,
        ] {
            #expect(try Self.read(line) == [expected])
        }
    }

    @Test func textRecordsBlankLinesAndLineEndsAreRead() throws {
        let records = try Self.read("\u{FEFF}{\"text\": \"one\"}\r\n\n  \n{\"text\": \"two\"}")
        #expect(records == [Record(.text("one")), Record(.text("two"))])
        #expect(try Self.read("").isEmpty)
    }

    @Test func aJSONListIsReadToo() throws {
        #expect(try Self.read(" [\n{\"text\": \"one\"}, {\"text\": \"two\"}]\n").count == 2)
    }

    /// Content, line that the error must name, word of the message.
    static let bad: [(String, Int?, String)] = [
        ("{\"text\": \"a\"}\n{\"text\": ", 2, "not valid JSON"),
        ("{\"text\": \"a\"}\n\n{\"text\": 1}", 3, "must be a string"),
        ("[1]", nil, "record 1"), ("[{\"text\": \"a\"},\n\n", 3, "not valid JSON"),
        ("17", 1, "must be a JSON object"), ("{}", 1, "neither"),
        ("{\"output\": \"a\"}", 1, "neither"), ("{\"instruction\": \"a\"}", 1, "no \"output\""),
        ("{\"instruction\": \"secret\", \"output\": [\"secret\"]}", 1, "must be a string"),
    ]

    @Test(arguments: bad)
    func badFilesAreRefusedByLineWithoutQuotingTheData(content: String, line: Int?, word: String) throws {
        let error = #expect(throws: RecordFileError.self) { try Self.read(content) }
        #expect(error?.line == line)
        #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("secret") == false)
    }

    @Test func aMissingFileIsSaidToBeMissing() {
        let error = #expect(throws: RecordFileError.self) { try RecordFile.read("/nonexistent/file.jsonl") }
        #expect(error?.isMissing == true)
    }

    // MARK: Prompts

    @Test func aMissingInputLeavesNoTraceInAnyPrompt() {
        for template in PromptTemplate.allCases {
            let prompt = template.prompt(instruction: "Do it.", input: "")
            #expect(!prompt.contains("Input") && !prompt.contains("None") && !prompt.contains("null"))
            #expect(!prompt.contains("further context"))
        }
        #expect(PromptTemplate.plain.prompt(instruction: "Do it.", input: "") == "Do it.\n")
        #expect(PromptTemplate.plain.prompt(instruction: "", input: "x") == "x\n")
        #expect(PromptTemplate.plain.prompt(instruction: "Do it.", input: "x") == "Do it.\nx\n")
    }

    @Test(.enabled(if: DataFixtures.shared != nil))
    func realDataSetsAreRead() throws {
        let data = DataFixtures.shared! + "/data"
        #expect(try RecordFile.read(data + "/gsm8k/test.jsonl").count == 1319)
        #expect(try RecordFile.read(data + "/code-alpaca-2k/code_alpaca_2k.json").count == 2017)
        let client = try RecordFile.read(data + "/natural-instructions/client-00.train.jsonl")
        #expect(client.allSatisfy { $0.category != nil })
    }
}

enum DataFixtures {
    static let vectors = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Vectors").path

    /// The folder of larger data that is not part of the project, or nil.
    static let shared: String? = {
        let path =
            ProcessInfo.processInfo.environment["FEDTRAIN_SHARED"]
            ?? URL(fileURLWithPath: vectors).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("shared").path
        return FileManager.default.fileExists(atPath: path + "/data") ? path : nil
    }()

    static func json(_ path: String) throws -> JSON {
        try JSON.parse(Array(Data(contentsOf: URL(fileURLWithPath: path))))
    }

    static func tokenizer(_ kind: String) throws -> Tokenizer {
        try Tokenizer(json: try json("\(vectors)/tokenizers/\(kind).json")["tokenizer"]!, file: kind)
    }
}
