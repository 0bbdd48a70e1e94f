/// What an emulator is: which of the full model's blocks stand where in it.
public struct EmulatorShape: Sendable, Equatable {
    /// For every block of the emulator, the full model's block that it came from.
    public let sources: [Int]
    /// The emulator's blocks between the adapter blocks at its ends.
    public let middle: Range<Int>
    /// Adapter blocks inside the middle, ascending: kept as they are, as those at the ends.
    public let inner: [Int]
    /// Blocks of the full model.
    public let fullCount: Int

    /// - Precondition: the middle lies inside the emulator, with at least one adapter block above it; the
    ///   adapter blocks around it are the full model's first and last ones in order, and those inside it
    ///   stand in the full model's order and leave some of the middle to be compressed.
    public init(sources: [Int], middle: Range<Int>, inner: [Int] = [], fullCount: Int) {
        precondition(!middle.isEmpty && middle.lowerBound >= 0 && middle.upperBound < sources.count)
        let above = sources.count - middle.upperBound
        precondition(Array(sources[..<middle.lowerBound]) == Array(0..<middle.lowerBound))
        precondition(Array(sources[middle.upperBound...]) == Array(fullCount - above..<fullCount))
        precondition(inner.allSatisfy(middle.contains) && inner.count < middle.count)
        precondition(zip(inner, inner.dropFirst()).allSatisfy { $0 < $1 && sources[$0] < sources[$1] })
        self.sources = sources
        self.middle = middle
        self.inner = inner
        self.fullCount = fullCount
    }

    /// The first `first` and last `last` blocks of a model of `fullCount` carry the adapter; between them
    /// stand these places of the middle, of which `innerPlaces` carry it too.
    public init(
        first: Int, last: Int, middlePlaces: [Int], innerPlaces: [Int] = [], fullCount: Int
    ) {
        self.init(
            sources: Array(0..<first) + middlePlaces.map { $0 + first }
                + Array(fullCount - last..<fullCount),
            middle: first..<first + middlePlaces.count,
            inner: middlePlaces.indices.filter { innerPlaces.contains(middlePlaces[$0]) }.map { $0 + first },
            fullCount: fullCount)
    }

    /// The emulator's blocks that sites train.
    public var adapterBlocks: [Int] { sources.indices.filter { !middle.contains($0) || inner.contains($0) } }

    /// The emulator's blocks that are compressed and taught: the middle without its adapter blocks.
    public var standIns: [Int] { middle.filter { !inner.contains($0) } }

    /// The full model's blocks that never leave their owner as they are.
    public var withheld: [Int] {
        let shipped = Set(inner.map { sources[$0] })
        return fullMiddle.filter { !shipped.contains($0) }
    }

    /// The full model's blocks between the adapter blocks at its ends.
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
        guard full.layerCount == fullCount, found.allSatisfy(adapterBlocks.contains)
        else {
            throw .adapterDoesNotFit(expected: adapterBlocks.count, found: found.count)
        }
        let configuration = adapter.configuration.on(layers: found.map { sources[$0] })
        // Sources of adapter blocks ascend, so entries keep their order and the vector its layout.
        return LoRAAdapter(configuration: configuration, base: full, values: adapter.values)
    }
}
