/// The numbers of a LoRA adapter for one base model: a value, so that every client may hold its own.
///
/// `values` is one flat vector laid out as `LoRALayout` says. Trained factors travel as the vector of
/// a `TrainablePart`.
public struct LoRAAdapter: Sendable, Equatable {
    public let configuration: LoRAConfiguration
    /// The shape of the model it belongs to.
    public let base: ModelConfiguration
    public let layout: LoRALayout
    /// All A and B, `layout.count` long.
    public private(set) var values: [Float]

    /// An adapter with given numbers; `values.count` must be `layout.count`.
    public init(configuration: LoRAConfiguration, base: ModelConfiguration, values: [Float]) {
        let layout = LoRALayout(configuration, base: base)
        precondition(values.count == layout.count, "an adapter's values have its layout's length")
        self.configuration = configuration
        self.base = base
        self.layout = layout
        self.values = values
    }

    /// A fresh adapter that leaves the base unchanged: A uniform in ±1/√inputs (`peft`'s default,
    /// Kaiming uniform with a = √5), B zero. Draws one 64-bit word per number of A, in layout order.
    public init(
        configuration: LoRAConfiguration, base: ModelConfiguration,
        generator: inout some RandomNumberGenerator
    ) {
        let layout = LoRALayout(configuration, base: base)
        var values = [Float](repeating: 0, count: layout.count)
        for entry in layout.entries {
            let bound = 1 / Double(entry.inputs).squareRoot()
            for index in entry.aOffset..<entry.aOffset + entry.aCount {
                values[index] = Float((2 * uniform(&generator) - 1) * bound)
            }
        }
        self.configuration = configuration
        self.base = base
        self.layout = layout
        self.values = values
    }

    /// Length of a part's vector.
    public func count(_ part: TrainablePart) -> Int { layout.count(part) }

    /// A (`rank` × `inputs`, row-major) of one linear; nil where it carries no adapter.
    public func matrixA(layer: Int, module: LinearModule) -> ArraySlice<Float>? {
        layout.entry(layer: layer, module: module).map {
            values[$0.aOffset..<$0.aOffset + $0.aCount]
        }
    }

    /// B (`outputs` × `rank`, row-major) of one linear; nil where it carries no adapter.
    public func matrixB(layer: Int, module: LinearModule) -> ArraySlice<Float>? {
        layout.entry(layer: layer, module: module).map {
            values[$0.bOffset..<$0.bOffset + $0.bCount]
        }
    }

    /// The part's numbers as one vector of `count(part)`.
    public func extract(_ part: TrainablePart) -> [Float] {
        if part == .aAndB { return values }
        var vector = [Float](repeating: 0, count: count(part))
        layout.forEachRun(of: part) { flat, inPart in
            vector.replaceSubrange(inPart, with: values[flat])
        }
        return vector
    }

    /// The adapter with `vector` in place of the part's numbers.
    public func replacing(_ part: TrainablePart, with vector: [Float]) -> LoRAAdapter {
        precondition(vector.count == count(part), "a part's vector has the part's length")
        var result = self
        layout.forEachRun(of: part) { flat, inPart in
            result.values.replaceSubrange(flat, with: vector[inPart])
        }
        return result
    }

    /// The adapter with `scale · update` added to the part's numbers.
    public func adding(_ update: [Float], _ part: TrainablePart, scale: Float = 1) -> LoRAAdapter {
        precondition(update.count == count(part), "an update has its part's length")
        var result = self
        layout.forEachRun(of: part) { flat, inPart in
            for (target, source) in zip(flat, inPart) {
                result.values[target] += scale * update[source]
            }
        }
        return result
    }
}
