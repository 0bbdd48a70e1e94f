import Foundation
import Models

/// `bench train`: local training beside this machine's own matrix products, and the bars of the design.
///
/// Models have random weights of real shapes: speed and memory do not depend on what they know. A step is
/// a forward and a backward pass with the gradients of LoRA of rank 8 on q and v, counted as 4·N
/// floating-point operations per token for N weights: frozen weights get no gradient.
public enum TrainBenchmark {
    /// What can be measured alone.
    public enum Part: String, CaseIterable, Sendable {
        case step, clients, soak, loading, tinyllama
    }

    /// - Parameter soakSeconds: how long the soak trains; nil is 1,000 steps.
    public static func run(
        _ stopwatch: Stopwatch, parts: [Part] = Part.allCases, soakSeconds: Double? = nil
    ) throws -> [Measurement] {
        var results: [Measurement] = []
        for part in parts {
            switch part {
            case .step: try measure135M(stopwatch, &results)
            case .clients: try measureManyClients(stopwatch, &results)
            case .soak: try measureSoak(stopwatch, seconds: soakSeconds, &results)
            case .loading: try measureLoading(stopwatch, &results)
            case .tinyllama: try measureTinyLlama(stopwatch, &results)
            }
        }
        return results
    }

    // MARK: 135M weights, 4 × 256 tokens

    private static func measure135M(
        _ stopwatch: Stopwatch, _ results: inout [Measurement]
    ) throws {
        let step = try Step(.smolLM135M, store: .f32, clients: 1, records: 4, tokens: 256)
        ResidentMemory.resetPeak()
        try step.run()
        let speed = try step.againstPeak(stopwatch)
        results += [
            Measurement(
                name: "matrix product on all cores, against OpenBLAS", value: speed.ownPeak / 1e9,
                unit: "GFLOP/s", limit: speed.openBLASPeak / 1e9),
            Measurement(
                name: "LoRA step, 135M Llama, 4x256 tokens", value: speed.step / 1e9, unit: "GFLOP/s",
                limit: speed.peak / 1e9),
            Measurement(
                name: "LoRA step, 135M Llama, 4x256 tokens, speed", value: step.tokens / speed.seconds,
                unit: "tokens/s"),
            Measurement(
                name: "LoRA step, 135M Llama, 4x256 tokens, peak memory",
                value: ResidentMemory.peakMiB, unit: "MiB"),
        ]

        let bytes = try Step(.smolLM135M, store: .int8, clients: 1, records: 4, tokens: 256)
        try bytes.run()
        let times = try pairedSeconds(repetitions: 3, stopwatch, { try step.run() }, { try bytes.run() })
        results += [
            Measurement(
                name: "int8 base, step time against f32", value: times.second, unit: "s",
                limit: times.first),
            Measurement(
                name: "int8 base, weight memory against f32", value: bytes.weightMiB, unit: "MiB",
                limit: step.weightMiB),
            Measurement(
                name: "int8 base, difference of the loss", value: abs(try bytes.loss() - step.loss()),
                unit: "nats", limit: 1e-2),
        ]
    }

    // MARK: One million weights, many clients

    private static func measureManyClients(
        _ stopwatch: Stopwatch, _ results: inout [Measurement]
    ) throws {
        let clients = try Step(.oneMillion, store: .f32, clients: 64, records: 1, tokens: 64)
        let oneByOne = try Step(.oneMillion, store: .f32, clients: 1, records: 1, tokens: 64)
        try clients.run()
        let times = try pairedSeconds(
            repetitions: 9, stopwatch, { for _ in 0..<64 { try oneByOne.run() } }, { try clients.run() })
        results.append(
            Measurement(
                name: "1M base, 64 clients of 64 tokens in one batch, against one by one",
                value: clients.tokens / times.second, unit: "tokens/s",
                limit: clients.tokens / times.first))

        let hundred = try Step(.oneMillion, store: .f32, clients: 100, records: 1, tokens: 64)
        let alone = try Step(.oneMillion, store: .f32, clients: 1, records: 100, tokens: 64)
        try hundred.run()
        let pair = try pairedSeconds(
            repetitions: 9, stopwatch, { try alone.run() }, { try hundred.run() })
        results.append(
            Measurement(
                name: "1M base, 100 clients together, against one with the same tokens",
                value: hundred.tokens / pair.second, unit: "tokens/s",
                limit: hundred.tokens / pair.first))
    }

