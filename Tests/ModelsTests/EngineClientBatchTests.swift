import Kernels
import Models
import Testing

@Suite("Many clients in one batch")
struct EngineClientBatchTests {
    static let graph = engineConfiguration(keyValueHeads: 2, tied: false, layers: 2, vocabulary: 31)
    static let model = engineModel(graph, seed: 61)

    /// Clients of very different sizes, each with an adapter of its own.
    static let clients = [1, 9, 2, 30, 4, 1, 12].enumerated().map { index, count in
        ClientBatch(
            adapter: engineAdapter(
                LoRAConfiguration(rank: 2, alpha: 4, targetModules: graph.linearModules), base: graph,
                seed: UInt64(70 + index)),
            examples: engineExamples(
                count, vocabulary: 31, lengths: 2...40, seed: UInt64(80 + index)))
    }

    @Test(
        "a client's loss and gradient are bit for bit those it has alone, for any number of threads",
        arguments: TrainablePart.allCases, [LossAveraging.tokens, .records])
    func companionsChangeNothing(part: TrainablePart, averaging: LossAveraging) throws {
        let alone = try Self.clients.map {
            try TrainingEngine(model: Self.model, threads: 1).lossesAndGradients(
                of: [$0], part: part, averaging: averaging)[0]
        }
        for threads in 1...3 {
            let together = try TrainingEngine(model: Self.model, threads: threads)
                .lossesAndGradients(of: Self.clients, part: part, averaging: averaging)
            for (one, many) in zip(alone, together) {
                #expect(one.loss == many.loss && one.tokens == many.tokens)
                let isEqual = one.gradient == many.gradient
                #expect(isEqual)
            }
        }
    }

    @Test("they are also those of the adapter merged into the weights, to float rounding")
    func mergedAgrees() throws {
        let engine = TrainingEngine(model: Self.model)
        let together = try engine.lossesAndGradients(of: Self.clients, part: .aAndB)
        for (client, result) in zip(Self.clients, together) {
            let merged = try engine.lossAndGradient(
                of: client.examples, adapter: client.adapter, part: .aAndB)
            #expect(abs(merged.loss - result.loss) < 1e-5)
            #expect(engineDistance(merged.gradient, result.gradient.map(Double.init)) < 1e-5)
        }
    }

    @Test("another client's data and adapter have no influence at all")
    func nothingLeaks() throws {
        let engine = TrainingEngine(model: Self.model)
        let before = try engine.lossesAndGradients(of: Self.clients, part: .aAndB)
        var changed = Self.clients
        changed[3].examples = engineExamples(5, vocabulary: 31, lengths: 3...9, seed: 99)
        changed[3].adapter = engineAdapter(
            changed[3].adapter.configuration, base: Self.graph, seed: 100)
        let after = try engine.lossesAndGradients(of: changed, part: .aAndB)
        for index in Self.clients.indices {
            let isEqual = before[index].gradient == after[index].gradient
            #expect(isEqual == (index != 3))
        }
    }

    @Test("local training in common steps gives each client what it gets alone")
    func commonTrainingAgrees() throws {
        let training = LocalTraining(
            length: .epochs(2), batchSize: 3, learningRate: 1e-2, schedule: .cosine(warmUp: 2),
            gradientNormMax: 1)
        let trainer = LocalTrainer(engine: TrainingEngine(model: Self.model), training: training)
        let clients = Self.clients.enumerated().map {
            LocalClient(adapter: $1.adapter, examples: $1.examples, seed: UInt64($0))
        }
        var steps: [LocalProgress] = []
        let together = try trainer.train(clients, part: .bOnly) {
            steps.append($0)
            return true
        }
        for (client, update) in zip(clients, together) {
            let alone = try trainer.train([client], part: .bOnly)[0]
            let isEqual = alone.update == update.update && alone.losses == update.losses
            #expect(isEqual)
            #expect(update.losses.count == 2 * ((client.examples.count + 2) / 3))
            var generator = SplitMix64(seed: client.seed)
            let merged = try trainer.train(
                client.adapter, part: .bOnly, on: client.examples, generator: &generator)
            #expect(abs(merged.losses.last! - update.losses.last!) < 1e-4)
        }
        #expect(steps.map(\.step) == Array(1...20) && steps[0].clients == 7 && steps[19].clients == 1)
        #expect(
            steps[19].tokens
                == 2 * clients.flatMap(\.examples).reduce(0) { $0 + $1.tokens.count - 1 })
        // Stopping early keeps the steps taken.
        let stopped = try trainer.train(clients, part: .bOnly) { $0.step < 3 }
        #expect(stopped[3].losses == Array(together[3].losses[..<3]))
    }

    @Test("rates follow transformers' schedules")
    func schedulesFollow() {
        // get_linear_schedule_with_warmup and get_cosine_schedule_with_warmup, 2 of 6 steps of warm-up.
        let linear: [Float] = [0, 0.5, 1, 0.75, 0.5, 0.25, 0]
        let cosine: [Float] = [0, 0.5, 1, 0.853_553_4, 0.5, 0.146_446_6, 0]
        for step in 0...6 {
            #expect(RateSchedule.constant.factor(at: step, of: 6) == 1)
            #expect(abs(RateSchedule.linear(warmUp: 2).factor(at: step, of: 6) - linear[step]) < 1e-6)
            #expect(abs(RateSchedule.cosine(warmUp: 2).factor(at: step, of: 6) - cosine[step]) < 1e-6)
        }
    }
}
