import Kernels

/// What each block of a model makes of some text: the mean of its output over a text's tokens.
public struct BlockFeatures: Sendable {
    public let model: LanguageModel
    private let pool: ThreadPool

    public init(model: LanguageModel, threads: Int? = nil) {
        self.model = model
        pool = threads.map { ThreadPool(threads: $0) } ?? .shared
    }

    /// One matrix per block, texts × hidden size, row by row: the stream that leaves the block.
    /// - Precondition: the last block of the model is not asked for.
    /// - Throws: `EngineError` for text that does not fit the model.
    public func pooled(
        _ text: some Collection<TokenizedExample>, blocks: Range<Int>
    ) throws(EngineError) -> [[Float]] {
        precondition(blocks.upperBound < model.configuration.layerCount)
        try model.validate(Array(text))
        let adapted = try AdaptedModel(model, adapters: [], pool: pool)
        let hidden = model.configuration.hiddenSize
        var features = blocks.map { _ in [Float]() }
        let workspaces = Workspaces()
        for example in text {
            let pack = makePack([example])
            workspaces.withArena { arena in
                let pass = GraphPass(adapted, pack, arena: arena, pool: pool, keepsStates: true)
                for (index, block) in blocks.enumerated() {
                    let stream = pass.stream(entering: block + 1)
                    for column in 0..<hidden {
                        var sum = 0.0
                        for row in 0..<pack.rows { sum += Double(stream[row * hidden + column]) }
                        features[index].append(Float(sum / Double(pack.rows)))
                    }
                }
            }
        }
        return features
    }
}
