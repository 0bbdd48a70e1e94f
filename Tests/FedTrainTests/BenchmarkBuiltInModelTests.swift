import FedTrain
import Models
import Testing

@Suite("The built-in base model")
struct BenchmarkBuiltInModelTests {
    private let model: LanguageModel
    private let tokenizer: Tokenizer

    init() throws {
        let directory = try BuiltInModel.directory()
        model = try LanguageModel(checkpoint: Checkpoint.load(directory: directory))
        tokenizer = try Tokenizer(directory: directory)
    }

    private func score(_ records: [GeneratedRecord]) throws -> NoteScore {
        let answers = try Evaluator(model: model).generate(
            prompts: records.map { tokenizer.encode($0.prompt, addSpecialTokens: false) },
            maxNewTokens: 20, stopToken: model.configuration.endTokenIDs.first.map(Int32.init))
        return NoteScore.score(
            answers: answers.map { tokenizer.decode($0, skipSpecialTokens: true) },
            references: records.map(\.output))
    }

    @Test("it answers public questions about notes it never read")
    func knowsThePublicTasks() throws {
        // Another seed than the recipe's: other notes.
        let records = PublicCorpus(seed: 20_261).prefix(2000)
            .filter { $0.instruction != NoteTask.instruction && !$0.instruction.hasPrefix("Fill form") }
        // 98 to 100 % when the model was made.
        #expect(try score(Array(records.prefix(200))).accuracy > 0.95)
    }

    @Test("it knows form, urgency and count of the network's notes, and guesses at the desk")
    func guessesTheDesk() throws {
        let score = try score(NoteTask(seed: 9).heldOut(count: 240))
        #expect(score.fieldAccuracy[1] > 0.95 && score.fieldAccuracy[2] > 0.95)
        // One in twelve is chance; 8 to 9 % when the model was made.
        #expect((0.02...0.15).contains(score.accuracy))
    }

    @Test("records are short: a note and its form take at most 64 of the window's 128 tokens")
    func recordsAreShort() {
        for record in NoteTask(seed: 4).siteRecords(site: 0, count: 500) {
            let tokens = tokenizer.encode(record.prompt + record.output, addSpecialTokens: false)
            #expect((20...64).contains(tokens.count))
        }
    }
}
