import Kernels
import Models
import Testing

/// What averaging LoRA's factors does to the weights that they stand for, through the product's own merge: FFA and
/// RoLoRA average one factor and lose nothing; FedIT averages both and errs by what FedEx-LoRA's residual holds
/// [Singhal et al. 2024]. FedEx itself is not offered: its residual is as large as the model.
@Suite("Means of adapters against means of weights")
struct AggregationExactnessTests {
    private static let configuration = LoRAConfiguration(
        rank: 3, alpha: 6, targetModules: [.query, .value, .up])

    private static let model: LanguageModel = {
        var generator = SplitMix64(seed: 11)
        return LanguageModel(
            configuration: ModelConfiguration(
                vocabularySize: 40, hiddenSize: 16, intermediateSize: 32, layerCount: 2, headCount: 2,
                keyValueHeadCount: 1, maximumPositions: 16),
            initialisedBy: &generator, deviation: 0.1)
    }()

    /// Five clients' adapters with every number drawn anew in the parts that travel, and shared elsewhere.
    private static func clients(differingIn part: TrainablePart) -> [LoRAAdapter] {
        var generator = SplitMix64(seed: 12)
        var start = LoRAAdapter(
            configuration: configuration, base: model.configuration, generator: &generator)
        func drawn(_ count: Int) -> [Float] {
            (0..<count).map { _ in Float(Double(generator.next() >> 11) * 0x1p-53 - 0.5) * 0.4 }
        }
        start = start.replacing(.aAndB, with: drawn(start.count(.aAndB)))
        return (0..<5).map { _ in start.replacing(part, with: drawn(start.count(part))) }
    }

    private static func mean(_ adapters: [LoRAAdapter], _ part: TrainablePart) -> LoRAAdapter {
        let vectors = adapters.map { $0.extract(part) }
        return adapters[0].replacing(
            part,
            with: vectors[0].indices.map { index in
                Float(vectors.reduce(0.0) { $0 + Double($1[index]) } / Double(vectors.count))
            })
    }

    /// Every weight of the base with each adapter multiplied in, and the mean over adapters in Double.
    private static func meanOfProducts(_ adapters: [LoRAAdapter]) throws -> [Double] {
        let merged = try adapters.map { weights(try model.merging($0)) }
        return merged[0].indices.map { index in
            merged.reduce(0.0) { $0 + Double($1[index]) } / Double(merged.count)
        }
    }

    private static func weights(_ model: LanguageModel) -> [Float] {
        model.layout.tensors.flatMap { model.withTensor($0) { Array($0) } }
    }

    private static func largest(_ found: [Float], _ expected: [Double]) -> Double {
        zip(found, expected).map { abs(Double($0) - $1) }.max()!
    }

    @Test("one factor's mean is the mean of the products, to 1e-6", arguments: [TrainablePart.bOnly, .aOnly])
    func oneFactor(part: TrainablePart) throws {
        let clients = Self.clients(differingIn: part)
        let found = Self.weights(try Self.model.merging(Self.mean(clients, part)))
        #expect(Self.largest(found, try Self.meanOfProducts(clients)) < 1e-6)
    }

    @Test("both factors' means miss it, and the residual restores it, to 1e-6")
    func bothFactors() throws {
        let clients = Self.clients(differingIn: .aAndB)
        let mean = Self.mean(clients, .aAndB)
        let exact = try Self.meanOfProducts(clients)
        let inexact = Self.weights(try Self.model.merging(mean))
        #expect(Self.largest(inexact, exact) > 0.01)

        // The base takes up what the means lack; the mean adapter then lies on top of it.
        var place = 0
        let residual = zip(exact, inexact).map { $0 - Double($1) }
        let starts = Dictionary(
            uniqueKeysWithValues: Self.model.layout.tensors.map { tensor in
                defer { place += tensor.count }
                return (tensor.name, place)
            })
        let restored = Self.model.mapping(matricesOf: [0, 1]) { tensor, values in
            values.indices.map { values[$0] + Float(residual[starts[tensor.name]! + $0]) }
        }
        #expect(Self.largest(Self.weights(try restored.merging(mean)), exact) < 1e-6)
    }
}
