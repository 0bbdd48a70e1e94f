import FedTrain
import Foundation
import Models
import Testing

@Suite("What an owner is told about an emulator")
struct OffsiteReportTests {
    @Test("a paired bootstrap holds the difference of models that err on the same records")
    func pairedBootstrap() {
        // Both models are right on the even records; the second on 20 more. Apart, each score varies by
        // ±0.07; together, only the 20 records do.
        let first = RecordScores(
            values: (0..<200).map { $0.isMultiple(of: 2) ? 1 : 0 },
            weights: [Double](repeating: 1, count: 200))
        var more = first.values
        for index in 0..<20 { more[2 * index + 1] = 1 }
        let second = RecordScores(values: more, weights: first.weights)
        let gap = Estimate(of: [first, second]) { $0[1] - $0[0] }
        #expect(abs(gap.value - 0.1) < 1e-12)
        // Binomial: 0.1 ± 1.96·√(0.09/200) = 0.058 … 0.142.
        #expect(abs(gap.lower! - 0.058) < 0.015 && abs(gap.upper! - 0.142) < 0.015)
        let apart = Estimate(of: [second]) { $0[0] }
        #expect(apart.upper! - apart.lower! > 1.4 * (gap.upper! - gap.lower!))
        #expect(gap == Estimate(of: [first, second]) { $0[1] - $0[0] })
        // Where resamples have no bound, none is claimed.
        let unbounded = Estimate(of: [first]) { $0[0] > 0.5 ? .infinity : 0 }
        #expect(unbounded.upper == nil && unbounded.lower == 0)
    }

