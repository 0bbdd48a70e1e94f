import Models
import Testing

@Suite("Local training and pretraining")
struct EngineTrainingTests {
    static let graph = engineConfiguration(vocabulary: 31)
    static let model = engineModel(graph, seed: 41)
    static let examples = engineExamples(23, vocabulary: 31, lengths: 4...20, seed: 42)

    func update(
        _ length: LocalTraining.Length, seed: UInt64, threads: Int, part: TrainablePart = .bOnly
    ) throws -> LocalUpdate {
        var generator = SplitMix64(seed: 7)
        let adapter = LoRAAdapter(
            configuration: LoRAConfiguration(rank: 2, alpha: 4, targetModules: [.query, .value, .down]),
            base: Self.graph, generator: &generator)
        var order = SplitMix64(seed: seed)
        return try LocalTrainer(
            engine: TrainingEngine(model: Self.model, threads: threads),
            training: LocalTraining(length: length, batchSize: 5, learningRate: 0.02)
        ).train(adapter, part: part, on: Self.examples, generator: &order)
    }

    @Test("local training lowers the loss, for a fixed seed to the bit whatever the threads")
    func localTraining() throws {
        let result = try update(.epochs(6), seed: 1, threads: 1)
        #expect(result.losses.count == 6 * 5)
        let (early, late) = (result.losses.prefix(5), result.losses.suffix(5))
        #expect(late.reduce(0, +) < 0.95 * early.reduce(0, +))
        #expect(try update(.epochs(6), seed: 1, threads: 2).update == result.update)
        #expect(try update(.epochs(6), seed: 2, threads: 2).update != result.update)
        #expect(try update(.steps(7), seed: 1, threads: 2).losses == Array(result.losses.prefix(7)))
    }

    @Test("zero steps change nothing")
    func zeroSteps() throws {
        let result = try update(.steps(0), seed: 1, threads: 1, part: .aAndB)
        #expect(result.losses.isEmpty && result.update.allSatisfy { $0 == 0 })
    }

    @Test("pretraining learns a cyclic language, the same bits for one and two threads")
    func pretraining() throws {
        let examples = (0..<40).map { start in
            TokenizedExample(tokens: (0..<24).map { Int32((start + 3 * $0) % 31) })
        }
        var generator = SplitMix64(seed: 5)
        let start = LanguageModel(configuration: Self.graph, initialisedBy: &generator)
        var reports: [[PretrainingProgress]] = []
        let trained = try (1...2).map { threads in
            var progress: [PretrainingProgress] = []
            defer { reports.append(progress) }
            return try Pretrainer(
                training: Pretraining(
                    steps: 150, batchTokens: 300, learningRate: 1e-2, warmUpSteps: 10), threads: threads
            ).train(start, on: examples, seed: 9) { report in
                progress.append(report)
                return true
            }
        }
        #expect(trained[0].flatWeights == trained[1].flatWeights)
        #expect(reports[0] == reports[1])
        #expect(reports[0].count == 150 && reports[0].last!.step == 150)
        #expect(abs(reports[0][0].loss - 3.434) < 0.2, "a fresh model knows nothing: log 31")
        #expect(try Evaluator(model: trained[0]).meanLoss(examples).loss < 0.3)
    }

    @Test("a step without some blocks has the gradient of the shorter model, and 0 for the blocks left out")
    func blockDrop() throws {
        let whole = Self.model
        let count = whole.configuration.layerCount
        let kept = Array(0..<count - 1)
        let pretrainer = Pretrainer(training: Pretraining(steps: 1))
        let (loss, gradient) = try pretrainer.gradient(of: Self.examples, whole, blocks: kept)
        let shorter = whole.taking(blocks: kept)
        let (expectedLoss, expected) = try pretrainer.gradient(of: Self.examples, shorter)
        #expect(loss == expectedLoss)
        for tensor in shorter.layout.tensors {
            #expect(
                gradient[whole.layout.named(tensor.name).range] == expected[tensor.range], "\(tensor.name)")
        }
        for tensor in whole.layout.tensors where tensor.block == count - 1 {
            #expect(gradient[tensor.range].allSatisfy { $0 == 0 })
        }
        // 0 draws nothing, so that recipes without it keep their bytes; a chance keeps its share.
        var generator = SplitMix64(seed: 1)
        #expect(Pretraining(steps: 1).blocks(of: 5, &generator) == [0, 1, 2, 3, 4])
        var untouched = SplitMix64(seed: 1)
        #expect(generator.next() == untouched.next())
        let dropping = Pretraining(steps: 1, blockDrop: 0.25)
        let kinds = (0..<4000).map { _ in dropping.blocks(of: 8, &generator) }
        #expect(kinds.allSatisfy { !$0.isEmpty && $0 == Set($0).sorted() })
        // 32,000 coins: 6 deviations are 0.015.
        #expect(abs(Double(kinds.reduce(0) { $0 + $1.count }) / 32_000 - 0.75) < 0.015)
    }

    @Test("pretraining stops when told to, and its rate warms up and decays")
    func stopsAndSchedules() throws {
        var steps = 0
        let training = Pretraining(
            steps: 100, batchTokens: 50, learningRate: 1, finalRateShare: 0.1, warmUpSteps: 10)
        _ = try Pretrainer(training: training).train(Self.model, on: Self.examples, seed: 1) { report in
            steps = report.step
            return report.step < 3
        }
        #expect(steps == 3)
        #expect(abs(training.rate(at: 0) - 0.1) < 1e-6)
        #expect(training.rate(at: 9) == 1 && training.rate(at: 10) == 1)
        #expect(abs(training.rate(at: 99) - 0.1) < 1e-6)
        #expect(training.rate(at: 50) < training.rate(at: 40))
    }

    @Test("a learning rate that makes the loss overflow is reported, not returned")
    func divergenceIsReported() throws {
        #expect(throws: EngineError.self) {
            try Pretrainer(
                training: Pretraining(steps: 60, batchTokens: 50, learningRate: 1e30, warmUpSteps: 0)
            ).train(Self.model, on: Self.examples, seed: 1) { _ in true }
        }
    }
}
