import Kernels

/// A model with the adapter that a backward pass is to find the gradient of.
struct TrainedAdapter: Sendable {
    let model: AdaptedModel
    private let part: TrainablePart
    /// Length of the gradient that a pass leaves: P-tuning's encoder comes after it.
    let graphCount: Int

    init(model: AdaptedModel, part: TrainablePart, _ adapter: Adapter) {
        self.model = model
        self.part = part
        graphCount = model.inserted?.graphCount ?? adapter.count(part)
    }

    /// Where the groups' gradients go. Products of LoRA overwrite; others are added to zeros.
    func target(_ groups: [GradientGroup]) -> GradientTarget {
        guard model.inserted != nil else { return .adapters(part: part, groups: groups) }
        for group in groups { group.target.update(repeating: 0, count: graphCount) }
        return .inserted(groups: groups)
    }

    /// Calls `body` with the gradient of what is trained, given what a pass left.
    func withGradient<Result>(
        fromGraph gradient: UnsafePointer<Float>,
        _ body: (UnsafeBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        guard let inserted = model.inserted else {
            return try body(UnsafeBufferPointer(start: gradient, count: graphCount))
        }
        return try inserted.gradient(fromGraph: gradient).withUnsafeBufferPointer(body)
    }
}

extension TrainingEngine {
    /// `perRecordGradients` of a LoRA adapter.
    public func perRecordGradients(
        of examples: [TokenizedExample], adapter: LoRAAdapter, part: TrainablePart,
        body: (_ index: Int, _ gradient: UnsafeBufferPointer<Float>, _ loss: Float) throws -> Void
    ) throws {
        try perRecordGradients(of: examples, adapter: .lora(adapter), part: part, body: body)
    }

    /// `lossAndGradient` of an adapter of any kind. Kinds other than LoRA add up the records' gradients.
    /// - Throws: `EngineError` for examples or an adapter that do not fit the model.
    public func lossAndGradient(
        of examples: [TokenizedExample], adapter: Adapter, part: TrainablePart = .aAndB,
        averaging: LossAveraging = .tokens
    ) throws -> LossAndGradient {
        if case .lora(let lora) = adapter {
            return try lossAndGradient(of: examples, adapter: lora, part: part, averaging: averaging)
        }
        let tokens = examples.reduce(0) { $0 + $1.targetCount }
        var gradient = [Float](repeating: 0, count: adapter.count(part))
        var sum = 0.0
        try perRecordGradients(of: examples, adapter: adapter, part: part) { index, record, loss in
            let share: Double =
                switch averaging {
                case .tokens: Double(examples[index].targetCount) / Double(tokens)
                case .records: 1 / Double(examples.count)
                }
            sum += share * Double(loss)
            gradient.withUnsafeMutableBufferPointer {
                axpy(Float(share), record.baseAddress!, $0.baseAddress!, record.count)
            }
        }
        return LossAndGradient(loss: sum, gradient: gradient, tokens: tokens)
    }
}

extension LocalTrainer {
    /// `train` of an adapter of any kind.
    /// - Throws: `EngineError` for examples or an adapter that do not fit, or a loss that is not finite.
    public func train(
        _ adapter: Adapter, part: TrainablePart = .aAndB, on examples: [TokenizedExample],
        generator: inout some RandomNumberGenerator
    ) throws -> LocalUpdate {
        if case .lora(let lora) = adapter {
            return try train(lora, part: part, on: examples, generator: &generator)
        }
        try engine.model.validate(examples, virtualTokens: adapter.virtualTokens)
        let start = adapter.extract(part)
        var parameters = OptimizedParameters(start, optimizer: training.optimizer)
        var losses: [Double] = []
        let stepsPerPass = (examples.count + training.batchSize - 1) / training.batchSize
        let steps =
            switch training.length {
            case .epochs(let epochs): epochs * stepsPerPass
            case .steps(let steps): steps
            }
        var order: [Int] = []
        for step in 0..<steps {
            let place = step % stepsPerPass
            if place == 0 { order = shuffledOrder(examples.count, &generator) }
            let batch = order.dropFirst(place * training.batchSize).prefix(training.batchSize)
            let result = try engine.lossAndGradient(
                of: batch.map { examples[$0] },
                adapter: adapter.replacing(part, with: parameters.values), part: part,
                averaging: training.averaging)
            let norm = l2Norm(result.gradient)
            guard result.loss.isFinite, norm.isFinite else { throw EngineError.diverged(step: step) }
            losses.append(result.loss)
            parameters.step(
                result.gradient, learningRate: training.rate(at: step, of: steps),
                gradientScale: clipFactor(norm: norm, normMax: training.gradientNormMax),
                decayed: nil, pool: engine.pool)
        }
        return LocalUpdate(
            update: zip(parameters.values, start).map { $0 - $1 }, losses: losses)
    }
}
