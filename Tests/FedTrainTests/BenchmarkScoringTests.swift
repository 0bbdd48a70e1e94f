import FedTrain
import Foundation
import Models
import Testing

@Suite("Answers and programs are scored as the published scorers do")
struct BenchmarkScoringTests {
    /// Texts and what the harness's three patterns take from them (findall/search of Python's `re`).
    static let extractions: [(text: String, strict: String, sentence: String, flexible: String)] = [
        ("She has 5. The answer is 18.\n#### 18", "18", "18", "18"),
        ("so 3 + 4 = 7 dollars\n#### 1,234.50", "1,234.50", "[invalid]", "1,234.50"),
        ("The answer is $5.", "[invalid]", "[invalid]", "$5."),
        ("The answer is -12. Then 7", "[invalid]", "-12.", "7"),
        ("no number", "[invalid]", "[invalid]", "[invalid]"),
        ("costs $1.50 and 3", "[invalid]", "[invalid]", "3"),
        ("The answer is 42", "[invalid]", "4", "42"),
        ("#### x\n#### 9", "9", "[invalid]", "9"),
    ]

    @Test(arguments: extractions.indices)
    func numbersAreFoundWhereTheHarnessFindsThem(index: Int) {
        let test = Self.extractions[index]
        #expect(NumericAnswer.extract(test.text, .strict) == test.strict)
        #expect(NumericAnswer.extract(test.text, .flexible) == test.flexible)
        #expect(NumericAnswer.extract(test.text, .sentence) == test.sentence)
    }

    @Test func answersAreComparedWithoutCommasDollarsAndAFinalStop() {
        #expect(NumericAnswer.agree("$1,000.", "1000"))
        #expect(NumericAnswer.agree("reasons #### 7", "7"))
        #expect(!NumericAnswer.agree("18", "18.0"))
        #expect(!NumericAnswer.agree("[invalid]", "18"))
    }

    @Test func aShotShowsItsReasonsAndTheSentenceThatIsLookedFor() {
        let prompt = FewShotPrompt([("How many?", "2*3=<<2*3=6>>6 ducks\n#### 6")])
        #expect(prompt.text("And now?") == "Q: How many?\nA: 2*3=6 ducks The answer is 6.\n\nQ: And now?\nA:")
    }

    /// 1 − C(n−c, k)/C(n, k) by whole numbers.
    @Test func passAtKIsTheUnbiasedEstimate() {
        func choose(_ n: Int, _ k: Int) -> Double {
            k > n ? 0 : (0..<k).reduce(1) { $0 * Double(n - $1) / Double($1 + 1) }
        }
        for n in 1...12 {
            for c in 0...n {
                for k in 1...n {
                    let expected = 1 - choose(n - c, k) / choose(n, k)
                    #expect(abs(PassAtK.estimate(samples: n, correct: c, k: k) - expected) < 1e-12)
                }
            }
        }
        #expect(PassAtK.mean([(5, 1), (2, 0)], k: 3) == nil)
        #expect(PassAtK.mean([(2, 1), (2, 0)], k: 1) == 0.25)
    }

    @Test func completionsEndWhereTheFunctionDoes() {
        #expect(cut("    return 1\n\ndef g():", at: CodeProblem.stops) == "    return 1\n")
        #expect(cut("    return 1", at: CodeProblem.stops) == "    return 1")
    }

    @Test func multipleChoiceCountsByLengthAsTheHarnessDoes() {
        let question = MultipleChoice(context: "Q", choices: ["ab", "abcdefgh", "é"], answer: 1)
        let score = MultipleChoiceScore([question], logLikelihoods: [[-4, -9, -3]])
        #expect(score.accuracy == 0 && score.normalisedAccuracy == 1 && score.bytesAccuracy == 1)
        let equal = MultipleChoiceScore([question], logLikelihoods: [[-1, -1, -2]])
        #expect(equal.accuracy == 0)
    }

    /// Where namespaces are not to be had, refusing is the right answer.
    static let sandbox = try? CodeSandbox(nonce: "a8f1c2", seconds: 3)

    @Test(.enabled(if: sandbox != nil))
    func programsPassFailOrRunOutOfTimeAndCannotReachOut() throws {
        let sandbox = try #require(Self.sandbox)
        let home = NSHomeDirectory()
        #expect(sandbox.run("assert 1 + 1 == 2\nprint('noise')") == .passed)
        #expect(sandbox.run("assert 1 + 1 == 3") == .failed)
        #expect(sandbox.run("import sys; sys.exit(0)") == .failed)
        #expect(sandbox.run("import os; os._exit(0)") == .failed)
        #expect(sandbox.run("while True: pass") == .timedOut)
        #expect(sandbox.run("x = 'a' * (3 << 30)") == .failed)
        #expect(sandbox.run("import os; os.listdir(\"\(home)\")\nopen(\"\(home)/.profile\")") == .failed)
        #expect(sandbox.run("open('/usr/x', 'w')") == .failed)
        #expect(sandbox.run("import os; os.remove('/usr/bin/env')") == .failed)
        #expect(
            sandbox.run("import socket; socket.create_connection(('1.1.1.1', 53), timeout=1)") == .failed)
        #expect(
            sandbox.run("import os; assert [p for p in os.listdir('/proc') if p.isdigit()]") == .failed)
    }

    /// HumanEval itself: three problems always, all 164 (a minute) with FEDTRAIN_SLOW_TESTS=1.
    @Test(.enabled(if: sandbox != nil && problems != nil))
    func canonicalSolutionsPassAndWrongOnesDoNot() throws {
        let sandbox = try #require(Self.sandbox)
        let isSlow = ProcessInfo.processInfo.environment["FEDTRAIN_SLOW_TESTS"] == "1"
        let problems = try #require(Self.problems)
        #expect(problems.count == 164)
        for problem in isSlow ? problems : Array(problems.prefix(3)) {
            let solution = try #require(problem.canonicalSolution)
            #expect(sandbox.run(problem.program(completion: solution)) == .passed, "\(problem.taskID)")
            #expect(sandbox.run(problem.program(completion: "    pass\n")) == .failed, "\(problem.taskID)")
        }
    }

    static let problems: [CodeProblem]? = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared").path
        let shared = ProcessInfo.processInfo.environment["FEDTRAIN_SHARED"] ?? root
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gzip", "-dc", "\(shared)/data/humaneval/HumanEval.jsonl.gz"]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil, let data = try? pipe.fileHandleForReading.readToEnd() else {
            return nil
        }
        let lines = data.split(separator: UInt8(ascii: "\n"))
        let problems = lines.compactMap { (try? JSON.parse(Array($0))).flatMap(CodeProblem.init(json:)) }
        return problems.isEmpty ? nil : problems
    }()
}
