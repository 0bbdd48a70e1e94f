/// How a client trains locally between two aggregations.
public struct LocalTraining: Sendable, Equatable {
    /// How long: so many passes over the data, or so many steps (passing over it as often as needed).
    public enum Length: Sendable, Equatable {
        case epochs(Int)
        case steps(Int)
    }

    public var length: Length
    /// Records per step; the last step of a pass may have fewer.
    public var batchSize: Int
    public var learningRate: Float
    public var optimizer: Optimizer
    /// Largest L2 norm of a step's gradient; nil leaves it.
    public var gradientNormMax: Float?
    public var averaging: LossAveraging

    public init(
        length: Length, batchSize: Int, learningRate: Float, optimizer: Optimizer = .adamW(),
        gradientNormMax: Float? = nil, averaging: LossAveraging = .tokens
    ) {
        precondition(batchSize >= 1, "a step takes at least one record")
        self.length = length
        self.batchSize = batchSize
        self.learningRate = learningRate
        self.optimizer = optimizer
        self.gradientNormMax = gradientNormMax
        self.averaging = averaging
    }
}

/// What local training gives: the difference it made to the part, and the loss on its way.
public struct LocalUpdate: Sendable {
    /// new − old, laid out as the part's vector.
    public let update: [Float]
    /// Loss of each step before the step was taken.
    public let losses: [Double]
}

/// FedAvg's local steps on one adapter, with a fresh optimiser each time.
public struct LocalTrainer: Sendable {
    public let engine: TrainingEngine
    public let training: LocalTraining

    public init(engine: TrainingEngine, training: LocalTraining) {
        self.engine = engine
        self.training = training
    }

    /// Trains a copy of `adapter` and returns what changed. The order of records comes from `generator`.
    /// - Throws: `EngineError` for examples or an adapter that do not fit, or a loss that is not finite.
    public func train(
        _ adapter: LoRAAdapter, part: TrainablePart, on examples: [TokenizedExample],
        generator: inout some RandomNumberGenerator
    ) throws(EngineError) -> LocalUpdate {
        try engine.model.validate(examples)
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
            if step % stepsPerPass == 0 { order = shuffledOrder(examples.count, &generator) }
            let first = step % stepsPerPass * training.batchSize
            let batch = order[first..<min(first + training.batchSize, order.count)]
            let result = try engine.lossAndGradient(
                of: batch.map { examples[$0] },
                adapter: adapter.replacing(part, with: parameters.values), part: part,
                averaging: training.averaging)
            let norm = l2Norm(result.gradient)
            guard result.loss.isFinite, norm.isFinite else { throw EngineError.diverged(step: step) }
            losses.append(result.loss)
            parameters.step(
                result.gradient, learningRate: training.learningRate,
                gradientScale: clipFactor(norm: norm, normMax: training.gradientNormMax),
                decayed: nil, pool: engine.pool)
        }
        return LocalUpdate(
            update: zip(parameters.values, start).map { $0 - $1 }, losses: losses)
    }
}
