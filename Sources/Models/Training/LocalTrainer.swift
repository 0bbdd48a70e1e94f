import Kernels

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
    public var schedule: RateSchedule
    public var optimizer: Optimizer
    /// Largest L2 norm of a step's gradient; nil leaves it.
    public var gradientNormMax: Float?
    public var averaging: LossAveraging

    public init(
        length: Length, batchSize: Int, learningRate: Float,
        schedule: RateSchedule = .constant, optimizer: Optimizer = .adamW(), gradientNormMax: Float? = nil,
        averaging: LossAveraging = .tokens
    ) {
        precondition(batchSize >= 1, "a step takes at least one record")
        self.length = length
        self.batchSize = batchSize
        self.learningRate = learningRate
        self.schedule = schedule
        self.optimizer = optimizer
        self.gradientNormMax = gradientNormMax
        self.averaging = averaging
    }

    /// The learning rate of step 0, 1, … of `steps`.
    package func rate(at step: Int, of steps: Int) -> Float {
        learningRate * schedule.factor(at: step, of: steps)
    }
}

/// What local training gives: the difference it made to the part, and the loss on its way.
public struct LocalUpdate: Sendable {
    /// new − old, laid out as the part's vector.
    public let update: [Float]
    /// Loss of each step before the step was taken.
    public let losses: [Double]
}

/// A client that trains together with others.
public struct LocalClient: Sendable {
    public var adapter: LoRAAdapter
    public var examples: [TokenizedExample]
    /// Decides the order of the records.
    public var seed: UInt64

    public init(adapter: LoRAAdapter, examples: [TokenizedExample], seed: UInt64) {
        self.adapter = adapter
        self.examples = examples
        self.seed = seed
    }
}

/// Where a training stands, as told to a progress callback. Speed is the caller's: it has the clock.
public struct LocalProgress: Sendable, Equatable {
    /// Common steps done, of how many the longest client takes.
    public let step: Int
    public let steps: Int
    /// Clients that took part in the step, and the mean of their losses before it.
    public let clients: Int
    public let loss: Double
    /// Tokens that went through the model so far.
    public let tokens: Int
}

/// FedAvg's local steps, with a fresh optimiser for each client and each call.
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
        var client = Trainee(adapter, part, examples, training)
        while !client.isFinished {
            let batch = client.nextBatch(training, &generator)
            let result = try engine.lossAndGradient(
                of: batch.examples, adapter: batch.adapter, part: part, averaging: training.averaging)
            try client.take(result, training, pool: engine.pool)
        }
        return client.update
    }

    /// Trains many clients in common steps: all clients' tokens go through the base together.
    ///
    /// A client's update is bit for bit what it would be with other companions, or none.
    /// - Parameter progress: called after each common step; return false to stop there.
    /// - Returns: one update per client, in order.
    /// - Throws: as `train`, for the first client at fault.
    public func train(
        _ clients: [LocalClient], part: TrainablePart,
        progress: (LocalProgress) -> Bool = { _ in true }
    ) throws(EngineError) -> [LocalUpdate] {
        for client in clients { try engine.model.validate(client.examples) }
        var trainees = clients.map { Trainee($0.adapter, part, $0.examples, training) }
        var generators = clients.map { SplitMix64(seed: $0.seed) }
        let steps = trainees.map(\.steps).max() ?? 0
        var tokens = 0
        for step in 0..<steps {
            let alive = trainees.indices.filter { !trainees[$0].isFinished }
            let batches = alive.map { trainees[$0].nextBatch(training, &generators[$0]) }
            let results = try engine.lossesAndGradients(
                of: batches, part: part, averaging: training.averaging)
            var loss = 0.0
            for (index, result) in zip(alive, results) {
                try trainees[index].take(result, training, pool: engine.pool)
                loss += result.loss / Double(alive.count)
            }
            for batch in batches { tokens += batch.examples.reduce(0) { $0 + $1.tokens.count - 1 } }
            let goesOn = progress(
                LocalProgress(
                    step: step + 1, steps: steps, clients: alive.count, loss: loss, tokens: tokens))
            if !goesOn { break }
        }
        return trainees.map(\.update)
    }
}

/// One client on its way through its steps.
private struct Trainee {
    let steps: Int
    private let adapter: LoRAAdapter
    private let part: TrainablePart
    private let examples: [TokenizedExample]
    private let start: [Float]
    private let stepsPerPass: Int
    private var parameters: OptimizedParameters
    private var order: [Int] = []
    private var losses: [Double] = []

    init(
        _ adapter: LoRAAdapter, _ part: TrainablePart, _ examples: [TokenizedExample],
        _ training: LocalTraining
    ) {
        self.adapter = adapter
        self.part = part
        self.examples = examples
        start = adapter.extract(part)
        parameters = OptimizedParameters(start, optimizer: training.optimizer)
        stepsPerPass = (examples.count + training.batchSize - 1) / training.batchSize
        steps =
            switch training.length {
            case .epochs(let epochs): epochs * stepsPerPass
            case .steps(let steps): steps
            }
    }

    var isFinished: Bool { losses.count == steps }

    var update: LocalUpdate {
        LocalUpdate(update: zip(parameters.values, start).map { $0 - $1 }, losses: losses)
    }

    /// The records of the next step, and the adapter as it stands. Each pass has an order of its own.
    mutating func nextBatch(
        _ training: LocalTraining, _ generator: inout some RandomNumberGenerator
    ) -> ClientBatch {
        let place = losses.count % stepsPerPass
        if place == 0 { order = shuffledOrder(examples.count, &generator) }
        let first = place * training.batchSize
        return ClientBatch(
            adapter: adapter.replacing(part, with: parameters.values),
            examples: order[first..<min(first + training.batchSize, order.count)].map { examples[$0] })
    }

    /// Takes the step that the batch's gradient asks for.
    mutating func take(
        _ result: LossAndGradient, _ training: LocalTraining, pool: ThreadPool
    ) throws(EngineError) {
        let norm = l2Norm(result.gradient)
        guard result.loss.isFinite, norm.isFinite else {
            throw EngineError.diverged(step: losses.count)
        }
        parameters.step(
            result.gradient, learningRate: training.rate(at: losses.count, of: steps),
            gradientScale: clipFactor(norm: norm, normMax: training.gradientNormMax),
            decayed: nil, pool: pool)
        losses.append(result.loss)
    }
}
