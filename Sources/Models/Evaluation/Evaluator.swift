import Kernels

/// Scores and samples a base model, with or without an adapter.
public struct Evaluator: Sendable {
    public let model: LanguageModel
    public let adapter: Adapter?
    package let adapted: AdaptedModel
    package let pool: ThreadPool
    package let workspaces = Workspaces()

    /// - Parameter threads: how many threads share the work; nil for all of the machine's cores.
    /// - Throws: `EngineError.adapterDoesNotFit` for an adapter of another base.
    public init(
        model: LanguageModel, adapter: Adapter? = nil, threads: Int? = nil
    ) throws(EngineError) {
        self.model = model
        self.adapter = adapter
        self.pool = threads.map { ThreadPool(threads: $0) } ?? .shared
        adapted = try AdaptedModel(model, adapter: adapter, pool: pool)
    }

    /// The same for a LoRA adapter.
    public init(
        model: LanguageModel, adapter: LoRAAdapter, threads: Int? = nil
    ) throws(EngineError) {
        try self.init(model: model, adapter: Adapter.lora(adapter), threads: threads)
    }

    /// Mean cross-entropy (natural logarithm) over all predicted tokens, and their number.
    public func meanLoss(_ examples: [TokenizedExample]) throws(EngineError) -> (loss: Double, tokens: Int) {
        var sum = 0.0
        var tokens = 0
        for score in try losses(examples) {
            sum += score.loss * Double(score.tokens)
            tokens += score.tokens
        }
        return (sum / Double(tokens), tokens)
    }

    /// Each example's own mean loss and number of predicted tokens.
    public func losses(_ examples: [TokenizedExample]) throws(EngineError) -> [(loss: Double, tokens: Int)] {
        try model.validate(examples, virtualTokens: adapted.virtualTokens)
        let packs = packRanges(
            lengths: examples.map { adapted.virtualTokens + $0.tokens.count - 1 }, rowsMax: model.packRowsMax)
        var scores = [(loss: Double, tokens: Int)](repeating: (0, 0), count: examples.count)
        scores.withUnsafeMutableBufferPointer { scores in
            pool.forEach(packs.count) { index in
                let pack = makePack(examples[packs[index]], virtualTokens: adapted.virtualTokens)
                workspaces.withArena { arena in
                    let losses = arena.floats(pack.targets.count)
                    GraphPass(adapted, pack, arena: arena, pool: pool, keepsStates: false)
                        .loss(losses: losses)
                    for (offset, range) in pack.outputRanges.enumerated() {
                        var sum = 0.0
                        for row in range { sum += Double(losses[row]) }
                        scores[packs[index].lowerBound + offset] = (sum / Double(range.count), range.count)
                    }
                }
            }
        }
        return scores
    }
}
