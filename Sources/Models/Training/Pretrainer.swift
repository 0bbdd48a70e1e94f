import Glibc
import Kernels

/// How a small base model is made from text.
public struct Pretraining: Sendable, Equatable {
    public var steps: Int
    /// Rows a step aims for; sequences are packed until it is reached.
    public var batchTokens: Int
    /// Reached after the warm-up; a cosine then leads to `finalRateShare` of it at the last step.
    public var learningRate: Float
    public var finalRateShare: Float
    public var warmUpSteps: Int
    public var beta1: Float
    public var beta2: Float
    /// Of matrices; gains and biases are not decayed.
    public var weightDecay: Float
    public var gradientNormMax: Float
    /// Chance that a step leaves a block out, each block by itself: LayerDrop [Fan, Grave, Joulin 2020]. The
    /// model learns to do without any of them, as emulators with dropped blocks must. 0 leaves out none.
    public var blockDrop: Double

    public init(
        steps: Int, batchTokens: Int = 4096, learningRate: Float = 3e-3, finalRateShare: Float = 0.1,
        warmUpSteps: Int = 100, beta1: Float = 0.9, beta2: Float = 0.95, weightDecay: Float = 0.1,
        gradientNormMax: Float = 1, blockDrop: Double = 0
    ) {
        precondition(steps >= 1 && batchTokens >= 1, "at least one step of at least one token")
        precondition(blockDrop >= 0 && blockDrop < 1, "some steps must train a block")
        self.steps = steps
        self.batchTokens = batchTokens
        self.learningRate = learningRate
        self.finalRateShare = finalRateShare
        self.warmUpSteps = warmUpSteps
        self.beta1 = beta1
        self.beta2 = beta2
        self.weightDecay = weightDecay
        self.gradientNormMax = gradientNormMax
        self.blockDrop = blockDrop
    }

    /// The blocks of one step, ascending: never none. Draws nothing where no block can be left out.
    package func blocks(
        of count: Int, _ generator: inout some RandomNumberGenerator
    ) -> [Int] {
        guard blockDrop > 0 else { return Array(0..<count) }
        while true {
            let kept = (0..<count).filter { _ in
                Double(generator.next() >> 11) * 0x1p-53 >= blockDrop
            }
            if !kept.isEmpty { return kept }
        }
    }

    /// The learning rate of step 0, 1, ….
    package func rate(at step: Int) -> Float {
        if step < warmUpSteps { return learningRate * Float(step + 1) / Float(warmUpSteps) }
        let share = Double(step - warmUpSteps) / Double(max(1, steps - 1 - warmUpSteps))
        let cosine = 0.5 * (1 + cos(Double.pi * min(1, share)))
        return learningRate * (finalRateShare + (1 - finalRateShare) * Float(cosine))
    }
}

/// One step of pretraining, as told to a progress callback. Speed is the caller's: it has the clock.
public struct PretrainingProgress: Sendable, Equatable {
    /// Steps done, of how many.
    public let step: Int
    public let steps: Int
    /// Mean loss of the step's predicted tokens, before the step.
    public let loss: Double
    /// L2 norm of the gradient before clipping.
    public let gradientNorm: Double
    public let learningRate: Float
    /// Tokens that went through the model in this step, and so far.
    public let tokens: Int
    public let totalTokens: Int
}

/// Trains all weights of a small model: AdamW, linear warm-up and cosine decay, clipped gradients.
public struct Pretrainer: Sendable {
    public let training: Pretraining
    /// The blocks whose weights move; nil for all weights of the model.
    public let trainedBlocks: Set<Int>?
    private let pool: ThreadPool
    private let workspaces = Workspaces()

    /// - Parameter threads: how many threads share the work; nil for all of the machine's cores.
    public init(training: Pretraining, trainedBlocks: Set<Int>? = nil, threads: Int? = nil) {
        self.training = training
        self.trainedBlocks = trainedBlocks
        self.pool = threads.map { ThreadPool(threads: $0) } ?? .shared
    }

