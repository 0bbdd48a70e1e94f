import Kernels

/// What a batch's loss is the mean of.
public enum LossAveraging: Sendable, Equatable {
    /// Every predicted token weighs the same (transformers' `labels` loss).
    case tokens
    /// Every record weighs the same: the mean of the records' own mean losses.
    case records
}

/// The loss of a batch, and its gradient with respect to an adapter's trainable part.
public struct LossAndGradient: Sendable {
    public let loss: Double
    /// Laid out as the part's vector.
    public let gradient: [Float]
    /// Predicted tokens.
    public let tokens: Int
}

/// Losses and exact gradients of LoRA adapters on one frozen base.
///
/// Sequences are packed without padding and never see one another. Results depend on the model, the
/// adapter and the list of examples, not on how many threads the pool has: bit for bit.
public struct TrainingEngine: Sendable {
    public let model: LanguageModel
    package let pool: ThreadPool
    package let workspaces = Workspaces()
    /// Whether blocks run once more on the way back instead of keeping what they computed: about a third more
    /// work, a fraction of the memory, the same bits.
    public let recomputesActivations: Bool

    /// - Parameter threads: how many threads share the work; nil for all of the machine's cores.
    public init(model: LanguageModel, threads: Int? = nil, recomputesActivations: Bool = false) {
        self.model = model
        self.recomputesActivations = recomputesActivations
        self.pool = threads.map { ThreadPool(threads: $0) } ?? .shared
    }

    /// How many threads share the work.
    public var threads: Int { pool.threads }

    /// How many rows one pack has at most; as many packs are in work at once as there are threads.
    public var packRows: Int { model.packRowsMax }

    /// The gradient of each record's own mean token loss, in the order of `examples`.
    ///
    /// Records go through the model many at a time; memory stays bounded whatever their number.
    /// - Parameter body: called on this thread, record by record, with the record's index, its gradient
    ///   (`adapter.count(part)` numbers, valid during the call) and its mean loss.
    /// - Throws: `EngineError` for examples or an adapter that do not fit the model, before any work; and
    ///   what `body` throws.
    public func perRecordGradients(
        of examples: [TokenizedExample], adapter: Adapter, part: TrainablePart = .aAndB,
        body: (_ index: Int, _ gradient: UnsafeBufferPointer<Float>, _ loss: Float) throws -> Void
    ) throws {
        try model.validate(examples, virtualTokens: adapter.virtualTokens)
        let trained = TrainedAdapter(
            model: try AdaptedModel(model, adapter: adapter, pool: pool), part: part, adapter)
        let count = trained.graphCount
        let packs = packRanges(
            lengths: examples.map { adapter.virtualTokens + $0.tokens.count - 1 }, rowsMax: model.packRowsMax,
            countMax: max(1, gradientFloatsMax / count))
        // Several packs at once keep the threads busy; their gradients wait in one buffer until `body` has
        // seen them.
        let recordsMax = max(1, 2 * pool.threads * gradientFloatsMax / count)
        var next = 0
        while next < packs.count {
            var end = next + 1
            while end < packs.count, end - next < 8 * pool.threads,
                packs[end].upperBound - packs[next].lowerBound <= recordsMax
            {
                end += 1
            }
            let wave = packs[next..<end]
            let records = wave.first!.lowerBound..<wave.last!.upperBound
            try withFloats(records.count * count) { gradients in
                try withFloats(records.count) { losses in
                    pool.forEach(wave.count) { index in
                        let range = wave[wave.startIndex + index]
                        let first = range.lowerBound - records.lowerBound
                        recordGradients(
                            trained, examples[range], gradients: gradients + first * count,
                            losses: losses + first)
                    }
                    for record in records {
                        let place = record - records.lowerBound
                        try trained.withGradient(fromGraph: gradients + place * count) {
                            try body(record, $0, losses[place])
                        }
                    }
                }
            }
            next = end
        }
    }

    /// The mean loss of a batch and its gradient.
    /// - Throws: `EngineError` for examples or an adapter that do not fit the model.
    public func lossAndGradient(
        of examples: [TokenizedExample], adapter: LoRAAdapter, part: TrainablePart,
        averaging: LossAveraging = .tokens
    ) throws(EngineError) -> LossAndGradient {
        guard !examples.isEmpty else { throw EngineError.noExamples }
        return try lossesAndGradients(
            of: [ClientBatch(adapter: adapter, examples: examples)], part: part, averaging: averaging,
            merge: nil)[0]
    }

    /// One pack of records: each one's gradient and mean loss.
    private func recordGradients(
        _ trained: TrainedAdapter, _ examples: ArraySlice<TokenizedExample>,
        gradients: UnsafeMutablePointer<Float>, losses: UnsafeMutablePointer<Float>
    ) {
        let pack = makePack(examples, virtualTokens: trained.model.virtualTokens)
        let count = trained.graphCount
        workspaces.withArena { arena in
            let weights = arena.floats(pack.targets.count)
            for range in pack.outputRanges {
                (weights + range.lowerBound).update(
                    repeating: 1 / Float(range.count), count: range.count)
            }
            let groups = pack.segments.enumerated().map { index, segment in
                GradientGroup(rows: segment.rows, target: gradients + index * count)
            }
            let tokenLosses = arena.floats(pack.targets.count)
            GraphPass(
                trained.model, pack, arena: arena, pool: pool, keepsStates: true,
                recomputes: recomputesActivations
            ).loss(losses: tokenLosses, weights: weights, gradient: trained.target(groups))
            for (index, range) in pack.outputRanges.enumerated() {
                var sum = 0.0
                for row in range { sum += Double(tokenLosses[row]) }
                losses[index] = Float(sum / Double(range.count))
            }
        }
    }
}

extension LanguageModel {
    /// Rows of a pack: enough to repay the packing of weights, few enough for the states of as many packs as
    /// there are threads to stay small.
    package var packRowsMax: Int { 256 }
}

/// Largest number of gradient floats one pack of records may need.
private let gradientFloatsMax = 4_000_000

package func makePack(_ examples: ArraySlice<TokenizedExample>, virtualTokens: Int = 0) -> Pack {
    var pack = Pack(virtualTokens: virtualTokens)
    for example in examples { pack.append(example) }
    return pack
}

/// Packs of one batch: at most `rowsMax` rows each, and two of about equal size when all would fit into
/// one, so that two threads have work.
package func balancedPacks(_ examples: [TokenizedExample], rowsMax: Int) -> [Range<Int>] {
    let lengths = examples.map { $0.tokens.count - 1 }
    let rows = lengths.reduce(0, +)
    let half = max(64, (rows + (lengths.max() ?? 0)) / 2)
    return packRanges(lengths: lengths, rowsMax: rows > rowsMax ? rowsMax : half)
}

/// Floats for the duration of `body`.
package func withFloats<Result>(
    _ count: Int, _ body: (UnsafeMutablePointer<Float>) throws -> Result
) rethrows -> Result {
    let floats = UnsafeMutablePointer<Float>.allocate(capacity: max(count, 1))
    defer { floats.deallocate() }
    return try body(floats)
}
