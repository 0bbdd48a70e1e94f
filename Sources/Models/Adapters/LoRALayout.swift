/// Where each matrix of an adapter lies in the adapter's flat vector, and in the vector of a part.
///
/// Order: layer 0, 1, …; within a layer the target modules in canonical order; within a module A
/// (`rank` × `inputs`, row-major) and then B (`outputs` × `rank`, row-major). The vector of a part is
/// the flat vector with the other part's matrices left out.
public struct LoRALayout: Sendable, Equatable {
    /// One adapted linear.
    public struct Entry: Sendable, Equatable {
        public let layer: Int
        public let module: LinearModule
        public let inputs: Int
        public let outputs: Int
        public let rank: Int
        /// Start of A and B in the flat vector.
        public let aOffset: Int
        public let bOffset: Int
        /// Start of A among the A's alone, and of B among the B's alone.
        package let aOffsetAmongA: Int
        package let bOffsetAmongB: Int

        public var aCount: Int { rank * inputs }
        public var bCount: Int { outputs * rank }
    }

    public let entries: [Entry]
    /// Length of the flat vector.
    public let count: Int
    private let countOfA: Int
    /// Index into `entries` by layer and module, −1 where the linear is not adapted.
    private let entryIndex: [Int]

    public init(_ configuration: LoRAConfiguration, base: ModelConfiguration) {
        var entries: [Entry] = []
        var offset = 0
        var offsetA = 0
        let moduleCount = LinearModule.allCases.count
        var entryIndex = [Int](repeating: -1, count: base.layerCount * moduleCount)
        for layer in configuration.layers ?? Array(0..<base.layerCount) {
            precondition(0..<base.layerCount ~= layer, "an adapter sits on the base's blocks")
            for module in configuration.targetModules {
                let (outputs, inputs) = base.dimensions(of: module)
                let aCount = configuration.rank * inputs
                entryIndex[layer * moduleCount + module.index] = entries.count
                entries.append(
                    Entry(
                        layer: layer, module: module, inputs: inputs, outputs: outputs,
                        rank: configuration.rank, aOffset: offset, bOffset: offset + aCount,
                        aOffsetAmongA: offsetA, bOffsetAmongB: offset - offsetA))
                offset += aCount + outputs * configuration.rank
                offsetA += aCount
            }
        }
        self.entries = entries
        self.count = offset
        self.countOfA = offsetA
        self.entryIndex = entryIndex
    }

    /// The entry of one linear, nil where it carries no adapter.
    public func entry(layer: Int, module: LinearModule) -> Entry? {
        let index = entryIndex[layer * LinearModule.allCases.count + module.index]
        return index < 0 ? nil : entries[index]
    }

    /// Length of a part's vector.
    public func count(_ part: TrainablePart) -> Int {
        switch part {
        case .aAndB: count
        case .aOnly: countOfA
        case .bOnly: count - countOfA
        }
    }

    /// Where an entry's A starts in a part's vector, nil when the part does not hold it.
    package func offsetOfA(_ entry: Entry, in part: TrainablePart) -> Int? {
        switch part {
        case .aAndB: entry.aOffset
        case .aOnly: entry.aOffsetAmongA
        case .bOnly: nil
        }
    }

    /// Where an entry's B starts in a part's vector, nil when the part does not hold it.
    package func offsetOfB(_ entry: Entry, in part: TrainablePart) -> Int? {
        switch part {
        case .aAndB: entry.bOffset
        case .aOnly: nil
        case .bOnly: entry.bOffsetAmongB
        }
    }

    /// Calls `body` with each run of the part: its place in the flat vector and in the part's vector.
    package func forEachRun(
        of part: TrainablePart, _ body: (_ flat: Range<Int>, _ inPart: Range<Int>) -> Void
    ) {
        for entry in entries {
            if let start = offsetOfA(entry, in: part) {
                body(
                    entry.aOffset..<entry.aOffset + entry.aCount, start..<start + entry.aCount)
            }
            if let start = offsetOfB(entry, in: part) {
                body(
                    entry.bOffset..<entry.bOffset + entry.bCount, start..<start + entry.bCount)
            }
        }
    }
}
