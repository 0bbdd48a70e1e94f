import DP
import Models
import Sodium

/// The client's half of a coordinate's way, up to the masks: one function, read from top to bottom.
package struct ClientRound {
    let plan: RoundPlan
    package let training: FederationConfiguration.Training
    package let engine: TrainingEngine
    let steps: ProtectiveSteps

    package init(
        plan: RoundPlan, training: FederationConfiguration.Training, engine: TrainingEngine,
        steps: ProtectiveSteps = .genuine
    ) {
        self.plan = plan
        self.training = training
        self.engine = engine
        self.steps = steps
    }

    /// Noise, then training, then clipping, rotation and rounding; the sum of both leaves.
    ///
    /// - Parameters:
    ///   - permit: proof that the client's own ledger holds the charge durably; used up here.
    ///   - noiseSeeds: `plan.noiseSeeds` of this round, for the noise that may be removed again.
    ///   - random: the client's secret stream for noise, sampling and rounding.
    /// - Returns: `plan.aggregation.length` noisy integers, ready for the masks.
    package func contribution(
        of examples: [TokenizedExample], adapter: LoRAAdapter, rotation: Rotation,
        permit: consuming Permit, noiseSeeds: [SecretBytes] = [], random: StreamRandom
    ) throws -> [Int32] {
        precondition(permit.event == plan.event, "the permit pays for another event")
        return try steps.contribution(
            plan.aggregation, rotation: rotation, noiseSeeds: noiseSeeds, random: random
        ) {
            encoder, values in
            switch plan.algorithm {
            case .dpFedSGD:
                try addRecordGradients(
                    of: plan.sample(examples, random), adapter: adapter, encoder: encoder, to: &values,
                    random: random)
            case .fedAvg:
                let update = try localUpdate(of: examples, adapter: adapter, random: random)
                encoder.encode(update, addingTo: &values, random: random)
            }
        }
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

extension RoundPlan {
    /// Each unit joins with probability q, by a coin of its own that never leaves the client.
    func sample<Unit>(_ units: [Unit], _ random: StreamRandom) -> [Unit] {
        guard samplingRate < 1 else { return units }
        // q is a fraction of small integers: an exact coin, no rounded probability.
        let numerator = samplingRate.numerator.asUInt64!
        let denominator = samplingRate.denominator.asUInt64!
        var source = random
        return units.filter { _ in source.uniform(below: denominator) < numerator }
    }
}
