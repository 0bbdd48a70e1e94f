import FedTrain
import Foundation
import Models
import Testing

@Suite struct DataTokenizerTests {
    static let records = [
        Record(.instruction(instruction: "Name the ward.", input: "Room 12.", output: "Ward 3")),
        Record(.instruction(instruction: "Say hello.", input: "", output: "Hello!")),
        Record(.text("Some running text, 12 words or so.")),
    ]

    func make(
        _ kind: String = "llama3", _ template: PromptTemplate = .plain, max: Int = .max,
        _ overlong: OverlongPolicy = .truncate
    ) throws -> RecordTokenizer {
        let tokenizer = try DataFixtures.tokenizer(kind)
        return try RecordTokenizer(
            tokenizer: tokenizer, template: template, tokensMax: max, overlong: overlong,
            endToken: tokenizer.id(of: "<|endoftext|>"))
    }

    @Test func alpacaRecordsHaveTheIDsAndLabelsOfFSLLM() throws {
        let rows = try DataFixtures.json(DataFixtures.vectors + "/tokenizers/prompts.json")["rows"]!.array!
        #expect(rows.count == 10)
        for row in rows {
            let record = row["record"]!
            let tokenizer = try make(row["tokenizer"]!.string!, .alpaca)
            let set = tokenizer.examples([
                Record(
                    .instruction(
                        instruction: record["instruction"]!.string!, input: record["input"]?.string ?? "",
                        output: record["output"]!.string!))
            ])
            let example = try #require(set.examples.first)
            #expect(example.tokens.map(Int.init) == row["ids"]!.array!.map { $0.integer! })
            #expect(example.targetStart == row["target_start"]!.integer!)
        }
    }

    @Test func aPlainExampleIsPromptAnswerAndEndToken() throws {
        let tokenizer = try make()
        let set = tokenizer.examples(Self.records)
        for (record, example) in zip(Self.records, set.examples).dropLast() {
            let prompt = try tokenizer.promptTokens(record)
            #expect(prompt.first == tokenizer.tokenizer.id(of: "<s>"))
            #expect(example.tokens.starts(with: prompt) && example.targetStart == prompt.count)
            #expect(example.tokens.last == tokenizer.endToken)
            guard case .instruction(_, _, let output) = record.content else { continue }
            let answer = example.tokens[example.targetStart...].dropLast()
            #expect(tokenizer.tokenizer.decode(answer) == output)
            #expect(try tokenizer.ids(of: record) == example.tokens)
        }
    }

    @Test func textGetsTheTokenizersOwnSpecialTokensAndIsPredictedFromTheSecondToken() throws {
        for template in PromptTemplate.allCases where template != .chat {
            let tokenizer = try make("llama3", template)
            let example = tokenizer.examples([Self.records[2]]).examples[0]
            #expect(example.tokens == tokenizer.tokenizer.encode("Some running text, 12 words or so."))
            #expect(example.targetStart == 1)
        }
        #expect(try make("llama3", .text).examples(Self.records).examples.allSatisfy { $0.targetStart == 1 })
    }

