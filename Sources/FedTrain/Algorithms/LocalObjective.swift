import Models

/// What a client wants to be small, as its training sees it: a loss of one vector of numbers over records
/// that are known by their positions only.
///
/// Algorithms are written against this, so that the same code trains an adapter of a transformer and solves
/// the convex problems whose solutions are known.
package protocol LocalObjective {
    /// Length of the vector.
    var dimension: Int { get }
    var recordCount: Int { get }
    /// The mean loss over some records and its gradient.
    func lossAndGradient(of records: [Int], at x: [Float]) throws -> (loss: Double, gradient: [Float])
    /// The mean loss alone.
    func loss(of records: [Int], at x: [Float]) throws -> Double
    /// Each record's own gradient, in order; valid during the call of `body`.
    func eachGradient(
        of records: [Int], at x: [Float], _ body: (UnsafeBufferPointer<Float>) throws -> Void
    ) throws
}

/// A client's records under an adapter of which one part is trained: x is that part's vector.
package struct AdapterObjective: LocalObjective {
    let engine: TrainingEngine
    let adapter: Adapter
    let part: TrainablePart
    let examples: [TokenizedExample]

    package init(
        engine: TrainingEngine, adapter: Adapter, part: TrainablePart, examples: [TokenizedExample]
    ) {
        self.engine = engine
        self.adapter = adapter
        self.part = part
        self.examples = examples
    }

    package var dimension: Int { adapter.count(part) }
    package var recordCount: Int { examples.count }

    package func lossAndGradient(
        of records: [Int], at x: [Float]
    ) throws -> (loss: Double, gradient: [Float]) {
        let result = try engine.lossAndGradient(
            of: records.map { examples[$0] }, adapter: adapter.replacing(part, with: x), part: part)
        return (result.loss, result.gradient)
    }

    package func loss(of records: [Int], at x: [Float]) throws -> Double {
        try Evaluator(
            model: engine.model, adapter: adapter.replacing(part, with: x), threads: engine.threads
        ).meanLoss(records.map { examples[$0] }).loss
    }

    package func eachGradient(
        of records: [Int], at x: [Float], _ body: (UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        guard !records.isEmpty else { return }
        try engine.perRecordGradients(
            of: records.map { examples[$0] }, adapter: adapter.replacing(part, with: x), part: part
        ) { _, gradient, _ in try body(gradient) }
    }
}