    private func report(
        recipe: String, exact: Double, tuned: Double, plugIn: Double, metric: String = "exact match"
    ) throws -> String {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).json")
        func row(_ name: String, _ value: Double) -> String {
            "{\"model\": \"\(name)\", \"metric\": \"\(metric)\", \"value\": \(value)}"
        }
        let rows = [
            row("full model, zero-shot", 0.1), row("emulator, zero-shot", 0.05),
            row("emulator, tuned", tuned),
            row("plug-in", plugIn),
        ]
        let text = """
            {"shipped": {"recipe": "\(recipe)", "exactFraction": \(exact), "nearFraction": \(exact),
            "exactMiddleFraction": 0}, "scores": {"retained": 0.5, "scores": [\(rows.joined(separator: ","))]}}
            """
        try Data(text.utf8).write(to: file)
        return file.path
    }

    @Test(
        "recipes side by side: seeds are averaged, and the frontier leaves out what is beaten in everything")
    func comparison() throws {
        let comparison = try RecipeComparison(reports: [
            (nil, report(recipe: "thick", exact: 0.9, tuned: 0.8, plugIn: 0.9)),
            (nil, report(recipe: "thin", exact: 0.3, tuned: 0.6, plugIn: 0.88)),
            (nil, report(recipe: "thin", exact: 0.3, tuned: 0.7, plugIn: 0.94)),
            ("bad", report(recipe: "thin", exact: 0.4, tuned: 0.9, plugIn: 0.5)),
        ])
        #expect(comparison.rows.map(\.name) == ["thick", "thin", "bad"])
        let thin = try #require(comparison.rows[1].mean(\.plugIn))
        #expect(abs(thin.mean - 0.91) < 1e-12)
        // Two reports: t = 12.706, deviation 0.06/√2, over √2.
        #expect(abs(thin.half! - 12.706 * 0.03) < 1e-9)
        #expect(comparison.rows[0].mean(\.plugIn)!.half == nil)
        #expect(comparison.rows.map(comparison.isOnFrontier) == [false, true, false])
        #expect(comparison.html().count > 2000)
        let json = try JSON.parse(comparison.json())
        #expect(json["figures"]?["recipes"]?["rows"]?.array?.count == 3)
    }

    private static let full: LanguageModel = {
        let configuration = ModelConfiguration(
            vocabularySize: 40, hiddenSize: 16, intermediateSize: 24, layerCount: 6, headCount: 2,
            keyValueHeadCount: 1, maximumPositions: 32)
        var generator = SplitMix64(seed: 8)
        return LanguageModel(configuration: configuration, initialisedBy: &generator, deviation: 0.4)
    }()

    private static func emulator(_ places: [Int]) -> (model: LanguageModel, shape: EmulatorShape) {
        let shape = EmulatorShape(first: 1, last: 1, middlePlaces: places, fullCount: 6)
        return (shape.drop(from: full), shape)
    }

    private func rungs(
        _ emulator: (model: LanguageModel, shape: EmulatorShape),
        second: (model: LanguageModel, shape: EmulatorShape)?
    ) throws -> [String: AttackLadder.Rung] {
        let text = (0..<12).map { start in
            TokenizedExample(tokens: (0..<14).map { Int32((7 * start + 3 * $0) % 40) })
        }
        let rungs = try AttackLadder(
            full: Self.full, emulator: emulator.model, shape: emulator.shape, deployed: Self.full,
            text: text, heldOut: text, budget: .init(steps: [])
        ).climb(second: second) { _ in }
        return Dictionary(uniqueKeysWithValues: rungs.map { ($0.name, $0) })
    }

    @Test("two emulators whose kept blocks make up the middle give the whole model away")
    func coalition() throws {
        let (one, two) = (Self.emulator([0, 2]), Self.emulator([1, 3]))
        let alone = try #require(rungs(one, second: nil)["A2"]?.points.first)
        #expect(alone.divergence > 1e-3, "half of the middle is not the model")
        let pooled = try #require(rungs(one, second: two)["A6"])
        #expect(pooled.points[0].recovery == 1 && pooled.points[0].agreement == 1)
        #expect(abs(pooled.points[0].divergence) < 1e-9)
        #expect(abs(pooled.middleAlignment! - 1) < 1e-9)
    }

    @Test("an emulator that is the model is not said to make copying less convenient")
    func verdict() throws {
        let whole = try DisclosureReport.verdict(
            Array(rungs(Self.emulator([0, 1, 2, 3]), second: nil).values))
        #expect(whole.hasPrefix("Copying is not made less convenient"))
        for sentence in [whole, DisclosureReport.verdict([])] {
            #expect(sentence.contains("no cryptographic and no differential-privacy guarantee"))
        }
    }

    @Test("an emulator shipped again without a change teaches nothing new")
    func reshipped() throws {
        let one = Self.emulator([0, 2])
        let rungs = try rungs(one, second: one)
        #expect(rungs["A7"]?.points == rungs["A2"]?.points)
    }

    @Test("an emulator that drops nothing is recovered as it is")
    func dropsNothing() throws {
        let rungs = try rungs(Self.emulator([0, 1, 2, 3]), second: nil)
        for name in ["A0", "A2"] { #expect(rungs[name]?.points[0].recovery == 1) }
        let shape = Self.emulator([0, 1, 2, 3])
        let disclosure = Disclosure(
            full: Self.full, emulator: shape.model, middle: shape.shape.withheld)
        #expect(disclosure.exactFraction == 1 && disclosure.exactMiddleFraction == 1)
    }

    @Test("reports that cannot be compared are refused by name")
    func refusals() throws {
        let accuracy = try report(recipe: "one", exact: 0.9, tuned: 0.8, plugIn: 0.9)
        let loss = try report(recipe: "two", exact: 0.9, tuned: 0.8, plugIn: 0.9, metric: "loss")
        #expect(throws: OffsiteError.self) { try RecipeComparison(reports: [(nil, accuracy), (nil, loss)]) }
        let other = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).json")
        try Data("{\"shipped\": {}}".utf8).write(to: other)
        #expect(throws: OffsiteError.self) { try RecipeComparison(reports: [(nil, other.path)]) }
        #expect(throws: CheckpointError.self) { try RecipeComparison(reports: [(nil, "/nowhere.json")]) }
    }
}
