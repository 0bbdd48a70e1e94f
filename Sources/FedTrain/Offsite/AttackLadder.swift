import Glibc
import Models

/// What somebody who holds an emulator can make of it, rung by rung, against a budget.
///
/// Every rung ends in a model that is scored on held-out public text: its recovery ratio
/// exp(loss of the full model − loss of the recovered one), 1 for a perfect copy. Attackers train on
/// public text only, as an honest-but-curious site could.
public struct AttackLadder {
    public let full: LanguageModel
    public let emulator: LanguageModel
    public let shape: EmulatorShape
    /// What the owner serves: full model and tuned adapter; rung A5 asks it for soft labels.
    public let deployed: LanguageModel
    public let text: [TokenizedExample]
    public let heldOut: [TokenizedExample]
    public let budget: Budget

    /// How hard attackers try.
    public struct Budget: Sendable, Equatable {
        /// Training steps at which a rung is scored, ascending; none leaves out the rungs that train.
        public var steps: [Int]
        public var batchTokens: Int
        public var learningRate: Float
        public var seed: UInt64

        public init(
            steps: [Int] = [25, 50, 100, 200], batchTokens: Int = 1024, learningRate: Float = 1e-3,
            seed: UInt64 = 1
        ) {
            precondition(steps == steps.sorted() && steps.allSatisfy { $0 >= 1 })
            self.steps = steps
            self.batchTokens = batchTokens
            self.learningRate = learningRate
            self.seed = seed
        }
    }

    /// One point on a rung's budget curve.
    public struct Point: Codable, Sendable, Equatable {
        /// Tokens trained on, labels asked of the owner's service, floating-point operations.
        public let tokens: Int
        public let queries: Int
        public let flops: Double
        public let loss: Double
        public let recovery: Double
        /// KL(full ‖ recovered) per token, and share of tokens with the same most likely token.
        public let divergence: Double
        public let agreement: Double
    }

    public struct Rung: Codable, Sendable, Equatable {
        public let name: String
        public let what: String
        public let points: [Point]
        /// Alignment of the recovered blocks' features with the true blocks', averaged over the middle;
        /// nil where the recovered model has no block for each of the owner's.
        public let middleAlignment: Double?
    }

    public init(
        full: LanguageModel, emulator: LanguageModel, shape: EmulatorShape, deployed: LanguageModel,
        text: [TokenizedExample], heldOut: [TokenizedExample], budget: Budget
    ) throws(OffsiteError) {
        guard !text.isEmpty, !heldOut.isEmpty else {
            throw .noPublicText(
                "the attacks need public text, and some of it held out; give --data FILE.jsonl")
        }
        self.full = full
        self.emulator = emulator
        self.shape = shape
        self.deployed = deployed
        self.text = text
        self.heldOut = heldOut
        self.budget = budget
    }

    /// All rungs. `second` is another emulator of the same model, for collusion and differencing.
    public func climb(
        second: (model: LanguageModel, shape: EmulatorShape)?, progress: (String) -> Void
    ) throws -> [Rung] {
        let victim = try Evaluator(model: full).meanLoss(heldOut).loss
        var rungs: [Rung] = []
        func rung(_ name: String, _ what: String, _ body: () throws -> [(Int, Int, LanguageModel)]) throws {
            progress("\(name) \(what)")
            var last: LanguageModel?
            let points = try body().map { tokens, queries, model in
                last = model
                return try point(model, tokens: tokens, queries: queries, victim: victim)
            }
            rungs.append(
                Rung(
                    name: name, what: what, points: points,
                    middleAlignment: try last.flatMap { try alignment($0) }))
        }
        try rung("A0", "use the emulator as it is") { [(0, 0, emulator)] }
        let trains = !budget.steps.isEmpty
        if trains {
            try rung("A1", "train the emulator on public text") { try trained(emulator, blocks: nil) }
        }
        let deepened = deepened(emulator, shape)
        try rung("A2", "repeat neighbours to the full depth, no training") { [(0, 0, deepened)] }
        if trains {
            try rung("A3", "stitch: repeat, then train only the blocks put in") {
                try trained(deepened, blocks: insertedBlocks)
            }
            try rung("A4", "repeat, then train everything on public text") {
                try trained(deepened, blocks: nil)
            }
            try rung("A5", "repeat, then learn the deployed model's soft labels") {
                try taught(deepened)
            }
        }
        if let second {
            try rung("A6", "two emulators pool their blocks") {
                [(0, 0, pooled(with: second))]
            }
            if second.shape == shape {
                try rung("A7", "average an emulator and its re-shipped version") {
                    [(0, 0, deepenedAverage(with: second.model))]
                }
            }
        }
        return rungs
    }