    @Test func recordsThatCannotBeLearnedFromAreCountedByReason() throws {
        let set = try make(max: 12, .drop).examples([
            Record(.instruction(instruction: "a", input: "", output: "b")),
            Record(.instruction(instruction: "a", input: "", output: " \n")),
            Record(.instruction(instruction: String(repeating: "long ", count: 20), input: "", output: "b")),
            Record(.text("")), Record(.text("ok ok")),
        ])
        #expect(set.indices == [0, 4])
        #expect(set.unusableCounts == [.emptyAnswer: 1, .tooLong: 1, .nothingToPredict: 1])
        #expect(
            set.summary == "5 records: 2 usable, 3 not (1 empty answer, 1 nothing to predict, 1 too long)")
    }

    /// For every window, what is kept is begin token, the prompt's end, and the answer's start; it fills
    /// the window, and at least half of the room is left to a long answer.
    @Test func truncationKeepsTheEndOfThePromptAndTheStartOfTheAnswer() throws {
        let record = Record(
            .instruction(
                instruction: "one two three four five six seven eight", input: "", output: "nine ten eleven"))
        let whole = try make().examples([record]).examples[0]
        let prompt = whole.tokens[1..<whole.targetStart]
        let answer = whole.tokens[whole.targetStart...]
        for window in 4..<whole.tokens.count {
            let set = try make(max: window).examples([record])
            #expect(set.truncatedCount == 1)
            let example = set.examples[0]
            let keptPrompt = example.tokens[1..<example.targetStart]
            let keptAnswer = example.tokens[example.targetStart...]
            #expect(example.tokens.count == window && example.tokens[0] == whole.tokens[0])
            #expect(keptPrompt.elementsEqual(prompt.suffix(keptPrompt.count)))
            #expect(keptAnswer.elementsEqual(answer.prefix(keptAnswer.count)) && !keptAnswer.isEmpty)
            #expect(keptAnswer.count == answer.count || keptPrompt.count == (window - 1) / 2)
        }
        #expect(try make(max: whole.tokens.count).examples([record]).truncatedCount == 0)
        let prompted = try make(max: 10).promptTokens(record, leavingRoomFor: 4)
        #expect(prompted == Array(whole.tokens.prefix(1) + prompt.suffix(5)))
    }

    private static let chatFamilies = ["chatml", "zephyr", "llama-2", "mistral-system-last"]

    /// A tokenizer that has this family's template, as a model's directory would give it.
    private func chatTokenizer(_ kind: String, family: String) throws -> Tokenizer {
        let vectors = DataFixtures.vectors
        let template = try DataFixtures.json(vectors + "/chat/chat.json")["families"]![family]!["template"]!
        let directory = NSTemporaryDirectory() + "fedtrain-test-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let configuration = JSON.object([
            .init("bos_token", .string("<s>")), .init("eos_token", .string("</s>")),
            .init("chat_template", template),
        ])
        let document = try DataFixtures.json("\(vectors)/tokenizers/\(kind).json")["tokenizer"]!
        try document.text().write(toFile: directory + "/tokenizer.json", atomically: true, encoding: .utf8)
        try configuration.text()
            .write(toFile: directory + "/tokenizer_config.json", atomically: true, encoding: .utf8)
        return try Tokenizer(directory: directory)
    }

    /// What is learned is what the template writes after the opening that generation starts from.
    @Test(arguments: chatFamilies, ["llama3", "qwen2", "llama2"])
    func aChatExampleIsTheTemplatesTextAndItsAnswerIsPredicted(family: String, kind: String) throws {
        let tokenizer = try chatTokenizer(kind, family: family)
        let chat = try RecordTokenizer(tokenizer: tokenizer, template: .chat)
        for record in Self.records.dropLast() {
            guard case .instruction(let instruction, let input, let output) = record.content else { continue }
            let question = [instruction, input].filter { !$0.isEmpty }.joined(separator: "\n")
            let (opening, whole) = try tokenizer.chatTemplate().turn(question: question, answer: output)
            let example = try #require(chat.examples([record]).examples.first)
            #expect(example.tokens == tokenizer.encode(whole, addSpecialTokens: false))
            #expect(try chat.ids(of: record) == example.tokens)
            let prompt = try chat.promptTokens(record)
            #expect(prompt == tokenizer.encode(opening, addSpecialTokens: false))
            #expect(prompt.starts(with: example.tokens.prefix(example.targetStart)))
            #expect(example.targetStart >= prompt.count - 1, "at most the token at the seam is learned too")
            #expect(tokenizer.decode(example.tokens[example.targetStart...]).contains(output))
        }
    }

    @Test func anOverlongChatLosesTheAnswersEndOrIsLeftOut() throws {
        let tokenizer = try chatTokenizer("llama3", family: "chatml")
        let record = Record(
            .instruction(instruction: "Say it.", input: "", output: String(repeating: "word ", count: 30)))
        let whole = try RecordTokenizer(tokenizer: tokenizer, template: .chat).examples([record]).examples[0]
        let cut = try RecordTokenizer(
            tokenizer: tokenizer, template: .chat, tokensMax: whole.targetStart + 3
        ).examples([record])
        #expect(cut.truncatedCount == 1)
        #expect(cut.examples[0].tokens == Array(whole.tokens.prefix(whole.targetStart + 3)))
        #expect(cut.examples[0].targetStart == whole.targetStart)
        let none = try RecordTokenizer(
            tokenizer: tokenizer, template: .chat, tokensMax: whole.targetStart
        ).examples([record])
        #expect(none.unusableCounts == [.tooLong: 1])
    }

    @Test func aModelWithoutATemplateIsRefused() throws {
        let tokenizer = try DataFixtures.tokenizer("llama3")
        #expect(throws: CheckpointError.self) { try RecordTokenizer(tokenizer: tokenizer, template: .chat) }
    }
}
