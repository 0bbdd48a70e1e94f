import DP
import Models
import Sodium

/// The client's half of a coordinate's way, up to the masks: one function, read from top to bottom.
struct ClientRound {
    let plan: RoundPlan
    let training: FederationConfiguration.Training
    let engine: TrainingEngine

    /// Noise, then training, then clipping, rotation and rounding; the sum of both leaves.
    ///
    /// - Parameters:
    ///   - permit: proof that the client's own ledger holds the charge durably; used up here.
    ///   - noiseSeeds: `plan.noiseSeeds` of this round, for the noise that may be removed again.
    ///   - random: the client's secret stream for noise, sampling and rounding.
    /// - Returns: `plan.aggregation.length` noisy integers, ready for the masks.
    func contribution(
        of examples: [TokenizedExample], adapter: LoRAAdapter, rotation: Rotation,
        permit: consuming Permit, noiseSeeds: [SecretBytes] = [], random: StreamRandom
    ) throws -> [Int32] {
        precondition(permit.event == plan.event, "the permit pays for another event")
        // Noise first: its timing then says nothing about the data.
        let noise = plan.aggregation.noise.noiseShare(
            count: plan.aggregation.length, seeds: noiseSeeds, using: random)
        var values = [Int32](repeating: 0, count: plan.aggregation.length)
        let encoder = UpdateEncoder(plan: plan.aggregation.encoding, rotation: rotation)
        switch plan.algorithm {
        case .dpFedSGD:
            try addRecordGradients(
                of: sample(examples, random), adapter: adapter, encoder: encoder, to: &values,
                random: random)
        case .fedAvg:
            let update = try localUpdate(of: examples, adapter: adapter, random: random)
            encoder.encode(update, addingTo: &values, random: random)
        }
        noise.add(to: &values)
        return values
    }

    /// Each record joins with probability q, by a coin of its own that never leaves the client.
    private func sample(
        _ examples: [TokenizedExample], _ random: StreamRandom
    ) -> [TokenizedExample] {
        guard plan.samplingRate < 1 else { return examples }
        // q is a fraction of small integers: an exact coin, no rounded probability.
        let numerator = plan.samplingRate.numerator.asUInt64!
        let denominator = plan.samplingRate.denominator.asUInt64!
        var source = random
        return examples.filter { _ in source.uniform(below: denominator) < numerator }
    }

    /// One integer vector of bounded norm for each record, added up.
    private func addRecordGradients(
        of records: [TokenizedExample], adapter: LoRAAdapter, encoder: UpdateEncoder,
        to values: inout [Int32], random: StreamRandom
    ) throws {
        guard !records.isEmpty else { return }
        try values.withUnsafeMutableBufferPointer { sum in
            try engine.perRecordGradients(of: records, adapter: adapter, part: plan.part) {
                _, gradient, _ in
                encoder.encode(gradient, addingTo: sum, random: random)
            }
        }
    }

    /// FedAvg: what local training changed.
    private func localUpdate(
        of examples: [TokenizedExample], adapter: LoRAAdapter, random: StreamRandom
    ) throws -> [Float] {
        let trainer = LocalTrainer(
            engine: engine,
            training: LocalTraining(
                length: .steps(training.localSteps), batchSize: training.batchSize,
                learningRate: Float(training.learningRate)))
        var generator = SplitMix64(seed: random.nextUInt64())
        return try trainer.train(adapter, part: plan.part, on: examples, generator: &generator).update
    }
}
