import Models

extension AdapterConfiguration {
    /// Reads `model.adapter`: a kind, and the keys of that kind.
    init(reading section: inout ConfigurationSection) throws(ConfigurationError) {
        let kind = try section.optionalString("kind") ?? "lora"
        switch kind {
        case "lora": self = .lora(try Self.lora(&section))
        case "prompt": self = .inserted(.prompt(tokens: try Self.tokens(&section)))
        case "prefix": self = .inserted(.prefix(tokens: try Self.tokens(&section)))
        case "p-tuning":
            self = .inserted(
                .pTuning(
                    tokens: try Self.tokens(&section),
                    encoderWidth: try section.integer("encoderWidth", in: 1...16_384, default: 128)))
        case "ia3": self = .inserted(.ia3)
        case "bottleneck":
            self = .inserted(
                .bottleneck(reduction: try section.integer("reduction", in: 1...4096, default: 16)))
        default:
            let kinds = ["lora", "prompt", "prefix", "p-tuning", "ia3", "bottleneck"]
            throw section.error(
                "kind", "is `\(kind)`; it must be one of \(kinds.joined(separator: ", "))",
                suggestion: closest(to: kind, among: kinds).map { "did you mean `\($0)`?" })
        }
        try section.finish()
    }

    private static func tokens(_ section: inout ConfigurationSection) throws(ConfigurationError) -> Int {
        try section.integer("tokens", in: 1...1024, default: 20)
    }

    private static func lora(
        _ section: inout ConfigurationSection
    ) throws(ConfigurationError) -> LoRAConfiguration {
        let rank = try section.integer("rank", in: 1...1024, default: 8)
        let alpha = try section.double("alpha", above: 0, upTo: 1e6, default: Double(2 * rank))
        var modules: [LinearModule] = []
        for name in try section.strings("targets") {
            guard let named = LinearModule.named(name) else {
                throw section.error(
                    "targets", "names `\(name)`, which is no linear layer of a block",
                    suggestion: "known: \(LinearModule.knownNames.joined(separator: ", "))")
            }
            modules += named
        }
        return LoRAConfiguration(
            rank: rank, alpha: alpha, targetModules: modules.isEmpty ? [.query, .value] : modules,
            useRSLoRA: try section.flag("rslora", default: false))
    }

    /// What clients must agree on.
    var terms: [String] {
        switch self {
        case .lora(let lora):
            [
                "\(lora.rank)", "\(lora.alpha)", "\(lora.useRSLoRA)",
                lora.targetModules.map(\.rawValue).joined(separator: ","),
                lora.layers.map { $0.map(String.init).joined(separator: ",") } ?? "every block",
            ]
        case .inserted(let inserted): ["\(inserted)"]
        }
    }

    /// Kind, size and place of the adapter, for people.
    var title: String {
        switch self {
        case .lora(let lora):
            let modules = lora.targetModules.map(\.rawValue).joined(separator: ", ")
            let blocks = lora.layers.map {
                " of blocks \($0.map(String.init).joined(separator: ", "))"
            }
            return "LoRA of rank \(lora.rank) on \(modules)\(blocks ?? "")"
        case .inserted(.prompt(let tokens)): return "prompt of \(tokens) tokens"
        case .inserted(.pTuning(let tokens, let width)):
            return "P-tuning of \(tokens) tokens, encoder of width \(width)"
        case .inserted(.prefix(let tokens)): return "prefix of \(tokens) tokens"
        case .inserted(.ia3): return "IA3"
        case .inserted(.bottleneck(let reduction)): return "bottleneck, reduction \(reduction)"
        }
    }
}
