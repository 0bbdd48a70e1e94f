import Foundation
import Kernels
import Models

/// The folder of reference checkpoints and data, which a clone of this repository alone does not have.
enum EngineShared {
    static let directory: URL = {
        if let path = ProcessInfo.processInfo.environment["FEDTRAIN_SHARED"] {
            return URL(fileURLWithPath: path)
        }
        return EngineVectors.packageRoot.deletingLastPathComponent().appendingPathComponent("shared")
    }()

    static let llama = directory.appendingPathComponent("reference/checkpoints/llama")
    static let stories = directory.appendingPathComponent("data/stories260k/hf")

    static func exists(_ url: URL) -> Bool { FileManager.default.fileExists(atPath: url.path) }
}

/// Golden figures made by `Tests/Vectors/engine/make.py`.
enum EngineVectors {
    static let packageRoot = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func load<Value: Decodable>(_ name: String, as type: Value.Type) throws -> Value {
        let url = packageRoot.appendingPathComponent("Tests/Vectors/engine/\(name)")
        return try JSONDecoder().decode(type, from: Data(contentsOf: url))
    }

    struct Record: Decodable {
        let tokens: [Int32]
        let targetStart: Int
        var example: TokenizedExample { TokenizedExample(tokens: tokens, targetStart: targetStart) }
    }

    struct RecordGradient: Decodable {
        let loss: Double
        let gradient: [String: [Double]]
    }

    struct Run: Decodable {
        let losses: [Double]
        let parameters: [String: [Double]]
    }
}

/// Norm and inner product with cos(0.7·i + 1), as `make.py` records tensors.
func engineSignature(_ values: some Collection<Float>) -> [Double] {
    var (norm, product) = (0.0, 0.0)
    for (index, value) in values.enumerated() {
        norm += Double(value) * Double(value)
        product += Double(value) * cos(0.7 * Double(index) + 1)
    }
    return [norm.squareRoot(), product]
}

/// The largest deviation of norm or product, relative to the recorded norm; tensors of norm below 0.05 are
/// measured against that, because a gradient that cancels to zero leaves float32 rounding.
func engineDeviation(_ values: some Collection<Float>, _ recorded: [Double]) -> Double {
    let found = engineSignature(values)
    let unit = max(recorded[0], 0.05)
    return max(abs(found[0] - recorded[0]), abs(found[1] - recorded[1])) / unit
}

/// A small graph with every dimension different from the others.
func engineConfiguration(
    keyValueHeads: Int = 2, tied: Bool = true, biased: Bool = false, layers: Int = 2,
    vocabulary: Int = 19, positions: Int = 64
) -> ModelConfiguration {
    var configuration = ModelConfiguration(
        vocabularySize: vocabulary, hiddenSize: 12, intermediateSize: 10, layerCount: layers,
        headCount: 4, keyValueHeadCount: keyValueHeads, headSize: 6, maximumPositions: positions,
        tiesWordEmbeddings: tied)
    configuration.hasQueryKeyValueBias = biased
    configuration.hasAttentionOutputBias = biased
    configuration.hasFeedForwardBias = biased
    return configuration
}

/// A model with weights large enough for every path to matter.
func engineModel(_ configuration: ModelConfiguration, seed: UInt64) -> LanguageModel {
    var generator = SplitMix64(seed: seed)
    var weights = [Float](repeating: 0, count: WeightLayout(configuration).count)
    for tensor in WeightLayout(configuration).tensors {
        let isNorm = tensor.name.contains("norm")
        for index in tensor.range {
            let value = Float(2 * uniform(&generator) - 1)
            weights[index] = isNorm ? 1 + 0.3 * value : 0.5 * value
        }
    }
    return LanguageModel(configuration: configuration, weights: weights)
}

/// An adapter whose A and B are both away from zero.
func engineAdapter(
    _ configuration: LoRAConfiguration, base: ModelConfiguration, seed: UInt64
) -> LoRAAdapter {
    var generator = SplitMix64(seed: seed)
    let count = LoRALayout(configuration, base: base).count
    return LoRAAdapter(
        configuration: configuration, base: base,
        values: (0..<count).map { _ in Float(0.6 * uniform(&generator) - 0.3) })
}

/// Random sequences, some with a prompt that is not predicted.
func engineExamples(
    _ count: Int, vocabulary: Int, lengths: ClosedRange<Int>, seed: UInt64
) -> [TokenizedExample] {
    var generator = SplitMix64(seed: seed)
    return (0..<count).map { index in
        let length = Models.index(below: lengths.count, &generator) + lengths.lowerBound
        let tokens = (0..<length).map { _ in Int32(Models.index(below: vocabulary, &generator)) }
        return TokenizedExample(tokens: tokens, targetStart: index % 3 == 0 ? 1 : 1 + length / 3)
    }
}

/// ‖a − b‖₂ / ‖b‖₂.
func engineDistance(_ a: some Sequence<Float>, _ b: some Sequence<Double>) -> Double {
    var (difference, norm) = (0.0, 0.0)
    for (x, y) in zip(a, b) {
        difference += (Double(x) - y) * (Double(x) - y)
        norm += y * y
    }
    return (difference / max(norm, 1e-300)).squareRoot()
}

extension LanguageModel {
    /// One row of logits per token.
    func logits(of tokens: [Int32]) throws -> [Float] {
        let pool = ThreadPool(threads: 1)
        var pack = Pack()
        pack.append(prompt: tokens, wantsEveryRow: true)
        let adapted = try AdaptedModel(self, adapters: [], pool: pool)
        let pass = GraphPass(adapted, pack, arena: Arena(), pool: pool, keepsStates: false)
        var logits = [Float](repeating: 0, count: tokens.count * configuration.vocabularySize)
        pass.logits(into: &logits)
        return logits
    }
}

func engineExp(_ x: Double) -> Double { exp(x) }
