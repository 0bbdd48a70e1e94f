import Foundation
import Testing

/// The commands that need no federation.
@Suite struct PlainCommandTests {
    let command: CommandRunner

    init() throws { command = try CommandRunner() }

    @Test func accountAnswersAnIntervalAroundTheExactGaussian() throws {
        // ε of one Gaussian with multiplier 1 at δ = 1e-5, by 50-digit arithmetic: 4.377178.
        let result = try command.run(
            "account", "--mechanism", "gaussian", "--noise-multiplier", "1", "--delta", "0.00001", "--json")
        let epsilon = try #require(result.data["epsilon"] as? [String: Double])
        #expect(epsilon["lower"]! <= 4.3771781 && epsilon["upper"]! >= 4.3771780)
        #expect(epsilon["upper"]! < 4.3772)
    }

    @Test func accountSolvesForTheNoise() throws {
        let solved = try command.run(
            "account", "--epsilon", "3", "--delta", "0.00001", "--sampling-rate", "0.01", "--steps", "1000",
            "--accountant", "rdp", "--json")
        let epsilon = try #require(solved.data["epsilon"] as? [String: Double])
        #expect(epsilon["upper"]! <= 3 && epsilon["upper"]! > 3 - 1e-5)
    }

    @Test func drillSumsExactlyOverTheSurvivors() throws {
        let result = try command.run(
            "drill", "--clients", "20", "--dimension", "1000", "--drop", "mask=0.2", "--drop", "confirm=0.05",
            "--seed", "1", "--json")
        #expect(result.status == 0)
        #expect(result.data["exact"] as? Bool == true)
        #expect(result.data["outcome"] as? String == "released")
        #expect(result.data["survivors"] as? Int == 16)
        let stages = try #require(result.data["stages"] as? [String: [String: Any]])
        #expect(Set(stages.keys) == ["advertise", "share", "mask", "confirm", "unmask"])
    }

    @Test func drillBelowTheFloorAbortsWithExit11() throws {
        let result = try command.run(
            "drill", "--clients", "20", "--dimension", "100", "--drop", "mask=0.9", "--seed", "1", "--json")
        #expect(result.status == 11)
        #expect(result.data["outcome"] as? String == "aborted")
        #expect(result.data["exact"] as? Bool == false)
    }

    @Test func generateAnswersTheBuiltInForm() throws {
        let result = try command.run(
            "generate", "--prompt", "Fill our form.\nTwo taps are dripping.\n", "--max-tokens", "30", "--json"
        )
        #expect(result.status == 0)
        #expect((result.data["text"] as? String)?.contains("desk=") == true)
    }

    @Test func tokenizeGivesIdsThatDecodeToTheText() throws {
        let file = try command.write("{\"text\": \"Two taps are dripping.\"}\n", to: "t.jsonl")
        let result = try command.run("tokenize", "--data", file, "--json")
        let records = try #require(result.data["records"] as? [[String: Any]])
        #expect(records[0]["decoded"] as? String == "Two taps are dripping.")
    }

    @Test func helpNamesEveryCommandOfTheInterface() throws {
        let help = try command.run("--help").output
        for verb in [
            "demo", "init", "plan", "simulate", "report", "audit", "account", "drill", "evaluate", "generate",
            "tokenize", "pretrain",
        ] {
            #expect(help.contains("  \(verb)"), "\(verb)")
        }
    }
}
