import Foundation
import Kernels
import Models
import Testing

@Suite("Offsite tuning against PyTorch and transformers")
struct OffsiteTorchTests {
    struct File: Decodable {
        struct Selection: Decodable {
            let count, keep: Int
            let round, floor: [Int]
        }
        struct Run: Decodable {
            struct Weights: Decodable { let hidden, language, output: Float }
            let weights: Weights
            let layerWise: Bool
            let total, hidden, language, output: Double
            let gradient: [String: [Double]]
        }
        struct PlugIn: Decodable { let emulatorZeroShot, fullZeroShot, emulatorTuned, plugIn: Double }
        struct Case: Decodable {
            let sources: [Int]
            let runs: [Run]
            let plugIn: PlugIn
        }
        struct LowRank: Decodable {
            let values: [Double]
            let rank3: [Double]
        }
        let selections: [Selection]
        let cases: [Case]
        let records: [EngineVectors.Record]
        let lowRank: LowRank
        let fourBits: [Double]
    }

    static let file: File = {
        let url = EngineVectors.packageRoot.appendingPathComponent("Tests/Vectors/offsite/offsite.json")
        return try! JSONDecoder().decode(File.self, from: Data(contentsOf: url))
    }()

    static func formula(_ index: Int, offset: Double, scale: Double) -> Float {
        Float(scale * sin(0.37 * Double(index) * Double(index % 91) + offset))
    }

    static let full: LanguageModel = {
        let configuration = ModelConfiguration(
            vocabularySize: 50, hiddenSize: 24, intermediateSize: 40, layerCount: 7, headCount: 4,
            keyValueHeadCount: 2, headSize: 8, maximumPositions: 64)
        let names = WeightLayout(configuration).tensors.map(\.name).sorted()
        return LanguageModel(configuration: configuration) { tensor, target in
            let offset = 0.2 * Double(names.firstIndex(of: tensor.name)!)
            let isNorm = tensor.name.contains("norm")
            for index in target.indices {
                let value = formula(index, offset: offset, scale: isNorm ? 0.1 : 0.25)
                target[index] = isNorm ? 1 + value : value
            }
        }
    }()

    static func shape(_ test: File.Case) -> EmulatorShape {
        EmulatorShape(sources: test.sources, middle: 1..<test.sources.count - 2, fullCount: 7)
    }

    /// The emulator with the script's nudge on its middle.
    static func emulator(_ shape: EmulatorShape) -> LanguageModel {
        var weights = shape.drop(from: full).flatWeights
        for tensor in shape.drop(from: full).layout.tensors {
            if let block = tensor.block, shape.middle.contains(block) {
                for place in tensor.range { weights[place] *= 1.0625 }
            }
        }
        var configuration = full.configuration
        configuration.layerCount = shape.sources.count
        return LanguageModel(configuration: configuration, weights: weights)
    }

    @Test("both uniform rules keep what Python's round and int keep")
    func selections() {
        #expect(Self.file.selections.count == 121)
        for selection in Self.file.selections {
            #expect(LayerRule.uniformRounded.kept(selection.keep, of: selection.count) == selection.round)
            #expect(LayerRule.uniformFloored.kept(selection.keep, of: selection.count) == selection.floor)
        }
        // FederatedScope-LLM's LLaMA-7B: 28 blocks between, drop 0.2, 22 stay.
        #expect(LayerRule.keptCount(dropping: 0.2, of: 28) == 22)
    }

