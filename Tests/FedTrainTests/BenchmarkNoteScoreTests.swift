import FedTrain
import Testing

@Suite("The built-in task's score")
struct BenchmarkNoteScoreTests {
    private let reference = "desk=H;urgency=3;count=2"

    @Test("an answer counts only if every byte is right")
    func exact() {
        let answers = [
            reference, " \(reference)\n", "desk=H;urgency=3;count=3", "desk=H;urgency=3;count=22", "",
        ]
        let score = NoteScore.score(answers: answers, references: answers.map { _ in reference })
        #expect(score.records == 5 && score.exact == 2)
        #expect(score.accuracy == 0.4)
        #expect(score.fields == [4, 4, 2])
    }

    @Test("a field is right only in its place and under its name")
    func fields() {
        let answers = ["urgency=3;desk=H;count=2", "desk=H", "desk=A;urgency=3;count=2;desk=H", "H;3;2"]
        let score = NoteScore.score(answers: answers, references: answers.map { _ in reference })
        #expect(score.exact == 0)
        #expect(score.fields == [1, 1, 2])
    }

    @Test("no records score zero, not a division by zero")
    func empty() {
        #expect(NoteScore.score(answers: [], references: []).accuracy == 0)
        #expect(NoteScore().fieldAccuracy == [0, 0, 0])
    }
}
