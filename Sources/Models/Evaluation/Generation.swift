import Kernels

/// How text is continued.
public struct Sampling: Sendable, Equatable {
    public var maxNewTokens: Int
    /// Tokens that end a continuation (they are not returned).
    public var stopTokens: Set<Int32>
    /// 0 takes the likeliest token; otherwise logits are divided by it and sampled.
    public var temperature: Float

    public init(maxNewTokens: Int, stopTokens: Set<Int32> = [], temperature: Float = 0) {
        precondition(maxNewTokens >= 0, "a number of tokens")
        precondition(temperature >= 0, "a temperature is not negative")
        self.maxNewTokens = maxNewTokens
        self.stopTokens = stopTokens
        self.temperature = temperature
    }
}

extension Evaluator {
    /// Continues many prompts at once; a continuation also ends where the model's window does.
    ///
    /// - Parameter generator: read only when `temperature` > 0: one word per prompt, which seeds that
    ///   prompt's own stream, so that a continuation does not depend on its neighbours' draws.
    /// - Returns: the new tokens of each prompt, without the stop token.
    /// - Throws: `EngineError` for an empty or too long prompt, or ids outside the vocabulary.
    public func generate(
        prompts: [[Int32]], sampling: Sampling, generator: inout some RandomNumberGenerator
    ) throws(EngineError) -> [[Int32]] {
        for (index, prompt) in prompts.enumerated() {
            guard !prompt.isEmpty else { throw EngineError.emptyPrompt(prompt: index) }
            try model.validate(prompt, index, virtualTokens: adapted.virtualTokens)
        }
        var seeds = [UInt64](repeating: 0, count: prompts.count)
        if sampling.temperature > 0 {
            for index in seeds.indices { seeds[index] = generator.next() }
        }
        let groups = packRanges(
            lengths: prompts.map(\.count), rowsMax: 2048, countMax: promptsPerGroup)
        var continuations = [[Int32]](repeating: [], count: prompts.count)
        continuations.withUnsafeMutableBufferPointer { continuations in
            pool.forEach(groups.count) { index in
                let range = groups[index]
                let texts = workspaces.withArena { arena in
                    PromptGroup(
                        model: adapted, prompts: prompts[range], seeds: seeds[range],
                        sampling: sampling, arena: arena, pool: pool
                    ).run()
                }
                for (offset, text) in texts.enumerated() {
                    continuations[range.lowerBound + offset] = text
                }
            }
        }
        return continuations
    }

    /// The greedy continuations of many prompts.
    public func generate(
        prompts: [[Int32]], maxNewTokens: Int, stopToken: Int32? = nil
    ) throws(EngineError) -> [[Int32]] {
        var unused = SplitMix64(seed: 0)
        return try generate(
            prompts: prompts,
            sampling: Sampling(maxNewTokens: maxNewTokens, stopTokens: stopToken.map { [$0] } ?? []),
            generator: &unused)
    }
}

/// Prompts continued together: enough rows for one product with the weights to be worthwhile.
private let promptsPerGroup = 32

/// A few prompts on their way: their products with the weights are shared, their attention is their own.
private struct PromptGroup {
    private let model: AdaptedModel
    private let sampling: Sampling
    private let arena: Arena
    private let pool: ThreadPool
    private var sequences: [Sequence]
    private let prompts: [[Int32]]

    /// One prompt's state: keys and values of the positions so far, layer by layer.
    private struct Sequence {
        let cache: UnsafeMutablePointer<Float>
        /// Positions the cache has room for.
        let capacity: Int
        /// Positions cached.
        var length = 0
        var text: [Int32] = []
        var isFinished = false
        var generator: SplitMix64
        let newTokensMax: Int
    }

    private var configuration: ModelConfiguration { model.base.configuration }

    init(
        model: AdaptedModel, prompts: ArraySlice<[Int32]>, seeds: ArraySlice<UInt64>,
        sampling: Sampling, arena: Arena, pool: ThreadPool
    ) {
        self.model = model
        self.sampling = sampling
        self.arena = arena
        self.pool = pool
        self.prompts = Array(prompts)
        let configuration = model.base.configuration
        sequences = zip(prompts, seeds).map { prompt, seed in
            let newTokensMax = min(
                sampling.maxNewTokens, configuration.sequenceLengthMax - model.virtualTokens - prompt.count)
            let capacity = model.virtualTokens + prompt.count + newTokensMax
            return Sequence(
                cache: arena.floats(
                    2 * configuration.layerCount * capacity * configuration.keyValueWidth),
                capacity: capacity, generator: SplitMix64(seed: seed), newTokensMax: newTokensMax)
        }
    }

    consuming func run() -> [[Int32]] {
        var group = self
        group.readPrompts()
        let (configuration, arena, rows) = (group.configuration, group.arena, group.sequences.count)
        let attention = AttentionState(
            group.model, rows: rows, input: arena.floats(rows * configuration.hiddenSize),
            arena: arena)
        let mlp = MLPState(group.model, rows: rows, after: attention, arena: arena)
        let spare = arena.floats(rows * configuration.hiddenSize)
        while true {
            let alive = group.sequences.indices.filter { !group.sequences[$0].isFinished }
            if alive.isEmpty { break }
            group.step(alive, attention, mlp, spare)
        }
        return group.sequences.map(\.text)
    }

