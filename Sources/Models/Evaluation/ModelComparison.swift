import Glibc
import Kernels

/// How alike two models' next-token distributions are on some text.
public struct ModelComparison: Sendable, Equatable {
    /// Mean over predicted tokens of KL(first ‖ second), natural logarithm.
    public let divergence: Double
    /// Share of predicted tokens at which both find the same token most likely.
    public let agreement: Double
    public let tokens: Int

    /// - Precondition: both models share a vocabulary.
    /// - Throws: `EngineError` for text that does not fit the models.
    public init(
        _ first: LanguageModel, _ second: LanguageModel, on text: [TokenizedExample], threads: Int? = nil
    ) throws(EngineError) {
        let vocabulary = first.configuration.vocabularySize
        precondition(second.configuration.vocabularySize == vocabulary, "one vocabulary")
        try first.validate(text)
        try second.validate(text)
        let pool = threads.map { ThreadPool(threads: $0) } ?? .shared
        let models = [
            try AdaptedModel(first, adapters: [], pool: pool),
            try AdaptedModel(second, adapters: [], pool: pool),
        ]
        let workspaces = Workspaces()
        var (sum, same, count) = (0.0, 0, 0)
        for example in text {
            let pack = makePack([example])
            let rows = pack.outputRows.count
            workspaces.withArena { arena in
                let logits = models.map { model in
                    let target = arena.floats(rows * vocabulary)
                    GraphPass(model, pack, arena: arena, pool: pool, keepsStates: false)
                        .logits(into: target)
                    return target
                }
                for row in 0..<rows {
                    let left = logSoftmax(logits[0] + row * vocabulary, vocabulary)
                    let right = logSoftmax(logits[1] + row * vocabulary, vocabulary)
                    for token in 0..<vocabulary {
                        sum += exp(left.values[token]) * (left.values[token] - right.values[token])
                    }
                    if left.best == right.best { same += 1 }
                }
            }
            count += rows
        }
        divergence = sum / Double(count)
        agreement = Double(same) / Double(count)
        tokens = count
    }
}

/// Log-probabilities in double precision, and the most likely place.
private func logSoftmax(_ x: UnsafePointer<Float>, _ count: Int) -> (values: [Double], best: Int) {
    var best = 0
    for index in 1..<count where x[index] > x[best] { best = index }
    var sum = 0.0
    for index in 0..<count { sum += exp(Double(x[index] - x[best])) }
    let logSum = Double(x[best]) + log(sum)
    return ((0..<count).map { Double(x[$0]) - logSum }, best)
}
