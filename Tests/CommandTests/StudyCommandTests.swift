import Foundation
import Testing

/// `fedtrain study` and `fedtrain data` as a person uses them.
@Suite struct StudyCommandTests {
    static let study = """
        schema: fedtrain-study/1
        name: small
        federation:
          schema: fedtrain/1
          name: small
          model: {adapter: {kind: lora, rank: 2, alpha: 4, targets: [q_proj]}}
          rounds: {count: 2, minSurvivors: 3}
          training: {algorithm: dp-fedsgd}
          privacy: {unit: record, epsilon: 8, clipNorm: 0.1, samplingRate: 1/4}
          secagg: {allowTinyCohort: true}
        tasks:
          notes: {builtIn: notes, sites: 3, recordsPerSite: 24, heldOut: 24, validationShare: 0.25}
        splits:
          iid: {kind: iid, clients: 3}
        privacy:
          weak: {privacy.epsilon: 20}
          strong: {privacy.epsilon: 2}
        seeds: [1, 2]
        """

    static func results(_ directory: String) -> [Data?] {
        ["results.jsonl", "results.csv", "results.md", "results.html"]
            .map { FileManager.default.contents(atPath: "\(directory)/\($0)") }
    }

    /// Killed at points spread over the run, then run to its end: the same bytes as without.
    @Test(.enabled(if: CrashPointTests.isSlow, "starts and kills many processes: minutes"))
    func aKilledStudyResumesToTheSameFiles() throws {
        let runner = try CommandRunner()
        let file = try runner.write(Self.study, to: "small.yaml")
        let whole = try runner.run(["study", file, "--output", "whole", "--quiet"])
        #expect(whole.status == 0, "\(whole.errors)")
        let expected = Self.results(runner.path("whole"))
        #expect(expected.allSatisfy { $0 != nil })

        var (delay, kills) = (0.3, 0)
        while kills < 12 {
            let process = try runner.start("study", file, "--output", "torn", "--quiet")
            guard process.finish(seconds: delay) == nil else { break }
            process.kill()
            kills += 1
            delay += 0.37
        }
        #expect(kills >= 2)
        let resumed = try runner.run(["study", file, "--output", "torn", "--quiet"])
        #expect(resumed.status == 0, "\(resumed.errors)")
        #expect(Self.results(runner.path("torn")) == expected)

        // One cell alone, from its key.
        let line = String(decoding: expected[1]!, as: UTF8.self).split(separator: "\n")[1]
        let key = String(line.split(separator: ",").last!)
        let again = try runner.run(["study", file, "--output", "torn", "--cell", key])
        #expect(again.status == 0 && again.output.contains("the same bytes"))
    }

    /// The file's text, what the message must say, and where.
    static let bad: [(from: String, to: String, word: String, place: String)] = [
        ("seeds: [1, 2]", "seed: [1, 2]", "did you mean `seeds`?", ":18:1"),
        ("privacy.epsilon: 20", "privacy.epsilom: 20", "unknown key `privacy.epsilom`", ":16:"),
        ("kind: iid", "kind: iit", "did you mean `iid`?", ":14:"),
        ("count: 2", "count: none", "whole number", ":7:"),
        ("clients: 3", "clients: 60", "some would have none", "split iid"),
        ("schema: fedtrain-study/1", "schema: other", "fedtrain-study/1", ":1:"),
    ]

    @Test(arguments: bad)
    func mistakesAreNamedWithTheirPlace(from: String, to: String, word: String, place: String) throws {
        let runner = try CommandRunner()
        let file = try runner.write(Self.study.replacingOccurrences(of: from, with: to), to: "bad.yaml")
        let result = try runner.run("study", file, "--output", "out")
        #expect(result.status == 78 || result.status == 65)
        #expect(result.errors.contains(word) && result.errors.contains(place), "\(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: runner.path("out/cells")))
    }

    @Test func aPlanSpendsNothingAndABudgetIsHeld() throws {
        let runner = try CommandRunner()
        let file = try runner.write(Self.study, to: "small.yaml")
        let plan = try runner.run(["study", file, "--output", "out", "--plan-only", "--json"])
        #expect(plan.status == 0 && plan.output.contains("\"plannedSeconds\""))
        #expect(!FileManager.default.fileExists(atPath: runner.path("out/cells")))
        let over = try runner.run(
            ["study", file, "--output", "out", "--set", "budget.epsilon=30"])
        #expect(over.status == 10 && over.errors.contains("4 runs on task notes"))
        let unknown = try runner.run(["study", "none.yaml"])
        #expect(unknown.status == 66 && unknown.errors.contains("smoke"))
    }

    @Test func dataIsPreparedSplitAndPictured() throws {
        let runner = try CommandRunner()
        let rows = (0..<60).map { "\"q \($0), \",a\($0),c\($0 % 3)" } + ["q,,c0", "\"q 0, \",A0,c0"]
        _ = try runner.write((["instruction,output,category"] + rows).joined(separator: "\n"), to: "in.csv")
        let prepared = try runner.run(
            ["data", "prepare", "in.csv", "-o", "all.jsonl", "--base", "built-in"])
        #expect(prepared.status == 0, "\(prepared.errors)")
        for word in ["62 records read, 60 kept", "1 left out: empty answer", "1 repeat", "3 categories"] {
            #expect(prepared.output.contains(word), "\(prepared.output)")
        }
        let split = try runner.run([
            "data", "split", "all.jsonl", "--kind", "category", "--clients", "3", "-o", "s",
        ])
        #expect(split.status == 0 && split.output.contains("3 clients of 16 to 16 training records"))
        #expect(FileManager.default.fileExists(atPath: runner.path("s/client-3.test.jsonl")))
        #expect(FileManager.default.fileExists(atPath: runner.path("s/holdings.svg")))
        let overlap = try runner.run([
            "data", "prepare", "all.jsonl", "--against", "s/client-1.test.jsonl",
        ])
        #expect(overlap.status == 65 && overlap.errors.contains("measures memory"))
    }
}
