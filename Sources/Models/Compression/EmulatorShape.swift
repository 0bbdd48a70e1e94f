/// What an emulator is: which of the full model's blocks stand where in it.
public struct EmulatorShape: Sendable, Equatable {
    /// For every block of the emulator, the full model's block that it came from.
    public let sources: [Int]
    /// The emulator's blocks that stand for the middle; the others are the adapter blocks.
    public let middle: Range<Int>
    /// Blocks of the full model.
    public let fullCount: Int

    /// - Precondition: the middle lies inside the emulator, with at least one adapter block above it, and
    ///   the adapter blocks are the full model's first and last ones in order.
    public init(sources: [Int], middle: Range<Int>, fullCount: Int) {
        precondition(!middle.isEmpty && middle.lowerBound >= 0 && middle.upperBound < sources.count)
        let above = sources.count - middle.upperBound
        precondition(Array(sources[..<middle.lowerBound]) == Array(0..<middle.lowerBound))
        precondition(Array(sources[middle.upperBound...]) == Array(fullCount - above..<fullCount))
        self.sources = sources
        self.middle = middle
        self.fullCount = fullCount
    }

    /// The first `first` and last `last` blocks of a model of `fullCount` carry the adapter; between them
    /// stand these places of the middle.
    public init(first: Int, last: Int, middlePlaces: [Int], fullCount: Int) {
        self.init(
            sources: Array(0..<first) + middlePlaces.map { $0 + first }
                + Array(fullCount - last..<fullCount),
            middle: first..<first + middlePlaces.count, fullCount: fullCount)
    }

    /// The emulator's blocks that sites train.
    public var adapterBlocks: [Int] { sources.indices.filter { !middle.contains($0) } }

    /// The full model's middle, which never leaves its owner as it is.
    public var fullMiddle: Range<Int> {
        middle.lowerBound..<fullCount - (sources.count - middle.upperBound)
    }

    /// Pairs of places whose entering streams are to be alike: emulator's block, full model's block.
    package func taps(layerWise: Bool) -> [(student: Int, teacher: Int)] {
        let end = (student: middle.upperBound, teacher: fullMiddle.upperBound)
        guard layerWise else { return [end] }
        // Where blocks are shared the depth is the full model's, place by place. Otherwise a block stands
        // for itself and for what was dropped behind it, up to its successor's source.
        let isShared = sources.count == fullCount
        return middle.dropLast().map { ($0 + 1, isShared ? $0 + 1 : sources[$0 + 1]) } + [end]
    }

    /// The emulator before any compression of weights: the chosen blocks of the full model.
    public func drop(from full: LanguageModel) -> LanguageModel {
        precondition(full.configuration.layerCount == fullCount, "the shape is of this model")
        return full.taking(blocks: sources)
    }

    /// An adapter that was trained on the emulator, as one of the full model: the same numbers on the
    /// blocks that the adapter blocks stand for.
    ///
    /// - Throws: `EngineError.adapterDoesNotFit` for an adapter that touches the emulator's middle, or
    ///   that was not made for an emulator of this shape.
    public func plugIn(
        _ adapter: LoRAAdapter, into full: ModelConfiguration
    ) throws(EngineError) -> LoRAAdapter {
        let found = Set(adapter.layout.entries.map(\.layer)).sorted()
        guard full.layerCount == fullCount, found.allSatisfy({ $0 < sources.count && !middle.contains($0) })
        else {
            throw .adapterDoesNotFit(expected: adapterBlocks.count, found: found.count)
        }
        let configuration = adapter.configuration.on(layers: found.map { sources[$0] })
        // Sources ascend outside the middle, so entries keep their order and the vector its layout.
        return LoRAAdapter(configuration: configuration, base: full, values: adapter.values)
    }
}
