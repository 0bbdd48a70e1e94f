import Models

/// How an emulator is made from a model: which blocks sites may train, and what becomes of the rest.
public struct EmulatorRecipe: Sendable, Equatable {
    /// What stands for the middle, before its matrices are compressed.
    public enum Middle: Sendable, Equatable {
        /// Blocks kept at even distances.
        case uniform(LayerRule, keep: Int)
        /// One block for each group of neighbours that compute alike; with `shared` it is repeated to the
        /// full depth.
        case clustered(Int, shared: Bool)
    }

    /// What `rule` can be called where a recipe is written down.
    public static let ruleNames = LayerRule.allCases.map(\.rawValue) + ["cluster", "cluster-shared"]

    /// Adapter blocks at the start and at the end of the model.
    public var first: Int
    public var last: Int
    /// Further adapter blocks between those at the ends, by their place in the full model, ascending.
    public var inner: [Int]
    public var middle: Middle
    /// Share of singular values that the middle's matrices keep; nil keeps the matrices.
    public var rankShare: Double?
    /// Values per number of the middle's matrices, as bits; nil keeps the numbers.
    public var bits: Int?
    /// Nil ships the compressed middle untaught.
    public var distillation: Distillation?
    public var seed: UInt64

    public init(
        first: Int, last: Int, inner: [Int] = [], middle: Middle, rankShare: Double? = nil, bits: Int? = nil,
        distillation: Distillation? = nil, seed: UInt64
    ) {
        self.first = first
        self.last = last
        self.inner = inner
        self.middle = middle
        self.rankShare = rankShare
        self.bits = bits
        self.distillation = distillation
        self.seed = seed
    }

    /// FederatedScope-LLM's recipe scaled to a model's depth: two adapter blocks at each end, a fifth of
    /// the rest dropped by the floor rule, nothing else compressed, nothing taught.
    public static func federatedScope(layers: Int, seed: UInt64) -> EmulatorRecipe {
        let ends = max(1, Int((Double(layers) / 16).rounded()))
        let keep = LayerRule.keptCount(dropping: 0.2, of: layers - 2 * ends)
        return EmulatorRecipe(
            first: ends, last: ends, middle: .uniform(.uniformFloored, keep: keep), seed: seed)
    }

    /// One sentence for reports.
    public var statement: String {
        var parts = ["\(first) adapter blocks at the start, \(last) at the end"]
        if !inner.isEmpty {
            parts[0] += ", blocks \(inner.map(String.init).joined(separator: ", ")) between"
        }
        switch middle {
        case .uniform(let rule, let keep): parts.append("\(keep) middle blocks by \(rule.rawValue)")
        case .clustered(let count, let shared):
            parts.append("\(count) clusters of middle blocks\(shared ? ", shared to full depth" : "")")
        }
        if let rankShare { parts.append("rank cut to \(rankShare) of the singular values") }
        if let bits { parts.append("\(bits)-bit values") }
        parts.append(distillation.map { "distilled for up to \($0.steps) steps" } ?? "not distilled")
        return parts.joined(separator: "; ")
    }

    /// Refuses a recipe that does not fit a model.
    public func check(_ model: ModelConfiguration) throws(OffsiteError) {
        guard [.llama, .mistral, .qwen2].contains(model.family) else {
            throw .recipe(
                "emulators are made of Llama, Mistral and Qwen2 models; this one is \(model.family.rawValue)")
        }
        let layers = model.layerCount
        guard first >= 0, last >= 1 else { throw .recipe("--last must be at least 1, --first at least 0") }
        guard inner == Set(inner).sorted(), inner.allSatisfy({ first..<max(first, layers - last) ~= $0 })
        else {
            throw .recipe("adapter blocks must be distinct blocks of the model, 0 to \(layers - 1)")
        }
        let middleCount = layers - first - last - inner.count
        guard middleCount >= 1 else {
            throw .recipe(
                "\(first + inner.count) + \(last) adapter blocks leave no middle in a model of \(layers) blocks"
            )
        }
        if !inner.isEmpty, case .clustered = middle {
            throw .recipe(
                "clusters join neighbours, so adapter blocks between them need a uniform rule")
        }
        let kept: Int
        switch middle {
        case .uniform(_, let keep): kept = keep
        case .clustered(let count, _): kept = count
        }
        guard (1...middleCount).contains(kept) else {
            throw .recipe(
                "the middle has \(middleCount) blocks, so 1 to \(middleCount) can stay, not \(kept)")
        }
        if let rankShare, !(rankShare > 0 && rankShare <= 1) {
            throw .recipe("--rank-share must be above 0 and at most 1")
        }
        if let bits, !(1...16).contains(bits) { throw .recipe("--bits must be from 1 to 16") }
    }
}

extension EmulatorRecipe.Middle {
    /// - Parameters:
    ///   - rule: one of `EmulatorRecipe.ruleNames`.
    ///   - keep: middle blocks that stay; else what `drop` leaves of them; half of them without either.
    public init(rule: String, keep: Int?, drop: Double?, of count: Int) {
        let count = max(1, count)
        let kept =
            keep ?? drop.map { LayerRule.keptCount(dropping: $0, of: count) } ?? max(1, (count + 1) / 2)
        switch rule {
        case "cluster": self = .clustered(kept, shared: false)
        case "cluster-shared": self = .clustered(kept, shared: true)
        default: self = .uniform(LayerRule(rawValue: rule)!, keep: kept)
        }
    }
}

/// Why an emulator or its plug-in is refused. Messages name files, tensors and blocks.
public enum OffsiteError: Error, Equatable, CustomStringConvertible {
    /// A recipe that does not fit the model.
    case recipe(String)
    /// Public text to distil or measure with is missing or too little.
    case noPublicText(String)
    /// A file of the emulator or its owner that does not say what it must.
    case malformed(file: String, String)
    /// Another model, emulator or adapter than the record was made for.
    case mismatch(file: String, String)

    public var description: String {
        switch self {
        case .recipe(let reason): reason
        case .noPublicText(let reason): reason
        case .malformed(let file, let reason), .mismatch(let file, let reason): "\(file): \(reason)"
        }
    }
}