    @Test(
        "distillation losses and their gradients",
        arguments: [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)])
    func distillation(index: Int, run: Int) throws {
        let test = Self.file.cases[index]
        let expected = test.runs[run]
        let shape = Self.shape(test)
        let student = Self.emulator(shape)
        let distiller = Distiller(
            teacher: Self.full, shape: shape,
            distillation: Distillation(
                steps: 1, hiddenWeight: expected.weights.hidden, languageWeight: expected.weights.language,
                outputWeight: expected.weights.output, isLayerWise: expected.layerWise))
        let (loss, gradient) = try distiller.lossAndGradient(student, Self.file.records.map(\.example))
        #expect(abs(loss.total - expected.total) < 5e-6 * max(1, expected.total))
        #expect(abs(loss.hidden - expected.hidden) < 5e-6 * max(1, expected.hidden))
        if expected.weights.language > 0 {
            #expect(abs(loss.language - expected.language) < 5e-6)
            #expect(abs(loss.output - expected.output) < 5e-6)
        }
        let trained = student.layout.tensors.filter { $0.block.map(shape.middle.contains) ?? false }
        #expect(trained.count == expected.gradient.count)
        let start = trained[0].offset
        for tensor in trained {
            let part = gradient[tensor.offset - start..<tensor.range.upperBound - start]
            #expect(
                engineDeviation(part, expected.gradient[tensor.name]!) < 2e-5, "\(tensor.name)")
        }
    }

    @Test("an adapter tuned on the emulator plugs into the full model", arguments: [0, 1])
    func plugIn(index: Int) throws {
        let test = Self.file.cases[index]
        let shape = Self.shape(test)
        let student = Self.emulator(shape)
        let examples = Self.file.records.map(\.example)
        let configuration = LoRAConfiguration(
            rank: 2, alpha: 4, targetModules: [.query, .down], layers: shape.adapterBlocks)
        var values: [Float] = []
        for (index, entry) in LoRALayout(configuration, base: student.configuration).entries.enumerated() {
            for place in 0..<entry.aCount {
                values.append(Self.formula(place, offset: 0.2 * Double(index), scale: 0.3))
            }
            for place in 0..<entry.bCount {
                values.append(Self.formula(place, offset: 0.2 * Double(index) + 0.1, scale: 0.2))
            }
        }
        let adapter = LoRAAdapter(
            configuration: configuration, base: student.configuration, values: values)
        let plugged = try shape.plugIn(adapter, into: Self.full.configuration)
        func loss(_ model: LanguageModel, _ adapter: LoRAAdapter?) throws -> Double {
            try Evaluator(model: model, adapter: adapter.map(Adapter.lora)).meanLoss(examples).loss
        }
        #expect(abs(try loss(student, nil) - test.plugIn.emulatorZeroShot) < 5e-6)
        #expect(abs(try loss(Self.full, nil) - test.plugIn.fullZeroShot) < 5e-6)
        #expect(abs(try loss(student, adapter) - test.plugIn.emulatorTuned) < 5e-6)
        #expect(abs(try loss(Self.full, plugged) - test.plugIn.plugIn) < 5e-6)
    }

    @Test("an adapter of the emulator's middle is refused")
    func middleAdapter() {
        let shape = Self.shape(Self.file.cases[0])
        let base = Self.emulator(shape).configuration
        let everywhere = LoRAConfiguration(rank: 2, alpha: 4, targetModules: [.query])
        let count = LoRALayout(everywhere, base: base).count
        let adapter = LoRAAdapter(
            configuration: everywhere, base: base, values: [Float](repeating: 0, count: count))
        #expect(throws: EngineError.self) { try shape.plugIn(adapter, into: Self.full.configuration) }
    }

    @Test("an emulator that drops nothing is the full model, bit for bit")
    func dropsNothing() throws {
        let shape = EmulatorShape(first: 1, last: 2, middlePlaces: [0, 1, 2, 3], fullCount: 7)
        #expect(shape.drop(from: Self.full).flatWeights == Self.full.flatWeights)
        let distiller = Distiller(
            teacher: Self.full, shape: shape,
            distillation: Distillation(steps: 1, outputWeight: 1, isLayerWise: true))
        let loss = try distiller.loss(shape.drop(from: Self.full), Self.file.records.map(\.example))
        #expect(loss.hidden == 0 && abs(loss.output) < 1e-9)
    }

    @Test("low rank and few bits")
    func compression() {
        let matrix = (0..<54).map { Self.formula($0, offset: 0.3, scale: 1) }
        let (left, values, right) = singularValues(matrix, rows: 6, columns: 9)
        for (found, expected) in zip(values, Self.file.lowRank.values) {
            #expect(abs(Double(found) - expected) < 2e-6)
        }
        // U·diag(s)·Vᵀ is the matrix again.
        for row in 0..<6 {
            for column in 0..<9 {
                var sum = 0.0
                for index in 0..<6 {
                    sum += Double(left[row * 6 + index] * values[index] * right[index * 9 + column])
                }
                #expect(abs(sum - Double(matrix[row * 9 + column])) < 1e-5)
            }
        }
        #expect(
            engineDeviation(lowRank(matrix, rows: 6, columns: 9, share: 0.5), Self.file.lowRank.rank3)
                < 1e-5)
        #expect(engineDeviation(quantised(matrix, bits: 4), Self.file.fourBits) < 1e-5)
        #expect(Set(quantised(matrix, bits: 2)).count <= 4)
    }

    @Test("a stopped and resumed distillation gives the same bits, and distilling lowers the loss")
    func resumes() throws {
        let shape = Self.shape(Self.file.cases[0])
        let student = Self.emulator(shape)
        let examples = Self.file.records.map(\.example)
        let distiller = Distiller(
            teacher: Self.full, shape: shape,
            distillation: Distillation(
                steps: 30, batchTokens: 40, learningRate: 2e-3, warmUpSteps: 3, stepsPerCheck: 7))
        let before = try distiller.loss(student, examples)
        let whole = try distiller.distil(student, on: examples, heldOut: examples, seed: 3) { _ in true }
        var kept: DistillationState?
        _ = try distiller.distil(student, on: examples, heldOut: examples, seed: 3) {
            kept = $0.state
            return $0.step < 11
        }
        #expect(kept?.step == 11)
        let resumed = try distiller.distil(
            student, on: examples, heldOut: examples, seed: 3, resuming: kept
        ) { _ in true }
        #expect(resumed.flatWeights == whole.flatWeights)
        let after = try distiller.loss(whole, examples)
        #expect(after.total < 0.8 * before.total)
        // Nothing but the middle moved.
        let frozen = student.layout.tensors.filter { !($0.block.map(shape.middle.contains) ?? false) }
        for tensor in frozen {
            #expect(whole.flatWeights[tensor.range] == student.flatWeights[tensor.range])
        }
    }

    @Test("neighbours that compute alike are joined")
    func clusters() {
        // Blocks 0,1 | 2 | 3,4 have the same features up to scale, which the alignment ignores.
        let a: [Float] = [1, 0, 0, 1, 2, 2]
        let b: [Float] = [0, 1, 3, 0, 1, 0]
        let c: [Float] = [5, 1, 0, 2, 0, 0]
        let features = [a, a.map { 2 * $0 }, b, c, c.map { -$0 }]
        let clusters = BlockClusters(features: features, width: 2, count: 3)
        #expect(clusters.ranges == [0..<2, 2..<3, 3..<5])
        #expect(clusters.centres == [0, 2, 3])
        #expect(clusters.shared == [0, 0, 2, 3, 3])
        #expect(abs(centredKernelAlignment(a, a, width: 2) - 1) < 1e-12)
    }
}
