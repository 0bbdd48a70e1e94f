import Models

/// Makes an emulator from a model by a recipe, and writes the directory that travels.
public struct EmulatorMaker {
    public let full: BaseModel
    public let recipe: EmulatorRecipe
    /// Public text of the owner: to find clusters with, to distil on, and to hold out.
    public let text: [TokenizedExample]
    public let heldOut: [TokenizedExample]

    public struct Result: Sendable {
        public let model: LanguageModel
        public let shape: EmulatorShape
        /// On the held-out text, before and after distillation; nil without any.
        public let before: DistillationLoss?
        public let after: DistillationLoss?
    }

    /// - Throws: `OffsiteError` for a recipe that does not fit, or text that is missing.
    public init(
        full: BaseModel, recipe: EmulatorRecipe, text: [TokenizedExample], heldOut: [TokenizedExample]
    ) throws(OffsiteError) {
        try recipe.check(full.model.configuration)
        let needsText: Bool
        switch recipe.middle {
        case .uniform: needsText = recipe.distillation != nil
        case .clustered: needsText = true
        }
        if needsText, text.isEmpty {
            throw .noPublicText("this recipe needs public text; give --data FILE.jsonl")
        }
        self.full = full
        self.recipe = recipe
        self.text = text
        self.heldOut = heldOut
    }

    /// Drops, cuts, rounds and teaches, in this order.
    ///
    /// - Parameters:
    ///   - resuming: where an earlier process stopped teaching.
    ///   - progress: of the distillation; return false to stop there with the best so far.
    public func make(
        resuming: DistillationState? = nil, progress: (DistillationProgress) -> Bool = { _ in true }
    ) throws -> Result {
        let shape = try shape()
        var model = compressed(shape.drop(from: full.model), shape)
        guard let distillation = recipe.distillation, distillation.steps > 0 else {
            return Result(model: model, shape: shape, before: nil, after: nil)
        }
        let distiller = Distiller(teacher: full.model, shape: shape, distillation: distillation)
        let before = heldOut.isEmpty ? nil : try distiller.loss(model, heldOut)
        model = try distiller.distil(
            model, on: text, heldOut: heldOut, seed: recipe.seed, resuming: resuming, progress: progress)
        let after = heldOut.isEmpty ? nil : try distiller.loss(model, heldOut)
        return Result(model: model, shape: shape, before: before, after: after)
    }

    /// Which blocks stand where.
    public func shape() throws -> EmulatorShape {
        let layers = full.model.configuration.layerCount
        let count = layers - recipe.first - recipe.last
        let inner = recipe.inner.map { $0 - recipe.first }
        let places: [Int]
        switch recipe.middle {
        case .uniform(let rule, let keep):
            // Even distances among the blocks that are to be compressed.
            let others = (0..<count).filter { !inner.contains($0) }
            places = (rule.kept(keep, of: others.count).map { others[$0] } + inner).sorted()
        case .clustered(let clusters, let shared):
            let features = try BlockFeatures(model: full.model)
                .pooled(text.prefix(Self.clusterTextCount), blocks: recipe.first..<recipe.first + count)
            let found = BlockClusters(
                features: features, width: full.model.configuration.hiddenSize, count: clusters)
            places = shared ? found.shared : found.centres
        }
        return EmulatorShape(
            first: recipe.first, last: recipe.last, middlePlaces: places, innerPlaces: inner,
            fullCount: layers)
    }

    private func compressed(_ model: LanguageModel, _ shape: EmulatorShape) -> LanguageModel {
        guard recipe.rankShare != nil || recipe.bits != nil else { return model }
        return model.mapping(matricesOf: Set(shape.standIns)) { tensor, values in
            var values = values
            if let share = recipe.rankShare {
                values = lowRank(values, rows: tensor.shape[0], columns: tensor.shape[1], share: share)
            }
            if let bits = recipe.bits { values = quantised(values, bits: bits) }
            return values
        }
    }

    /// Texts whose pooled features decide which blocks are alike.
    private static let clusterTextCount = 64
}
