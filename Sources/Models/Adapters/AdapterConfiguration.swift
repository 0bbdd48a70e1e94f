/// What defines an adapter of any kind apart from its numbers.
public enum AdapterConfiguration: Sendable, Equatable {
    case lora(LoRAConfiguration)
    case inserted(InsertedConfiguration)

    /// `lora`, or the name of an inserted kind.
    public var kind: String {
        switch self {
        case .lora: "lora"
        case .inserted(let configuration): configuration.name
        }
    }

    /// Rows that every sequence gains at its start.
    public var virtualTokens: Int {
        switch self {
        case .lora: 0
        case .inserted(let configuration): configuration.virtualTokens
        }
    }

    /// All numbers of such an adapter.
    public func count(base: ModelConfiguration) -> Int { count(.aAndB, base: base) }

    /// Length of what is trained.
    public func count(_ part: TrainablePart, base: ModelConfiguration) -> Int {
        switch self {
        case .lora(let configuration): LoRALayout(configuration, base: base).count(part)
        case .inserted(let configuration): InsertedLayout(configuration, base: base).count
        }
    }

    /// An adapter with given numbers; nil unless there are `count(base:)` of them.
    public func adapter(base: ModelConfiguration, values: [Float]) -> Adapter? {
        guard values.count == count(base: base) else { return nil }
        switch self {
        case .lora(let configuration):
            return .lora(LoRAAdapter(configuration: configuration, base: base, values: values))
        case .inserted(let configuration):
            return .inserted(InsertedAdapter(configuration: configuration, base: base, values: values))
        }
    }

    /// A fresh adapter as `peft` starts one of its kind.
    public func adapter(
        base: ModelConfiguration, generator: inout some RandomNumberGenerator
    ) -> Adapter {
        switch self {
        case .lora(let configuration):
            .lora(LoRAAdapter(configuration: configuration, base: base, generator: &generator))
        case .inserted(let configuration):
            .inserted(InsertedAdapter(configuration: configuration, base: base, generator: &generator))
        }
    }

    /// The tensors of what is trained: their names, and where each lies in the part's vector, in order and
    /// without gaps. `3.q_proj.A` is A of block 3's query; tensors of the whole model have no number in front.
    public func tensors(
        of part: TrainablePart, base: ModelConfiguration
    ) -> [(name: String, range: Range<Int>)] {
        switch self {
        case .lora(let configuration):
            let layout = LoRALayout(configuration, base: base)
            var tensors: [(name: String, range: Range<Int>)] = []
            for entry in layout.entries {
                let name = "\(entry.layer).\(entry.module.rawValue)"
                if let start = layout.offsetOfA(entry, in: part) {
                    tensors.append(("\(name).A", start..<start + entry.aCount))
                }
                if let start = layout.offsetOfB(entry, in: part) {
                    tensors.append(("\(name).B", start..<start + entry.bCount))
                }
            }
            return tensors
        case .inserted(let configuration):
            return InsertedLayout(configuration, base: base).tensors.map { tensor in
                (tensor.layer.map { "\($0).\(tensor.name)" } ?? tensor.name, tensor.range)
            }
        }
    }
}

extension Adapter {
    public var configuration: AdapterConfiguration {
        switch self {
        case .lora(let adapter): .lora(adapter.configuration)
        case .inserted(let adapter): .inserted(adapter.configuration)
        }
    }
}
