import Kernels
import Models
import Testing

@Suite("Engine results do not depend on threads, packing or neighbours")
struct EngineDeterminismTests {
    static let graph = engineConfiguration(keyValueHeads: 2, tied: false, layers: 2, vocabulary: 31)
    static let model = engineModel(graph, seed: 21)
    static let adapter = engineAdapter(
        LoRAConfiguration(rank: 2, alpha: 4, targetModules: graph.linearModules), base: graph, seed: 22)
    /// Several packs of the engine's size.
    static let examples = engineExamples(90, vocabulary: 31, lengths: 2...40, seed: 23)

    func recordGradients(
        _ examples: [TokenizedExample], _ part: TrainablePart, threads: Int
    ) throws -> (gradients: [[Float]], losses: [Float]) {
        var (gradients, losses): ([[Float]], [Float]) = ([], [])
        try TrainingEngine(model: Self.model, threads: threads).perRecordGradients(
            of: examples, adapter: Self.adapter, part: part
        ) { _, gradient, loss in
            gradients.append(Array(gradient))
            losses.append(loss)
        }
        return (gradients, losses)
    }

    @Test("one, two and three threads give the same bits", arguments: TrainablePart.allCases)
    func threadsChangeNothing(part: TrainablePart) throws {
        let one = try recordGradients(Self.examples, part, threads: 1)
        let batch = try TrainingEngine(model: Self.model, threads: 1)
            .lossAndGradient(of: Self.examples, adapter: Self.adapter, part: part)
        for threads in 2...3 {
            let many = try recordGradients(Self.examples, part, threads: threads)
            #expect(many.gradients == one.gradients && many.losses == one.losses)
            let other = try TrainingEngine(model: Self.model, threads: threads)
                .lossAndGradient(of: Self.examples, adapter: Self.adapter, part: part)
            #expect(other.gradient == batch.gradient && other.loss == batch.loss)
        }
    }

    @Test("one long sequence, whose rows are split, gives the same bits too")
    func longSequence() throws {
        let graph = engineConfiguration(vocabulary: 31, positions: 600)
        let model = engineModel(graph, seed: 24)
        let adapter = engineAdapter(
            LoRAConfiguration(rank: 2, alpha: 4, targetModules: graph.linearModules), base: graph,
            seed: 25)
        let example = engineExamples(1, vocabulary: 31, lengths: 600...600, seed: 26)
        let results = try (1...2).map { threads in
            try TrainingEngine(model: model, threads: threads)
                .lossAndGradient(of: example, adapter: adapter, part: .aAndB)
        }
        #expect(results[0].gradient == results[1].gradient && results[0].loss == results[1].loss)
        let scores = try (1...2).map {
            try Evaluator(model: model, adapter: adapter, threads: $0).meanLoss(example).loss
        }
        #expect(scores[0] == scores[1])
    }

    @Test("a record's gradient does not change with its neighbours")
    func neighboursDoNotLeak() throws {
        let all = try recordGradients(Self.examples, .aAndB, threads: 1)
        for index in [0, 7, 89] {
            let alone = try recordGradients([Self.examples[index]], .aAndB, threads: 1)
            #expect(all.gradients[index] == alone.gradients[0])
        }
    }

    @Test("record gradients add up to the batch's")
    func recordsSumToBatch() throws {
        let records = try recordGradients(Self.examples, .aAndB, threads: 1)
        let engine = TrainingEngine(model: Self.model)
        let byRecord = try engine.lossAndGradient(
            of: Self.examples, adapter: Self.adapter, part: .aAndB, averaging: .records)
        var mean = [Double](repeating: 0, count: byRecord.gradient.count)
        for gradient in records.gradients {
            for i in mean.indices { mean[i] += Double(gradient[i]) / Double(Self.examples.count) }
        }
        #expect(engineDistance(byRecord.gradient, mean) < 2e-6)

        let byToken = try engine.lossAndGradient(
            of: Self.examples, adapter: Self.adapter, part: .aAndB, averaging: .tokens)
        let tokens = Self.examples.reduce(0) { $0 + $1.targetCount }
        var weighted = [Double](repeating: 0, count: mean.count)
        for (gradient, example) in zip(records.gradients, Self.examples) {
            let share = Double(example.targetCount) / Double(tokens)
            for i in weighted.indices { weighted[i] += Double(gradient[i]) * share }
        }
        #expect(engineDistance(byToken.gradient, weighted) < 2e-6)
        #expect(byToken.tokens == tokens)
    }

    @Test("merged and separate adapters agree, and each segment follows its own adapter")
    func mergedEqualsSeparate() throws {
        let pool = ThreadPool(threads: 2)
        let other = engineAdapter(Self.adapter.configuration, base: Self.graph, seed: 27)
        let merged = try [Self.adapter, other].map {
            try AdaptedModel(Self.model, adapters: [$0], merge: true, pool: pool)
        }
        let separate = try AdaptedModel(
            Self.model, adapters: [Self.adapter, other], merge: false, pool: pool)
        #expect(merged[0].isMerged && !separate.isMerged)

        let chosen = Array(Self.examples[0..<12])
        let count = Self.adapter.count(.aAndB)
        func run(_ model: AdaptedModel, _ adapterOf: (Int) -> Int) -> ([[Double]], [Float]) {
            var pack = Pack()
            for (index, example) in chosen.enumerated() {
                pack.append(example, adapter: adapterOf(index))
            }
            let gradients = UnsafeMutablePointer<Float>.allocate(capacity: chosen.count * count)
            defer { gradients.deallocate() }
            var losses = [Float](repeating: 0, count: pack.targets.count)
            GraphPass(model, pack, arena: Arena(), pool: pool, keepsStates: true).loss(
                losses: &losses, weights: [Float](repeating: 1, count: losses.count),
                gradient: .adapters(
                    part: .aAndB,
                    groups: pack.segments.enumerated().map {
                        GradientGroup(rows: $1.rows, target: gradients + $0 * count)
                    }))
            let vectors = chosen.indices.map { index in
                (0..<count).map { Double(gradients[index * count + $0]) }
            }
            return (vectors, losses)
        }
        let mixed = run(separate) { $0 % 2 }
        let each = merged.map { run($0) { _ in 0 } }
        var target = 0
        for (index, example) in chosen.enumerated() {
            let expected = each[index % 2]
            #expect(engineDistance(mixed.0[index].map(Float.init), expected.0[index]) < 1e-5)
            for _ in 0..<example.targetCount {
                #expect(abs(mixed.1[target] - expected.1[target]) < 1e-5)
                target += 1
            }
        }
    }

    @Test("scores of many packs equal scores one by one")
    func scoresDoNotDependOnPacking() throws {
        let evaluator = try Evaluator(model: Self.model, adapter: Self.adapter)
        let together = try evaluator.losses(Self.examples)
        for (example, score) in zip(Self.examples, together) {
            #expect(abs(try evaluator.losses([example])[0].loss - score.loss) < 2e-6)
        }
    }
}