    // MARK: Recovering

    /// The emulator's blocks repeated until every block of the full model has one.
    private func deepened(_ emulator: LanguageModel, _ shape: EmulatorShape) -> LanguageModel {
        emulator.taking(blocks: (0..<shape.fullCount).map { Self.nearest(to: $0, in: shape) })
    }

    /// The emulator's block that is most like block `block` of the full model, by place.
    private static func nearest(to block: Int, in shape: EmulatorShape) -> Int {
        if block < shape.middle.lowerBound { return block }
        if block >= shape.fullMiddle.upperBound {
            return block - shape.fullCount + shape.sources.count
        }
        return shape.middle.min { abs(shape.sources[$0] - block) < abs(shape.sources[$1] - block) }!
    }

    /// Places of the deepened model whose block is a repetition, not the source's own place.
    private var insertedBlocks: Set<Int> {
        Set(shape.fullMiddle.filter { !shape.sources[shape.middle].contains($0) })
    }

    private func trained(
        _ start: LanguageModel, blocks: Set<Int>?
    ) throws -> [(Int, Int, LanguageModel)] {
        guard blocks?.isEmpty != true else { return [(0, 0, start)] }
        var result: [(Int, Int, LanguageModel)] = []
        let last = budget.steps.last!
        let training = Pretraining(
            steps: last, batchTokens: budget.batchTokens, learningRate: budget.learningRate,
            warmUpSteps: min(10, last), weightDecay: 0)
        _ = try Pretrainer(training: training, trainedBlocks: blocks).train(
            start, on: text, seed: budget.seed,
            snapshot: { progress, model in
                if budget.steps.contains(progress.step) { result.append((progress.totalTokens, 0, model)) }
            },
            progress: { _ in true })
        return result
    }

    private func taught(_ start: LanguageModel) throws -> [(Int, Int, LanguageModel)] {
        let depth = shape.fullCount
        let (first, last) = (shape.middle.lowerBound, shape.sources.count - shape.middle.upperBound)
        let whole = EmulatorShape(
            first: first, last: last, middlePlaces: Array(0..<depth - first - last), fullCount: depth)
        return try budget.steps.map { steps in
            let distiller = Distiller(
                teacher: deployed, shape: whole,
                distillation: Distillation(
                    steps: steps, batchTokens: budget.batchTokens, learningRate: budget.learningRate,
                    warmUpSteps: min(10, steps), hiddenWeight: 0, outputWeight: 1))
            let model = try distiller.distil(start, on: text, heldOut: [], seed: budget.seed) { _ in true }
            let tokens = steps * budget.batchTokens
            return (tokens, tokens, model)
        }
    }

    /// Every block of the full model that one of the two emulators kept, the nearest where neither did.
    private func pooled(with second: (model: LanguageModel, shape: EmulatorShape)) -> LanguageModel {
        let ours = deepened(emulator, shape)
        let theirs = deepened(second.model, second.shape)
        let known = Set(second.shape.sources).subtracting(shape.sources)
        let taken = Dictionary(uniqueKeysWithValues: known.map { ($0, $0) })
        return ours.replacing(blocks: taken, from: theirs)
    }

    private func deepenedAverage(with second: LanguageModel) -> LanguageModel {
        let mean = zip(emulator.flatWeights, second.flatWeights).map { ($0 + $1) / 2 }
        return deepened(LanguageModel(configuration: emulator.configuration, weights: mean), shape)
    }

    // MARK: Scoring

    private func point(
        _ model: LanguageModel, tokens: Int, queries: Int, victim: Double
    ) throws -> Point {
        let loss = try Evaluator(model: model).meanLoss(heldOut).loss
        let comparison = try ModelComparison(full, model, on: heldOut)
        return Point(
            tokens: tokens, queries: queries,
            // 6·N per token trained, 2·N per label asked for.
            flops: 6 * Double(model.parameterCount) * Double(tokens)
                + 2 * Double(full.parameterCount) * Double(queries),
            loss: loss, recovery: exp(victim - loss), divergence: comparison.divergence,
            agreement: comparison.agreement)
    }

    private func alignment(_ model: LanguageModel) throws -> Double? {
        guard model.configuration.layerCount == shape.fullCount else { return nil }
        let sample = heldOut.prefix(48)
        let blocks = shape.fullMiddle
        let width = full.configuration.hiddenSize
        let truth = try BlockFeatures(model: full).pooled(sample, blocks: blocks)
        let found = try BlockFeatures(model: model).pooled(sample, blocks: blocks)
        let sum = zip(truth, found).reduce(0.0) {
            $0 + centredKernelAlignment($1.0, $1.1, width: width)
        }
        return sum / Double(blocks.count)
    }
}
