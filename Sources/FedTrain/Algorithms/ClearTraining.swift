import Models
import Sodium

/// The same training as a DP-FedSGD federation, without noise or masks: the yardsticks that a private
/// run is compared with.
///
/// With the records of all sites it is the federation whose sum travels in clear; with the records of
/// one site it is that site on its own. Gradients are clipped per record as in the private run, so that
/// the same learning rate means the same step. Not private in any sense, and outputs say so.
public struct ClearTraining: Sendable {
    public let engine: TrainingEngine
    public let part: TrainablePart
    public let rounds: Int
    public let samplingRate: Double
    public let clipNorm: Float
    public let server: FederationConfiguration.Training.Server

    public init(
        engine: TrainingEngine, part: TrainablePart, rounds: Int, samplingRate: Double, clipNorm: Float,
        server: FederationConfiguration.Training.Server
    ) {
        self.engine = engine
        self.part = part
        self.rounds = rounds
        self.samplingRate = samplingRate
        self.clipNorm = clipNorm
        self.server = server
    }

    /// Trains from `adapter` on `records`, each joining a round with the sampling rate.
    public func train(
        _ adapter: LoRAAdapter, on records: [TokenizedExample], random: StreamRandom,
        progress: (_ round: Int) throws -> Void = { _ in }
    ) throws -> LoRAAdapter {
        var adapter = adapter
        var optimizer = ServerOptimizer(server, dimension: adapter.count(part))
        // The private run divides by the expected number of records too.
        let denominator = Float(max(1, samplingRate * Double(records.count)))
        for round in 1...rounds {
            try progress(round)
            let batch = records.filter { _ in
                Double(random.nextUInt64() >> 11) * 0x1p-53 < samplingRate
            }
            let sum = try clippedSum(of: batch, adapter: adapter)
            adapter = adapter.adding(optimizer.step(sum.map { -$0 / denominator }), part)
        }
        return adapter
    }

    private func clippedSum(of batch: [TokenizedExample], adapter: LoRAAdapter) throws -> [Float] {
        var sum = [Float](repeating: 0, count: adapter.count(part))
        guard !batch.isEmpty else { return sum }
        try engine.perRecordGradients(of: batch, adapter: adapter, part: part) { _, gradient, _ in
            var squares: Float = 0
            for value in gradient { squares += value * value }
            let scale = min(1, clipNorm / max(squares.squareRoot(), .leastNormalMagnitude))
            for index in sum.indices { sum[index] += scale * gradient[index] }
        }
        return sum
    }
}