    /// Caches every prompt and takes the first new token of each.
    private mutating func readPrompts() {
        let mark = arena.mark
        defer { arena.release(to: mark) }
        var pack = Pack(virtualTokens: model.virtualTokens)
        for prompt in prompts { pack.append(prompt: prompt) }
        let pass = GraphPass(model, pack, arena: arena, pool: pool, keepsStates: false) { layer, qkv in
            for (index, segment) in pack.segments.enumerated() {
                cache(layer, sequences[index], position: 0, count: segment.count, qkv, segment.start)
            }
        }
        let vocabulary = configuration.vocabularySize
        let logits = arena.floats(sequences.count * vocabulary)
        pass.logits(into: logits)
        for index in sequences.indices {
            sequences[index].length = model.virtualTokens + prompts[index].count
            accept(index, logits + index * vocabulary)
        }
    }

    /// Feeds the latest token of every unfinished sequence and takes the next.
    private mutating func step(
        _ alive: [Int], _ attentionState: AttentionState, _ mlpState: MLPState,
        _ spare: UnsafeMutablePointer<Float>
    ) {
        let mark = arena.mark
        defer { arena.release(to: mark) }
        let rows = alive.count
        let configuration = configuration
        let fused = configuration.fusedWidth
        let tokens = arena.copy(alive.map { sequences[$0].text.last! })
        let positions = arena.copy(alive.map { Int32(sequences[$0].length) })
        let scores = arena.floats(alive.map { sequences[$0].length + 1 }.max()!)
        let shape = AttentionShape(configuration)
        var (state, mlp, output) = (attentionState, mlpState, spare)
        model.base.embedTokens(rows: rows, tokens: tokens, positions: positions, y: state.input)
        for layer in 0..<configuration.layerCount {
            let block = Block(
                model: model, layer: layer, positions: positions,
                runs: [AdapterRun(rows: 0..<rows, adapter: 0)])
            block.project(0..<rows, state)
            for (row, index) in alive.enumerated() {
                let sequence = sequences[index]
                cache(layer, sequence, position: sequence.length, count: 1, state.qkv, row)
                attentionStep(
                    shape, query: state.qkv + row * fused, keys: keys(layer, sequence),
                    values: values(layer, sequence), count: sequence.length + 1, scores: scores,
                    out: state.attended + row * configuration.queryWidth)
            }
            mlp.input = state.input
            block.finish(0..<rows, mlp, output: output)
            (output, state.input) = (state.input, output)
        }
        let vocabulary = configuration.vocabularySize
        let logits = arena.floats(rows * vocabulary)
        model.base.head(rows: rows, x: state.input, arena: arena, logits: logits)
        for (row, index) in alive.enumerated() {
            sequences[index].length += 1
            accept(index, logits + row * vocabulary)
        }
    }

    /// Takes the next token of one sequence from its logits, and notices its end.
    private mutating func accept(_ index: Int, _ logits: UnsafeMutablePointer<Float>) {
        guard sequences[index].text.count < sequences[index].newTokensMax else {
            sequences[index].isFinished = true
            return
        }
        let token = choose(
            logits, configuration.vocabularySize, temperature: sampling.temperature,
            &sequences[index].generator)
        if sampling.stopTokens.contains(token) {
            sequences[index].isFinished = true
        } else {
            sequences[index].text.append(token)
            sequences[index].isFinished =
                sequences[index].text.count == sequences[index].newTokensMax
        }
    }

    private func keys(_ layer: Int, _ sequence: Sequence) -> UnsafeMutablePointer<Float> {
        sequence.cache + 2 * layer * sequence.capacity * configuration.keyValueWidth
    }

    private func values(_ layer: Int, _ sequence: Sequence) -> UnsafeMutablePointer<Float> {
        sequence.cache + (2 * layer + 1) * sequence.capacity * configuration.keyValueWidth
    }

    /// Copies keys and values of `count` rows of `qkv` from `row` on to a sequence's cache.
    private func cache(
        _ layer: Int, _ sequence: Sequence, position: Int, count: Int, _ qkv: UnsafePointer<Float>,
        _ row: Int
    ) {
        let width = configuration.keyValueWidth
        for offset in 0..<count {
            let source = qkv + (row + offset) * configuration.fusedWidth + configuration.queryWidth
            (keys(layer, sequence) + (position + offset) * width).update(from: source, count: width)
            (values(layer, sequence) + (position + offset) * width)
                .update(from: source + width, count: width)
        }
    }
}

/// The likeliest token (the first of equals), or one drawn from softmax(logits / temperature).
private func choose(
    _ logits: UnsafeMutablePointer<Float>, _ count: Int, temperature: Float,
    _ generator: inout SplitMix64
) -> Int32 {
    if temperature == 0 {
        var best = 0
        for index in 1..<count where logits[index] > logits[best] { best = index }
        return Int32(best)
    }
    scale(logits, count, by: 1 / temperature)
    let sum = exponentials(logits, count, minus: largest(logits, count))
    var left = uniform(&generator) * Double(sum)
    for index in 0..<count {
        left -= Double(logits[index])
        if left < 0 { return Int32(index) }
    }
    // Rounding may leave a little: the last token that has any probability.
    return Int32((0..<count).last { logits[$0] > 0 } ?? count - 1)
}