    // MARK: A thousand steps

    /// Local training for 1,000 steps, or for as long as asked: the highest and the lowest peak memory of any
    /// hundred steps, against the second hundred (the first may still fill the workspaces).
    ///
    /// Every hundred steps go on from the adapter that the hundred before left, as a client's rounds do. A loss that is
    /// not finite ends the run (`EngineError.diverged`).
    private static func measureSoak(
        _ stopwatch: Stopwatch, seconds: Double?, _ results: inout [Measurement]
    ) throws {
        let step = try Step(.oneMillion, store: .f32, clients: 1, records: 8, tokens: 32)
        let training = step.training(stepsAtATime: 100)
        let end = seconds.map { stopwatch() + $0 }
        var peaks: [Double] = []
        var loss = Double.nan
        while end.map({ stopwatch() < $0 }) ?? (peaks.count < 10) || peaks.count < 3 {
            ResidentMemory.resetPeak()
            loss = try training()
            peaks.append(ResidentMemory.peakMiB)
        }
        let later = peaks.dropFirst(2)
        let steps = "1M base, \(peaks.count * 100) steps"
        results += [
            Measurement(
                name: "\(steps), highest peak memory of 100 steps, against steps 100 to 200",
                value: later.max()!, unit: "MiB", limit: peaks[1]),
            Measurement(
                name: "\(steps), lowest peak memory of 100 steps, against steps 100 to 200",
                value: later.min()!, unit: "MiB", limit: peaks[1]),
            Measurement(name: "\(steps), loss of the last step", value: loss, unit: "nats"),
        ]
    }

    // MARK: Loading

    private static func measureLoading(
        _ stopwatch: Stopwatch, _ results: inout [Measurement]
    ) throws {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("fedtrain-bench-\(ProcessInfo.processInfo.processIdentifier)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let size = try BenchmarkModel.smolLM135M.write(to: directory)
        var seconds: [Double] = []
        for _ in 0..<3 {
            let start = stopwatch()
            let model = try LanguageModel(checkpoint: Checkpoint.load(directory: directory))
            seconds.append(stopwatch() - start)
            precondition(model.parameterCount > 0)
        }
        results.append(
            Measurement(
                name: "load a checkpoint of \(size / 1_000_000) MB", value: seconds.median, unit: "s",
                limit: 0.1))
    }

    // MARK: 1.1 billion weights

    private static func measureTinyLlama(
        _ stopwatch: Stopwatch, _ results: inout [Measurement]
    ) throws {
        let step = try Step(.tinyLlama, store: .bf16, clients: 1, records: 1, tokens: 256)
        ResidentMemory.resetPeak()
        try step.run()
        let start = stopwatch()
        try step.run()
        results += [
            Measurement(
                name: "LoRA step, TinyLlama 1.1B in bf16, 1x256 tokens, peak memory",
                value: ResidentMemory.peakMiB, unit: "MiB", limit: 6144),
            Measurement(
                name: "LoRA step, TinyLlama 1.1B in bf16, 1x256 tokens, speed",
                value: step.tokens / (stopwatch() - start), unit: "tokens/s"),
        ]
    }
}

/// One step of LoRA of some clients on a random base.
private struct Step {
    let tokens: Double
    let weightMiB: Double
    private let weights: Double
    private let engine: TrainingEngine
    private let clients: [ClientBatch]

    init(
        _ shape: BenchmarkModel, store: WeightStore, clients: Int, records: Int, tokens: Int
    ) throws {
        let model = shape.model(store)
        var generator = SplitMix64(seed: 2)
        let configuration = LoRAConfiguration(rank: 8, alpha: 16, targetModules: [.query, .value])
        self.clients = (0..<clients).map { _ in
            ClientBatch(
                adapter: LoRAAdapter(
                    configuration: configuration, base: model.configuration, generator: &generator),
                examples: (0..<records).map { _ in
                    TokenizedExample(
                        tokens: (0...tokens).map { _ in
                            Int32(generator.next() % UInt64(model.configuration.vocabularySize))
                        })
                })
        }
        engine = TrainingEngine(model: model)
        weights = Double(model.parameterCount)
        weightMiB = Double(model.weightBytes) / 1_048_576
        self.tokens = Double(clients * records * tokens)
    }

    func run() throws { _ = try engine.lossesAndGradients(of: clients, part: .aAndB) }

