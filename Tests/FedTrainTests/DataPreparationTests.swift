import FedTrain
import Foundation
import Models
import Testing

@Suite struct DataPreparationTests {
    static func read(_ format: RecordFormat, _ text: String, writesNone: Bool = false) throws -> [Record] {
        try RecordReader(format: format, writesNone: writesNone).records(Array(text.utf8), file: "f")
    }

    static func record(_ instruction: String, _ input: String, _ output: String, _ category: String?)
        -> Record
    {
        Record(.instruction(instruction: instruction, input: input, output: output), category: category)
    }

    @Test func everyPublishedLayoutBecomesOneForm() throws {
        #expect(
            try Self.read(.alpaca, #"[{"instruction": "a", "input": "b", "output": "c"}]"#)
                == [Self.record("a", "b", "c", nil)])
        #expect(
            try Self.read(.dolly, #"{"instruction": "a", "context": "", "response": "c", "category": "qa"}"#)
                == [Self.record("a", "", "c", "qa")])
        #expect(
            try Self.read(
                .gsm8k,
                #"{"question": "q?", "answer": "He has 2+3=<<2+3=5>>5.\nSo 5*2=<<5*2=10>>10\n#### 10"}"#)
                == [Self.record("q?", "", "He has 2+3=5.\nSo 5*2=10\nThe answer is 10", "steps-2")])
        #expect(
            try Self.read(
                .naturalInstructions,
                #"{"instruction": "d", "input": "i", "output": "o", "category": "Question Generation 1385.json"}"#
            )
                == [Self.record("d", "i", "o", "Question Generation")])
        #expect(
            try Self.read(
                .naturalInstructions,
                #"[{"Definition": ["d"], "Categories": ["C"], "Instances": [{"input": "i", "output": ["o", "p"]}]}]"#
            )
                == [Self.record("d", "i", "o", "C")])
        let code = try Self.read(
            .codeAlpaca,
            #"[{"instruction": "Write a C++ function", "input": "", "output": "x"}, {"instruction": "Sort in Java", "input": "", "output": "x"}, {"instruction": "Say hello", "input": "", "output": "x"}]"#
        )
        #expect(code.map(\.category) == ["C++", "Java", "other"])
    }

    @Test func columnsOfOtherNamesAreMapped() throws {
        let reader = RecordReader(format: .csv, fields: ["instruction": "frage", "output": "antwort"])
        let csv = "frage,antwort,x\r\n\"eins, \"\"zwei\"\"\",\" drei\nvier \",5\n"
        #expect(
            try reader.records(Array(csv.utf8), file: "f")
                == [Self.record("eins, \"zwei\"", "", " drei\nvier ", nil)])
        #expect(throws: RecordFileError.self) {
            try RecordReader(format: .csv, fields: ["output": "nowhere"]).records(Array(csv.utf8), file: "f")
        }
    }

    /// Content, the line that the error must name, a word of it.
    static let badTables: [(String, Int, String)] = [
        ("instruction,output\n\"a,b\nc\n", 2, "never closed"),
        ("instruction,output\n\"a\"b,c\n", 2, "between a closing quote"),
        ("instruction,output\na,b\n\na,b,c\n", 4, "3 fields, the header 2"),
        ("instruction,instruction\na,b\n", 1, "twice"),
        ("instruction,note\na,b\n", 2, "no \"output\""),
    ]

    @Test(arguments: badTables)
    func badTablesAreRefusedByLine(content: String, line: Int, word: String) throws {
        let error = try #require(
            throws: RecordFileError.self,
            performing: { try Self.read(.csv, content) })
        #expect(error.line == line && error.description.contains(word))
        // Never the data itself.
        #expect(!error.description.contains("secret"))
    }

    @Test func everyFieldOfATableComesOutAsItWentIn() throws {
        let fields = ["", " lead", "trail ", "\"", ",", "a\nb", "a\r\nb", "Ünï", "\"\"\"", "#### 1"]
        for first in fields {
            for second in fields {
                let row = [first, second].map { "\"" + $0.replacing("\"", with: "\"\"") + "\"" }
                let rows = try CSVReader.rows(Array("h,i\n\(row.joined(separator: ","))\n".utf8))
                #expect(rows.map(\.fields) == [["h", "i"], [first, second]])
            }
        }
        #expect(try CSVReader.rows(Array("a,b,\n,,".utf8)).map(\.fields) == [["a", "b", ""], ["", "", ""]])
        #expect(try CSVReader.rows(Array("".utf8)).isEmpty)
    }

    @Test func theReportCountsWhatIsWrong() throws {
        let records = [
            Self.record("a", "", "one", "x"), Self.record("A ", "", "ONE", "x"),
            Self.record("a", "", "two", "x"),
            Self.record("b", "None", "c", nil), Self.record("c", "", " \n", "x"),
        ]
        let (kept, report) = DataPreparation().prepare(records)
        #expect(kept == [records[0], records[2], records[3]])
        #expect(report.read == 5 && report.kept == 3 && report.emptyAnswers == 1)
        #expect(report.duplicates == 1 && report.contradictions == 1 && report.noneInputs == 1)
        #expect(report.categories.map(\.name) == ["", "x"] && report.categories.map(\.count) == [1, 2])
        var keeping = DataPreparation()
        keeping.keepsDuplicates = true
        #expect(keeping.prepare(records).records.count == 4)
    }

    /// FS-LLM's prompts hold the word None wherever a record has no input; ours never do.
    @Test func theWordNoneAppearsInCompatibleModeOnly() throws {
        let text =
            #"{"question": "a", "answer": "b"}"# + "\n" + #"{"instruction": "a", "input": "", "output": "b"}"#
        let prompts = { (records: [Record]) in
            records.map { record -> String in
                guard case .instruction(let instruction, let input, _) = record.content else { return "" }
                return PromptTemplate.alpaca.prompt(instruction: instruction, input: input)
            }
        }
        #expect(prompts(try Self.read(.json, text)).allSatisfy { !$0.contains("None") })
        let compatible = prompts(try Self.read(.json, text, writesNone: true))
        #expect(compatible[0].contains("### Input:\nNone\n") && !compatible[1].contains("None"))
    }

    @Test func preparedRecordsReadBackAsTheyWere() throws {
        let records = [
            Self.record("ä \"q\"\n", "", "c\\d", "k"), Record(.text("line\nline"), category: nil),
            Self.record("a", "b", "", nil),
        ]
        let bytes = RecordWriter.lines(records)
        #expect(try RecordFile.parse(bytes, file: "f") == records)
        #expect(!String(decoding: bytes, as: UTF8.self).contains("\"input\":\"\""))
    }

    @Test func overlapIsFoundThroughWhiteSpaceAndLetterCase() {
        let trained = [Self.record("What is  it?", "x", "A", nil), Self.record("b", "", "c", nil)]
        let tested = [
            Self.record("what is it?", "X ", "a", "other"), Self.record("b", "", "d", nil),
            Self.record("e", "", "f", nil),
        ]
        let overlap = RecordOverlap(trained: trained, tested: tested)
        #expect(overlap.records == 1 && overlap.prompts == 2)
    }

    @Test func layoutsAreGuessedFromWhatTheyHold() {
        func guess(_ path: String, _ text: String) -> RecordFormat { .guess(path: path, Array(text.utf8)) }
        #expect(guess("a.CSV", "x") == .csv)
        #expect(guess("a", #"{"question": "", "answer": "x #### 1"}"#) == .gsm8k)
        #expect(guess("a", #"{"instruction": "", "context": "", "response": ""}"#) == .dolly)
        #expect(guess("a", #"{"Definition": "", "Categories": []}"#) == .naturalInstructions)
        #expect(guess("a", #"[{"instruction": "", "output": ""}]"#) == .json)
    }
}
