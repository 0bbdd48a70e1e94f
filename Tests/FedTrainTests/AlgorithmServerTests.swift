import FedTrain
import Foundation
import Models
import Testing

/// The server's optimisers where their steps are known in closed form: under a direction g that never changes.
@Suite struct AlgorithmServerTests {
    private typealias Server = FederationConfiguration.Training.Server

    private static let direction: [Float] = [0.5, -2, 1e-3, 0]

    private func steps(_ settings: Server, count: Int) -> [[Float]] {
        var optimizer = ServerOptimizer(settings, dimension: 4)
        return (0..<count).map { _ in optimizer.step(Self.direction) }
    }

    private func expectClose(_ found: Float, _ expected: Double, _ note: Comment) {
        #expect(abs(Double(found) - expected) <= 1e-5 * abs(expected) + 1e-12, note)
    }

    /// FedAvgM: after t rounds the velocity is g·(1 − μ^t)/(1 − μ).
    @Test func momentumAddsUpGeometrically() {
        let settings = Server(optimizer: .sgd, learningRate: 0.1, momentum: 0.9, decayRounds: 0)
        var power = 1.0
        for (round, change) in steps(settings, count: 30).enumerated() {
            power *= 0.9
            for k in 0..<4 {
                expectClose(change[k], 0.1 * Double(Self.direction[k]) * (1 - power) / 0.1, "round \(round)")
            }
        }
    }

    /// FedAdam: both corrected moments are exactly those of g, so every step is rate·g/(|g| + τ).
    @Test func adamMovesByItsRateWhateverTheSize() {
        var settings = Server(optimizer: .adam, learningRate: 0.1, momentum: 0.9, decayRounds: 0)
        settings.secondMomentum = 0.99
        settings.epsilon = 1e-3
        for (round, change) in steps(settings, count: 30).enumerated() {
            for k in 0..<4 {
                let g = Double(Self.direction[k])
                expectClose(change[k], 0.1 * g / (abs(g) + 1e-3), "round \(round)")
            }
        }
    }

    /// FedYogi: v grows by (1 − β₂)g² a round while it is below g², not towards it by a share as Adam's.
    @Test func yogisSecondMomentGrowsInEqualSteps() {
        var settings = Server(optimizer: .yogi, learningRate: 0.1, momentum: 0.9, decayRounds: 0)
        settings.secondMomentum = 0.99
        settings.epsilon = 1e-3
        var power = 1.0
        for (round, change) in steps(settings, count: 60).enumerated() {
            power *= 0.99
            let t = Double(round + 1)
            for k in 0..<4 {
                let g = Double(Self.direction[k])
                let v = t * 0.01 * g * g / (1 - power)
                expectClose(change[k], 0.1 * g / (v.squareRoot() + 1e-3), "round \(round)")
            }
        }
    }

    /// A sudden small direction: Adam forgets a large second moment by a share, Yogi by the small square only.
    @Test func yogiForgetsLargeDirectionsSlowly() {
        var settings = Server(optimizer: .adam, learningRate: 1, momentum: 0, decayRounds: 0)
        settings.secondMomentum = 0.9
        func second(_ optimizer: FederationConfiguration.ServerOptimizer) -> Float {
            settings.optimizer = optimizer
            var server = ServerOptimizer(settings, dimension: 1)
            for _ in 0..<5 { _ = server.step([10]) }
            let before = server.state.second[0]
            _ = server.step([0.1])
            return before - server.state.second[0]
        }
        #expect(abs(second(.yogi) - 0.1 * 0.01) < 1e-4)
        #expect(second(.adam) > 1)
    }

    /// PyTorch's SGD with momentum and Adam, with and without a falling rate, on directions whose sizes differ
    /// by six orders of magnitude: `Tests/Vectors/server-optimizer`, made by the script there.
    ///
    /// PyTorch was in double precision; 40 rounds in 32 bits stay within 2e-5 of a coordinate's largest step.
    @Test func stepsArePyTorchs() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Vectors/server-optimizer/server-optimizer.json")
        let document = try JSON.parse([UInt8](Data(contentsOf: file)))
        let cases = try #require(document["cases"]?.array)
        #expect(cases.count == 5)
        for (number, golden) in cases.enumerated() {
            let given = try #require(golden["settings"])
            func setting(_ key: String) -> Double { given[key]?.number ?? 0 }
            let optimizer = try #require(
                FederationConfiguration.ServerOptimizer(rawValue: golden["optimizer"]?.string ?? ""))
            var settings = Server(
                optimizer: optimizer, learningRate: setting("learningRate"), momentum: setting("momentum"),
                decayRounds: Int(setting("decayRounds")))
            settings.secondMomentum = setting("secondMomentum")
            settings.epsilon = setting("epsilon")
            let expected = try #require(golden["steps"]?.array).map { $0.array!.map { $0.number! } }
            var server = ServerOptimizer(settings, dimension: 6)
            let found = expected.indices.map { server.step(Self.goldenDirection(round: $0)) }
            for index in 0..<6 {
                let largest = expected.map { abs($0[index]) }.max()!
                #expect(largest > 0)
                for round in expected.indices {
                    let gap = abs(Double(found[round][index]) - expected[round][index])
                    #expect(gap <= 2e-5 * largest, "case \(number), round \(round), coordinate \(index)")
                }
            }
        }
    }

    /// As `make.py` has it.
    private static func goldenDirection(round: Int) -> [Float] {
        (0..<6).map { index in
            guard index != 5 || round.isMultiple(of: 8) else { return 0 }
            let size = pow(10, Double(index - 4)) * Double(1 + (round * round + index) % 7)
            return Float(size * sin(0.9 * Double(round) + Double(index)))
        }
    }
}
