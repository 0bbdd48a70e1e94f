import FedTrain
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
}
