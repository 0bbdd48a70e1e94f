import Models

/// Gradient steps over a client's records: each pass in a new random order, in batches.
package struct LocalSteps {
    package var count: Int
    /// Records per step; the last step of a pass may have fewer.
    package var batchSize: Int
    package var learningRate: Float
    package var optimizer: Optimizer
    /// Draws x towards a centre after each step: towards argmin F(x) + s/2·‖x − c‖².
    ///
    /// The pull is taken implicitly, x ← (x + η·s·c)/(1 + η·s), so that it is stable for any s and holds x at
    /// c as s grows. With SGD this is proximal gradient descent, whose fixed point is the minimum; with AdamW
    /// it is decoupled from the gradient's scaling, as AdamW's weight decay is.
    package var pull: (centre: [Float], strength: Float)?
    /// The coordinates that move, ascending; nil for all.
    package var moving: [Range<Int>]?

    package init(
        count: Int, batchSize: Int, learningRate: Float, optimizer: Optimizer,
        pull: (centre: [Float], strength: Float)? = nil, moving: [Range<Int>]? = nil
    ) {
        self.count = count
        self.batchSize = batchSize
        self.learningRate = learningRate
        self.optimizer = optimizer
        self.pull = pull
        self.moving = moving
    }

    /// Where the steps lead from `start`. The order of records comes from `generator`.
    /// - Throws: `EngineError.diverged` when the loss is not finite, and what the objective throws.
    package func run(
        _ objective: some LocalObjective, from start: [Float], generator: inout SplitMix64
    ) throws -> [Float] {
        var parameters = OptimizedParameters(start, optimizer: optimizer)
        var batches = LocalBatches(records: objective.recordCount, size: batchSize)
        for step in 0..<count {
            var (loss, gradient) = try objective.lossAndGradient(
                of: batches.next(&generator), at: parameters.values)
            guard loss.isFinite, gradient.allSatisfy(\.isFinite) else {
                throw EngineError.diverged(step: step)
            }
            if let moving { zero(&gradient, outside: moving) }
            parameters.step(gradient, learningRate: learningRate)
            if let pull { parameters.move(towards: pull.centre, by: learningRate * pull.strength) }
        }
        return parameters.values
    }

    private func zero(_ gradient: inout [Float], outside moving: [Range<Int>]) {
        var next = 0
        for range in moving {
            for index in next..<range.lowerBound { gradient[index] = 0 }
            next = range.upperBound
        }
        for index in next..<gradient.count { gradient[index] = 0 }
    }
}

/// A client's records in batches, pass after pass, each in a new random order.
package struct LocalBatches {
    private let records: Int
    private let size: Int
    private var order: [Int] = []
    private var place = 0

    package init(records: Int, size: Int) {
        self.records = records
        self.size = size
    }

    package mutating func next(_ generator: inout SplitMix64) -> [Int] {
        if place >= order.count {
            order = shuffledOrder(records, &generator)
            place = 0
        }
        defer { place += size }
        return Array(order[place..<min(place + size, order.count)])
    }
}

extension OptimizedParameters {
    /// x ← (x + rate·centre)/(1 + rate).
    fileprivate mutating func move(towards centre: [Float], by rate: Float) {
        // As rate grows 1/(1 + rate) goes to 0 and x to the centre, without overflow.
        let keep = 1 / (1 + rate)
        replaceValues { index, value in centre[index] + keep * (value - centre[index]) }
    }
}
