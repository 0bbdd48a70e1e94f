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

    /// Mechanism options, and an ε that the answer must enclose (dp-accounting 0.6.0's PLD or closed forms).
    static let mechanisms: [(options: [String], epsilon: Double)] = [
        (["discrete-gaussian", "--noise-multiplier", "1"], 4.430238),
        (["discrete-gaussian", "--noise-multiplier", "0.5"], 9.961411),
        (["laplace", "--noise-multiplier", "2"], 0.49998),
        (["discrete-laplace", "--noise-multiplier", "2"], 0.499967),
        (["skellam", "--noise-multiplier", "100"], 0.0272194),
        (
            [
                "sum-of-discrete-gaussians", "--noise-multiplier", "1", "--sensitivity", "1000", "--shares",
                "5",
            ], 4.3772
        ),
        (["randomized-response", "--noise-probability", "1/3", "--buckets", "2"], 1.6094),
        (["gaussian", "--noise-multiplier", "2", "--group-size", "2"], 4.3772),
    ]

    @Test(arguments: mechanisms.indices)
    func accountPricesEveryMechanism(index: Int) throws {
        let (options, expected) = Self.mechanisms[index]
        let result = try command.run(
            ["account", "--mechanism"] + options + ["--delta", "1e-5", "--delta", "1e-8", "--json"])
        #expect(result.status == 0, "\(result.errors)")
        let epsilon = try #require(result.data["epsilon"] as? [String: Double])
        #expect(epsilon["upper"]! >= expected * 0.999, "\(options) \(epsilon)")
        #expect(epsilon["upper"]! <= expected * 1.09, "\(options) \(epsilon)")
        #expect(epsilon["lower"]! <= expected * 1.001)
        let profile = try #require(result.data["profile"] as? [[String: Any]])
        #expect(profile.map { $0["delta"] as? Double } == [1e-5, 1e-8])
    }

    @Test(arguments: [
        ["--delta", "0"], ["--delta", "1"], ["--delta", "nan"], ["--delta", "-0.1"], ["--delta", "x"], [],
        ["--noise-multiplier", "0", "--delta", "1e-5"], ["--noise-multiplier", "-1", "--delta", "1e-5"],
        ["--noise-multiplier", "nan", "--delta", "1e-5"], ["--noise-multiplier", "1e400", "--delta", "1e-5"],
        ["--sampling-rate", "1.5", "--delta", "1e-5"], ["--sampling-rate", "0", "--delta", "1e-5"],
        ["--steps", "0", "--delta", "1e-5"], ["--steps", "99999999999999999999", "--delta", "1e-5"],
        ["--sampling-rate", "0.1", "--accountant", "gdp", "--delta", "1e-5"],
        ["--mechanism", "cauchy", "--delta", "1e-5"], ["--group-size", "0", "--delta", "1e-5"],
        ["--mechanism", "skellam", "--accountant", "zcdp", "--delta", "1e-5"],
        ["--mechanism", "randomized-response", "--delta", "1e-5"],
        ["--sampling-rate", "0.1", "--adjacency", "replace-one", "--delta", "1e-5"],
    ])
    func accountRefusesWhatMeansNothing(options: [String]) throws {
        let multiplier = options.contains("--noise-multiplier") ? [] : ["--noise-multiplier", "1"]
        let result = try command.run(["account"] + multiplier + options + ["--json"])
        #expect(result.status == 64, "\(options) \(result.status) \(result.errors)")
        #expect(result.json["ok"] as? Bool == false)
        #expect((result.error["message"] as? String)?.isEmpty == false)
        #expect((result.error["hint"] as? String)?.contains("account") == true)
    }

    @Test func accountSolvesTightlyForEveryKindOfNoise() throws {
        for options in [
            ["gaussian", "--sampling-rate", "0.05", "--steps", "500"], ["laplace"],
            ["skellam", "--steps", "9"],
            ["randomized-response", "--buckets", "4"], ["discrete-gaussian", "--sensitivity", "3"],
        ] {
            let result = try command.run(
                ["account", "--mechanism"] + options + ["--epsilon", "2", "--delta", "1e-6", "--json"])
            let epsilon = try #require(result.data["epsilon"] as? [String: Double], "\(result.errors)")
            #expect(epsilon["upper"]! <= 2 && epsilon["upper"]! >= 2 - 1e-6, "\(options) \(epsilon)")
        }
        let hopeless = try command.run(
            "account", "--epsilon", "1e-14", "--delta", "1e-100", "--steps", "1000000", "--json")
        #expect(hopeless.status == 10, "\(hopeless.status) \(hopeless.errors)")
    }

    @Test func certifiedAccountingStaysAboveTheFastOne() throws {
        func upper(_ more: [String]) throws -> Double {
            let result = try command.run(
                [
                    "account", "--noise-multiplier", "1", "--sampling-rate", "0.01", "--steps", "1000",
                    "--delta", "1e-5",
                ]
                    + ["--accountant", "pld", "--json"] + more)
            return try #require((result.data["epsilon"] as? [String: Double])?["upper"], "\(result.errors)")
        }
        let fast = try upper([])
        let certified = try upper(["--certified"])
        #expect(certified >= fast && certified <= fast * 1.001)
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

    @Test func drillDrawsWhatHappenedAndCountsBothKindsOfCoordinates() throws {
        let text = try command.run(
            "drill", "--clients", "6", "--dimension", "40", "--drop", "mask=0.17", "--faults", "replay",
            "--seed", "7"
        ).output
        #expect(text.contains("client  advertise  share  mask  confirm  unmask"))
        #expect(text.contains("● answered   × lost"))
        #expect(text.components(separatedBy: "in the sum").count == 6)
        #expect(text.contains("exact (6 unit and 34 random coordinates)"))
        let lanes = try command.run("drill", "--clients", "60", "--dimension", "1", "--seed", "7").output
        #expect(lanes.contains("advertise  ██████████████████████████████████████████████████  60 answered"))
    }

    @Test func drillTellsWhyAFaultEndedTheRoundAndWhatToRunNext() throws {
        let result = try command.run(
            "drill", "--clients", "9", "--dimension", "20", "--drop", "mask=0.1,confirm=0.1", "--faults",
            "replay,equivocate-survivors", "--seed", "7")
        #expect(result.status == 11)
        #expect(result.output.contains("confirm: bad-signature"))
        #expect(result.output.contains("tiny cohort"))
        #expect(result.errors.contains("without --faults") && result.errors.contains("--seed 7"))
        let json = try command.run(
            "drill", "--clients", "9", "--dimension", "20", "--faults", "replay,flip", "--seed", "7", "--json"
        )
        #expect(json.data["faults"] as? [String] == ["replay", "flip"])
        #expect(json.data["tinyCohort"] as? Bool == true && json.data["survivors"] as? Int == 8)
    }

    @Test func drillSurvivesEveryShapeThatIsARound() throws {
        for (clients, dimension, bits, status) in [
            (3, 1, 8, 0), (99, 3, 32, 0), (100, 2, 17, 0), (101, 64, 16, 0),
        ] as [(Int, Int, Int, Int32)] {
            let result = try command.run(
                "drill", "--clients", "\(clients)", "--dimension", "\(dimension)", "--bits", "\(bits)",
                "--seed", "3", "--json")
            #expect(result.status == status && result.data["exact"] as? Bool == true)
        }
        // Whoever is lost, wherever: an abort is exit 11 with its reason and opens nothing.
        for stage in ["advertise", "share", "mask", "confirm", "unmask"] {
            let result = try command.run(
                "drill", "--clients", "9", "--dimension", "5", "--drop", "\(stage)=1.0", "--seed", "3",
                "--json")
            #expect(result.status == 11, "\(stage)")
            #expect(result.data["exact"] as? Bool == false)
            #expect((result.data["reason"] as? String)?.hasPrefix(stage) == true, "\(stage)")
        }
    }

    @Test func aPublishedRoundVerifiesAndAFlippedByteExits13() throws {
        let drill = try command.run(
            "drill", "--clients", "5", "--dimension", "300", "--chunk-length", "64", "--seed", "9",
            "--transcript", "round", "--json")
        #expect(drill.status == 0)
        let good = try command.run("audit", "--transcript", "round", "--json")
        #expect(good.status == 0 && good.data["verified"] as? Bool == true)
        #expect((good.data["chunksRecomputed"] as? [Int])?.count == 5)
        let key = try #require(good.data["serverKey"] as? String)
        let sampled = try command.run(
            "audit", "--transcript", "round", "--sample", "2", "--server-key", key, "--json")
        #expect((sampled.data["chunksRecomputed"] as? [Int])?.count == 2)
        let other = String(repeating: "0", count: 64)
        #expect(try command.run("audit", "--transcript", "round", "--server-key", other).status == 13)
        let file = command.directory.appendingPathComponent("round")
        var bytes = try Data(contentsOf: file)
        bytes[bytes.count / 2] ^= 4
        try bytes.write(to: file)
        let bad = try command.run("audit", "--transcript", "round", "--json")
        #expect(bad.status == 13 && bad.error["code"] as? String == "FT0013")
        #expect(try command.run("audit", "--transcript", "nowhere").status == 66)
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