    /// Local training of the first client with AdamW, a record a step. Every call goes on from where the last one
    /// ended and returns its last step's loss.
    func training(stepsAtATime steps: Int) -> () throws -> Double {
        let training = LocalTraining(length: .steps(steps), batchSize: 1, learningRate: 1e-3)
        let trainer = LocalTrainer(engine: engine, training: training)
        let examples = clients[0].examples
        var adapter = clients[0].adapter
        var generator = SplitMix64(seed: 3)
        return {
            let result = try trainer.train(adapter, part: .aAndB, on: examples, generator: &generator)
            adapter = adapter.adding(result.update, .aAndB)
            return result.losses.last!
        }
    }

    func loss() throws -> Double {
        try engine.lossesAndGradients(of: clients, part: .aAndB)[0].loss
    }

    /// Floating-point operations per second of the step and of plain products in the same moments.
    func againstPeak(_ stopwatch: Stopwatch) throws -> (
        step: Double, peak: Double, ownPeak: Double, openBLASPeak: Double, seconds: Double
    ) {
        let products = ProductPeak()
        let own = try pairedSeconds(
            repetitions: 3, stopwatch, { products.run(openBLAS: false) }, { try run() })
        let other = pairedSeconds(
            repetitions: 3, stopwatch, { products.run(openBLAS: true) },
            { products.run(openBLAS: false) })
        let ownPeak = products.operations / min(own.first, other.second)
        let openBLASPeak = products.operations / other.first
        let seconds = own.second
        return (
            4 * weights * tokens / seconds, max(ownPeak, openBLASPeak), ownPeak, openBLASPeak, seconds
        )
    }
}

/// Llama shapes with random weights.
private struct BenchmarkModel {
    let configuration: ModelConfiguration

    static let smolLM135M = BenchmarkModel(
        configuration: ModelConfiguration(
            vocabularySize: 49152, hiddenSize: 576, intermediateSize: 1536, layerCount: 30,
            headCount: 9, keyValueHeadCount: 3, maximumPositions: 2048))
    static let oneMillion = BenchmarkModel(
        configuration: ModelConfiguration(
            vocabularySize: 2048, hiddenSize: 128, intermediateSize: 352, layerCount: 4, headCount: 4,
            keyValueHeadCount: 2, maximumPositions: 512))
    static let tinyLlama = BenchmarkModel(
        configuration: ModelConfiguration(
            vocabularySize: 32000, hiddenSize: 2048, intermediateSize: 5632, layerCount: 22,
            headCount: 32, keyValueHeadCount: 4, maximumPositions: 2048, tiesWordEmbeddings: false))

    func model(_ store: WeightStore) -> LanguageModel {
        var generator = SplitMix64(seed: 1)
        return LanguageModel(configuration: configuration, store: store) { tensor, target in
            Self.fill(tensor, target, &generator)
        }
    }

    /// Uniform numbers with the deviation of fresh Llama weights, two to a word; gains are 1.
    private static func fill(
        _ tensor: WeightLayout.Tensor, _ target: UnsafeMutableBufferPointer<Float>,
        _ generator: inout SplitMix64
    ) {
        guard tensor.shape.count == 2 else { return target.update(repeating: 1) }
        for index in stride(from: 0, to: target.count, by: 2) {
            let word = generator.next()
            target[index] = Float(Int32(truncatingIfNeeded: word)) * (0x1p-31 * 0.035)
            if index + 1 < target.count {
                target[index + 1] = Float(Int32(truncatingIfNeeded: word >> 32)) * (0x1p-31 * 0.035)
            }
        }
    }

    /// Writes a checkpoint directory without a tokenizer; returns the bytes of its weights.
    func write(to directory: String) throws -> Int {
        var generator = SplitMix64(seed: 1)
        let tensors = WeightLayout(configuration).tensors.map { tensor in
            let values = [Float](unsafeUninitializedCapacity: tensor.count) { buffer, count in
                Self.fill(tensor, UnsafeMutableBufferPointer(rebasing: buffer[..<tensor.count]), &generator)
                count = tensor.count
            }
            return SafeTensor(name: tensor.name, shape: tensor.shape, values: values)
        }
        try Checkpoint.write(
            Checkpoint.Contents(
                configuration: configuration, tensors: tensors, tokenizer: .object([]),
                beginToken: nil, endToken: nil),
            to: directory)
        return tensors.reduce(0) { $0 + $1.bytes.count }
    }
}
