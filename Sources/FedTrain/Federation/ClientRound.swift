import DP
import Models
import Sodium

/// The client's half of a coordinate's way, up to the masks: one function, read from top to bottom.
package struct ClientRound {
    let plan: RoundPlan
    package let training: FederationConfiguration.Training
    package let engine: TrainingEngine
    let steps: ProtectiveSteps
    /// Trains in this client's place; nil: the client trains itself.
    let external: ExternalTrainer?

    package init(
        plan: RoundPlan, training: FederationConfiguration.Training, engine: TrainingEngine,
        external: ExternalTrainer? = nil, steps: ProtectiveSteps = .genuine
    ) {
        self.plan = plan
        self.training = training
        self.engine = engine
        self.external = external
        self.steps = steps
    }

    /// Noise, then training, then clipping, rotation and rounding; the sum of both leaves.
    ///
    /// - Parameters:
    ///   - personal: this client's own numbers; nil before its first round, or without any.
    ///   - permit: proof that the client's own ledger holds the charge durably; used up here.
    ///   - noiseSeeds: `plan.noiseSeeds` of this round, for the noise that may be removed again.
    ///   - random: the client's secret stream for noise, sampling and rounding.
    /// - Returns: `plan.aggregation.length` noisy integers, ready for the masks.
    package func contribution(
        of examples: [TokenizedExample], model: GlobalModel, round: Int, personal: inout [Float]?,
        rotation: Rotation, permit: consuming Permit, noiseSeeds: [SecretBytes] = [], random: StreamRandom
    ) throws -> [Int32] {
        precondition(permit.event == plan.event, "the permit pays for another event")
        let work = model.work(of: examples, training: training, engine: engine, round: round)
        return try steps.contribution(
            plan.aggregation, rotation: rotation, noiseSeeds: noiseSeeds, random: random
        ) {
            encoder, values in
            switch plan.unit {
            case .record:
                // One integer vector of bounded norm for each record, added up.
                let records = plan.sample(Array(examples.indices), random)
                let padding = plan.aggregation.encoding.dimension - work.start.count
                try values.withUnsafeMutableBufferPointer { sum in
                    try eachGradient(of: records, work, model, round) { gradient in
                        guard padding > 0 else {
                            encoder.encode(gradient, addingTo: sum, random: random)
                            return
                        }
                        (Array(gradient) + zeros(padding)).withUnsafeBufferPointer {
                            _ = encoder.encode($0, addingTo: sum, random: random)
                        }
                    }
                }
                if training.algorithm == .ditto {
                    var generator = SplitMix64(seed: random.nextUInt64())
                    try work.movePersonal(&personal, generator: &generator)
                }
            case .client:
                var generator = SplitMix64(seed: random.nextUInt64())
                let update = try update(work, model, round, personal: &personal, generator: &generator)
                encoder.encode(
                    update + zeros(plan.aggregation.encoding.dimension - update.count), addingTo: &values,
                    random: random)
            }
        }
    }
}

extension ClientRound {
    /// One gradient for each of some records, by this client or by another program.
    private func eachGradient(
        of records: [Int], _ work: ClientWork<AdapterObjective>, _ model: GlobalModel, _ round: Int,
        _ emit: (UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        guard let external, case .lora(let adapter) = model.adapter else {
            return try work.eachGradient(of: records, emit)
        }
        try external.perRecordGradients(
            of: records.map { work.objective.examples[$0] }, adapter: adapter,
            part: model.shared.part(round: round)
        ) { gradient in try gradient.withUnsafeBufferPointer(emit) }
    }

    /// The whole update, by this client or by another program.
    private func update(
        _ work: ClientWork<AdapterObjective>, _ model: GlobalModel, _ round: Int,
        personal: inout [Float]?, generator: inout SplitMix64
    ) throws -> [Float] {
        guard let external, case .lora(let adapter) = model.adapter else {
            return try work.update(personal: &personal, generator: &generator)
        }
        return try external.update(
            of: adapter, part: model.shared.part(round: round), on: work.objective.examples,
            training: training, seed: generator.next())
    }
}

/// A round may carry fewer numbers than the plan's vector has: the rest are zeros.
private func zeros(_ count: Int) -> [Float] { [Float](repeating: 0, count: count) }

extension GlobalModel {
    /// What a client with these records does in a round.
    package func work(
        of examples: [TokenizedExample], training: FederationConfiguration.Training,
        engine: TrainingEngine, round: Int
    ) -> ClientWork<AdapterObjective> {
        ClientWork(
            training: training,
            objective: AdapterObjective(
                engine: engine, adapter: adapter, part: shared.part(round: round), examples: examples),
            start: trained(round: round), shared: shared.ranges, directions: directions)
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
