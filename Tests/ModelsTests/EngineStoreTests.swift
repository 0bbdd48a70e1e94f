import Foundation
import Kernels
import Models
import Testing

@Suite("A base in fewer bits, and activations computed again")
struct EngineStoreTests {
    static let graph = engineConfiguration(keyValueHeads: 2, tied: false, layers: 3, vocabulary: 31)
    static let examples = engineExamples(12, vocabulary: 31, lengths: 2...40, seed: 91)
    static let adapter = engineAdapter(
        LoRAConfiguration(rank: 2, alpha: 4, targetModules: graph.linearModules), base: graph, seed: 92)

    static func stored(_ store: WeightStore, like model: LanguageModel) -> LanguageModel {
        LanguageModel(configuration: model.configuration, store: store) { tensor, target in
            model.withTensor(tensor) { _ = target.update(fromContentsOf: $0) }
        }
    }

    @Test(
        "losses and gradients are bit for bit those of a base with the expanded weights",
        arguments: WeightStore.allCases)
    func equalsExpanded(store: WeightStore) throws {
        let model = engineModel(Self.graph, seed: 93)
        let kept = Self.stored(store, like: model)
        let expanded = LanguageModel(configuration: Self.graph, weights: kept.flatWeights)
        #expect(kept.keepsFloats == (store == .f32))
        let results = try [kept, expanded].map {
            try TrainingEngine(model: $0, threads: 2).lossesAndGradients(
                of: [ClientBatch(adapter: Self.adapter, examples: Self.examples)], part: .aAndB)[0]
        }
        let isEqual = results[0].gradient == results[1].gradient
        #expect(isEqual && results[0].loss == results[1].loss)
        // A few weights only, so the scales of int4 weigh more than on a real base.
        let share = Double(kept.weightBytes) / Double(4 * model.parameterCount)
        #expect(share < [.f32: 1.01, .bf16: 0.53, .int8: 0.36, .int4: 0.3][store]!)
    }

    @Test(
        "blocks that run again on the way back give the same bits, for any part",
        arguments: TrainablePart.allCases)
    func recomputingChangesNothing(part: TrainablePart) throws {
        let model = engineModel(Self.graph, seed: 94)
        func run(_ recomputes: Bool) throws -> ([[Float]], [Float]) {
            let engine = TrainingEngine(model: model, threads: 2, recomputesActivations: recomputes)
            let batch = try engine.lossAndGradient(
                of: Self.examples, adapter: Self.adapter, part: part)
            var gradients = [batch.gradient]
            var losses = [Float(batch.loss)]
            try engine.perRecordGradients(of: Self.examples, adapter: Self.adapter, part: part) {
                gradients.append(Array($1))
                losses.append($2)
            }
            return (gradients, losses)
        }
        let (kept, again) = (try run(false), try run(true))
        let isEqual = kept.0 == again.0 && kept.1 == again.1
        #expect(isEqual)
    }

    @Test(
        "the small real Llama loses less than 1e-2 in int8, and maps its file otherwise",
        .enabled(if: EngineShared.exists(EngineShared.stories)))
    func realModelKeepsItsLoss() throws {
        let checkpoint = try Checkpoint.load(directory: EngineShared.stories.path)
        let ids: [Int32] = [
            1, 403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338, 401, 396, 267,
            337, 410, 408, 419, 292, 411, 322, 265, 282, 295, 433, 426, 385, 328, 432, 358, 394, 261, 370,
        ]
        func loss(_ store: WeightStore?) throws -> (Double, Int) {
            let model = try LanguageModel(checkpoint: checkpoint, store: store)
            let loss = try Evaluator(model: model).meanLoss([TokenizedExample(tokens: ids)]).loss
            return (loss, model.weightBytes)
        }
        let plain = try loss(nil)
        let (float, half, byte, nibble) = try (loss(.f32), loss(.bf16), loss(.int8), loss(.int4))
        #expect(plain.0 == float.0)
        #expect(abs(half.0 - plain.0) < 1e-2)
        #expect(abs(byte.0 - plain.0) < 1e-2 && 3 * byte.1 <= float.1)
        // 260 thousand weights have little to spare for four bits; the figure is a guard, not a claim.
        #expect(abs(nibble.0 - plain.0) < 0.5 && nibble.1 < byte.1)
    }
}
