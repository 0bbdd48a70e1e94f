import Models
import Sodium

/// The same training as a DP-FedSGD federation, without clipping, noise or masks: the yardsticks that
/// a private run is compared with.
///
/// With the records of all sites it is the federation whose sum travels in clear; with the records of
/// one site it is that site on its own. Neither is private in any sense, and outputs say so.
public struct ClearTraining: Sendable {
    public let engine: TrainingEngine
    public let part: TrainablePart
    public let rounds: Int
    public let samplingRate: Double
    public let server: FederationConfiguration.Training.Server

    public init(
        engine: TrainingEngine, part: TrainablePart, rounds: Int, samplingRate: Double,
        server: FederationConfiguration.Training.Server
    ) {
        self.engine = engine
        self.part = part
        self.rounds = rounds
        self.samplingRate = samplingRate
        self.server = server
    }

    /// Trains from `adapter` on `records`, each joining a round with the sampling rate.
    public func train(
        _ adapter: LoRAAdapter, on records: [TokenizedExample], random: StreamRandom,
        progress: (_ round: Int) throws -> Void = { _ in }
    ) throws -> LoRAAdapter {
        var adapter = adapter
        var optimizer = ServerOptimizer(server, dimension: adapter.count(part))
        for round in 1...rounds {
            try progress(round)
            let batch = records.filter { _ in bernoulli(samplingRate, random) }
            guard !batch.isEmpty else { continue }
            let result = try engine.lossAndGradient(
                of: batch, adapter: adapter, part: part, averaging: .records)
            adapter = adapter.adding(optimizer.step(result.gradient.map { -$0 }), part)
        }
        return adapter
    }

    private func bernoulli(_ probability: Double, _ random: StreamRandom) -> Bool {
        Double(random.nextUInt64() >> 11) * 0x1p-53 < probability
    }
}