    /// The trained model. Same model, examples and seed give the same bits, whatever the threads.
    /// - Parameters:
    ///   - snapshot: called after each step with the model so far.
    ///   - progress: called after each step; return false to stop there.
    /// - Throws: `EngineError` for examples that do not fit the model, or a loss that is not finite; and
    ///   what `snapshot` throws.
    public func train(
        _ model: LanguageModel, on examples: [TokenizedExample], seed: UInt64,
        snapshot: (PretrainingProgress, LanguageModel) throws -> Void = { _, _ in },
        progress: (PretrainingProgress) -> Bool
    ) throws -> LanguageModel {
        try model.validate(examples)
        var generator = SplitMix64(seed: seed)
        var queue: [Int] = []
        var model = model
        var parameters = OptimizedParameters(
            model.flatWeights,
            optimizer: .adamW(
                beta1: training.beta1, beta2: training.beta2, epsilon: 1e-8,
                weightDecay: training.weightDecay))
        let decayed = model.layout.tensors.map {
            (range: $0.range, decays: $0.isMatrix && trainedBlocks == nil)
        }
        var totalTokens = 0

        for step in 0..<training.steps {
            var batch: [TokenizedExample] = []
            var rows = 0
            while rows < training.batchTokens {
                if queue.isEmpty { queue = shuffledOrder(examples.count, &generator).reversed() }
                batch.append(examples[queue.removeLast()])
                rows += batch.last!.tokens.count - 1
            }
            totalTokens += rows
            let blocks = training.blocks(of: model.configuration.layerCount, &generator)
            var (loss, gradient) = try gradient(of: batch, model, blocks: blocks)
            freeze(&gradient, model)
            let norm = l2Norm(gradient)
            guard loss.isFinite, norm.isFinite else { throw EngineError.diverged(step: step) }
            let rate = training.rate(at: step)
            parameters.step(
                gradient, learningRate: rate,
                gradientScale: clipFactor(norm: norm, normMax: training.gradientNormMax),
                decayed: decayed, pool: pool)
            model = LanguageModel(like: model, weights: parameters.values)
            let done = PretrainingProgress(
                step: step + 1, steps: training.steps, loss: loss, gradientNorm: norm,
                learningRate: rate, tokens: rows, totalTokens: totalTokens)
            try snapshot(done, model)
            if !progress(done) { break }
        }
        return model
    }

    /// A weight whose gradient stays 0 stays where it is.
    private func freeze(_ gradient: inout [Float], _ model: LanguageModel) {
        guard let trainedBlocks else { return }
        for tensor in model.layout.tensors where !(tensor.block.map(trainedBlocks.contains) ?? false) {
            for place in tensor.range { gradient[place] = 0 }
        }
    }

    /// The same of the model without some of its blocks: their weights have gradient 0.
    package func gradient(
        of batch: [TokenizedExample], _ model: LanguageModel, blocks: [Int]
    ) throws(EngineError) -> (loss: Double, gradient: [Float]) {
        guard blocks.count < model.configuration.layerCount else { return try gradient(of: batch, model) }
        let shorter = model.taking(blocks: blocks)
        let (loss, gradient) = try gradient(of: batch, shorter)
        return (loss, model.layout.spread(gradient, of: shorter.layout, blocks: blocks))
    }

    /// Mean token loss of a batch and its gradient with respect to all weights.
    package func gradient(
        of batch: [TokenizedExample], _ model: LanguageModel
    ) throws(EngineError) -> (loss: Double, gradient: [Float]) {
        let adapted = try AdaptedModel(model, adapters: [], pool: pool)
        let packs = packRanges(
            lengths: batch.map { $0.tokens.count - 1 }, rowsMax: model.packRowsMax)
        let tokens = batch.reduce(0) { $0 + $1.targetCount }
        let lanes = min(lanesMax, packs.count)
        let count = model.layout.count
        var losses = [Double](repeating: 0, count: packs.count)
        var gradient = [Float](repeating: 0, count: count)
        withFloats(lanes * count) { partial in
            losses.withUnsafeMutableBufferPointer { losses in
                pool.forEach(lanes) { lane in
                    let target = partial + lane * count
                    target.update(repeating: 0, count: count)
                    for index in stride(from: lane, to: packs.count, by: lanes) {
                        losses[index] = passBack(adapted, batch[packs[index]], tokens, target)
                    }
                }
            }
            gradient.withUnsafeMutableBufferPointer { gradient in
                let total = gradient.baseAddress!
                pool.forEachRange(count, grain: 1 << 16) { range in
                    for lane in 0..<lanes {
                        axpy(
                            1, partial + lane * count + range.lowerBound, total + range.lowerBound,
                            range.count)
                    }
                }
            }
        }
        return (losses.reduce(0, +), gradient)
    }

    /// One pack: its share of the loss; adds to the gradient.
    private func passBack(
        _ model: AdaptedModel, _ examples: ArraySlice<TokenizedExample>, _ tokens: Int,
        _ gradient: UnsafeMutablePointer<Float>
    ) -> Double {
        let pack = makePack(examples)
        return workspaces.withArena { arena in
            let losses = arena.floats(pack.targets.count)
            let weights = arena.floats(pack.targets.count)
            weights.update(repeating: 1 / Float(tokens), count: pack.targets.count)
            GraphPass(model, pack, arena: arena, pool: pool, keepsStates: true)
                .loss(losses: losses, weights: weights, gradient: .weights(gradient))
            var sum = 0.0
            for row in 0..<pack.targets.count { sum += Double(losses[row]) }
            return sum / Double(tokens)
        }
    }
}

/// Gradient vectors that packs are dealt out to in turn: a fixed number, so that sums have one order.
private let lanesMax = 4
