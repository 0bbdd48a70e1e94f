import DP
import Models

/// What a client computes in one round, whatever becomes of it: vectors that travel, each of one unit of
/// privacy, and the numbers that it keeps.
///
/// Whoever calls decides what an emitted vector goes through: clipping, noise and masks, or nothing. Nothing
/// else of a client's data leaves this function.
package struct ClientWork<Objective: LocalObjective> {
    let training: FederationConfiguration.Training
    let objective: Objective
    /// The shared numbers, as the round begins, and among them what this client does not share.
    let start: [Float]
    /// The coordinates that travel; nil for all.
    let shared: [Range<Int>]?
    /// FedKSeed's.
    let directions: SharedDirections?

    package init(
        training: FederationConfiguration.Training, objective: Objective, start: [Float],
        shared: [Range<Int>]? = nil, directions: SharedDirections? = nil
    ) {
        precondition(start.count == objective.dimension, "a start has the objective's length")
        self.training = training
        self.objective = objective
        self.start = start
        self.shared = shared
        self.directions = directions
    }

    /// The whole update of the client, and its own numbers moved on: unit client.
    ///
    /// - Parameter personal: this client's own numbers, as long as `start`; nil before its first round. Left
    ///   alone by algorithms without any.
    package func update(personal: inout [Float]?, generator: inout SplitMix64) throws -> [Float] {
        switch training.algorithm {
        case .fedAvg, .dpFedSGD:
            return difference(try run(steps(), from: start, &generator))
        case .fedProx:
            var steps = steps()
            steps.pull = (start, Float(training.mu))
            return difference(try run(steps, from: start, &generator))
        case .ditto:
            let update = difference(try run(steps(), from: start, &generator))
            try movePersonal(&personal, generator: &generator)
            return update
        case .pFedMe:
            return try solveOwnProblems(personal: &personal, generator: &generator)
        case .fedRep, .partial:
            return try trainAroundPrivate(personal: &personal, generator: &generator)
        case .fedKSeed:
            return try stepAlongDirections(generator: &generator)
        }
    }

    /// One gradient for each of some records: unit record. A personal model is not looked at.
    package func eachGradient(
        of records: [Int], _ emit: (UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        precondition(shared == nil && directions == nil, "record gradients travel whole")
        try objective.eachGradient(of: records, at: start, emit)
    }

    /// Ditto's personal model, one round further: argmin F(v) + λ/2·‖v − w‖², w the shared numbers.
    package func movePersonal(_ personal: inout [Float]?, generator: inout SplitMix64) throws {
        guard training.algorithm == .ditto else { return }
        var steps = personalSteps()
        steps.pull = (start, Float(training.lambda))
        personal = try run(steps, from: personal ?? start, &generator)
    }

    // MARK: Algorithms

    /// pFedMe [DTN20, Algorithm 1]: for each batch θ ≈ argmin f(θ) + λ/2·‖θ − w‖², then w ← w − ηλ(w − θ).
    private func solveOwnProblems(
        personal: inout [Float]?, generator: inout SplitMix64
    ) throws -> [Float] {
        var w = start
        var theta = start
        var batches = LocalBatches(records: objective.recordCount, size: training.batchSize)
        let follow = Float(training.outerLearningRate * training.lambda)
        for _ in 0..<training.localSteps {
            let batch = batches.next(&generator)
            let problem = Subproblem(objective: objective, records: batch)
            var inner = steps()
            inner.count = training.innerSteps
            inner.batchSize = batch.count
            inner.pull = (w, Float(training.lambda))
            theta = try inner.run(problem, from: theta, generator: &generator)
            for index in w.indices { w[index] -= follow * (w[index] - theta[index]) }
        }
        personal = theta
        return difference(w)
    }

    /// FedRep: private tensors first, then the shared ones. `partial`: both at once, as FedBN does.
    private func trainAroundPrivate(
        personal: inout [Float]?, generator: inout SplitMix64
    ) throws -> [Float] {
        guard let shared else { preconditionFailure("the plan says which tensors travel") }
        // The shared numbers as they came, around this client's own.
        var x = personal ?? start
        for range in shared { x.replaceSubrange(range, with: start[range]) }
        if training.algorithm == .fedRep {
            var first = personalSteps()
            first.moving = complement(of: shared, in: x.count)
            x = try run(first, from: x, &generator)
            var second = steps()
            second.moving = shared
            x = try run(second, from: x, &generator)
        } else {
            x = try run(steps(), from: x, &generator)
        }
        personal = x
        return difference(x)
    }

    /// FedKSeed: each step picks a direction and goes against the difference quotient of the loss along it.
    private func stepAlongDirections(generator: inout SplitMix64) throws -> [Float] {
        guard let directions else { preconditionFailure("the plan gives the directions") }
        var x = start
        var moved = [Float](repeating: 0, count: directions.count)
        var batches = LocalBatches(records: objective.recordCount, size: training.batchSize)
        let aside = Float(training.perturbation)
        for step in 0..<training.localSteps {
            let batch = batches.next(&generator)
            let j = index(below: directions.count, &generator)
            var ahead = x
            var behind = x
            directions.add(aside, along: j, to: &ahead)
            directions.add(-aside, along: j, to: &behind)
            let slope =
                (try objective.loss(of: batch, at: ahead) - objective.loss(of: batch, at: behind))
                / (2 * Double(aside))
            guard slope.isFinite else { throw EngineError.diverged(step: step) }
            let distance = -Float(training.learningRate * slope)
            directions.add(distance, along: j, to: &x)
            moved[j] += distance
        }
        return moved
    }

    // MARK: Pieces

    private func steps() -> LocalSteps {
        LocalSteps(
            count: training.localSteps, batchSize: training.batchSize,
            learningRate: Float(training.learningRate), optimizer: training.clientOptimizer)
    }

    private func personalSteps() -> LocalSteps {
        LocalSteps(
            count: training.personalSteps, batchSize: training.batchSize,
            learningRate: Float(training.personalLearningRate), optimizer: training.clientOptimizer)
    }

    private func run(
        _ steps: LocalSteps, from start: [Float], _ generator: inout SplitMix64
    ) throws -> [Float] {
        try steps.run(objective, from: start, generator: &generator)
    }

    /// What travels of the way from the start.
    private func difference(_ end: [Float]) -> [Float] {
        guard let shared else { return zip(end, start).map { $0 - $1 } }
        return shared.flatMap { range in zip(end[range], start[range]).map { $0 - $1 } }
    }
}

/// An objective with some of its records only.
private struct Subproblem<Objective: LocalObjective>: LocalObjective {
    let objective: Objective
    let records: [Int]

    var dimension: Int { objective.dimension }
    var recordCount: Int { records.count }

    func lossAndGradient(of chosen: [Int], at x: [Float]) throws -> (loss: Double, gradient: [Float]) {
        try objective.lossAndGradient(of: chosen.map { records[$0] }, at: x)
    }

    func loss(of chosen: [Int], at x: [Float]) throws -> Double {
        try objective.loss(of: chosen.map { records[$0] }, at: x)
    }

    func eachGradient(
        of chosen: [Int], at x: [Float], _ body: (UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        try objective.eachGradient(of: chosen.map { records[$0] }, at: x, body)
    }
}

extension FederationConfiguration.Training {
    /// The client's optimiser: fresh in every round, since a client may be in one round and not in the next.
    var clientOptimizer: Optimizer {
        switch optimizer {
        case .adamW: .adamW()
        case .sgd: .sgd(momentum: Float(momentum))
        }
    }
}

/// The ranges between some ascending ones.
private func complement(of ranges: [Range<Int>], in count: Int) -> [Range<Int>] {
    var result: [Range<Int>] = []
    var next = 0
    for range in ranges {
        if range.lowerBound > next { result.append(next..<range.lowerBound) }
        next = range.upperBound
    }
    if next < count { result.append(next..<count) }
    return result
}
