import Models
import Testing

@Suite("LoRA adapters as flat vectors")
struct EngineAdapterTests {
    static let base = engineConfiguration(keyValueHeads: 2, layers: 2)
    static let configuration = LoRAConfiguration(
        rank: 3, alpha: 6, targetModules: [.down, .query, .query, .key])

    @Test("the layout is layer, module in canonical order, A then B")
    func layoutOrder() {
        let layout = LoRALayout(Self.configuration, base: Self.base)
        #expect(Self.configuration.targetModules == [.query, .key, .down])
        #expect(layout.entries.map(\.layer) == [0, 0, 0, 1, 1, 1])
        #expect(layout.entries.map(\.module) == [.query, .key, .down, .query, .key, .down])
        var offset = 0
        for entry in layout.entries {
            #expect(entry.aOffset == offset && entry.bOffset == offset + entry.rank * entry.inputs)
            offset = entry.bOffset + entry.outputs * entry.rank
        }
        #expect(layout.count == offset)
        #expect(layout.entry(layer: 1, module: .value) == nil)
        #expect(layout.entry(layer: 1, module: .key)?.outputs == 12)
    }

    @Test("a part's vector and its complement make up the adapter", arguments: TrainablePart.allCases)
    func partsRoundTrip(part: TrainablePart) {
        let count = LoRALayout(Self.configuration, base: Self.base).count
        let adapter = LoRAAdapter(
            configuration: Self.configuration, base: Self.base, values: (0..<count).map(Float.init))
        let vector = adapter.extract(part)
        #expect(vector.count == adapter.count(part))
        #expect(vector == vector.sorted(), "the part keeps the layout's order")
        #expect(adapter.count(.aOnly) + adapter.count(.bOnly) == adapter.count(.aAndB))
        #expect(Set(adapter.extract(.aOnly)).isDisjoint(with: adapter.extract(.bOnly)))

        let zeroed = adapter.replacing(part, with: vector.map { _ in 0 })
        #expect(zeroed.extract(part).allSatisfy { $0 == 0 })
        #expect(zeroed.adding(vector, part) == adapter)
        #expect(adapter.adding(vector, part, scale: -1) == zeroed)
        if part == .bOnly { #expect(zeroed.extract(.aOnly) == adapter.extract(.aOnly)) }
    }

    @Test("a fresh adapter has B zero and A uniform within 1/√inputs, the same for the same seed")
    func initialisation() {
        func fresh(_ seed: UInt64) -> LoRAAdapter {
            var generator = SplitMix64(seed: seed)
            return LoRAAdapter(
                configuration: Self.configuration, base: Self.base, generator: &generator)
        }
        let adapter = fresh(1)
        #expect(adapter.extract(.bOnly).allSatisfy { $0 == 0 })
        for entry in adapter.layout.entries {
            let bound = 1 / Float(entry.inputs).squareRoot()
            let a = adapter.matrixA(layer: entry.layer, module: entry.module)!
            #expect(a.allSatisfy { abs($0) <= bound })
            #expect(a.max()! > 0.7 * bound && a.min()! < -0.7 * bound)
        }
        #expect(fresh(1) == adapter && fresh(2) != adapter)
    }

    @Test("scaling is α/r, or α/√r when rank-stabilised")
    func scaling() {
        let plain = LoRAConfiguration(rank: 4, alpha: 6, targetModules: [.query])
        let stabilised = LoRAConfiguration(rank: 4, alpha: 6, targetModules: [.query], useRSLoRA: true)
        #expect(plain.scale == 1.5 && stabilised.scale == 3)
    }

    @Test("SplitMix64 gives the published stream")
    func splitMixVector() {
        // The first outputs for seed 1234567 that Vigna's reference code prints.
        var generator = SplitMix64(seed: 1_234_567)
        #expect(
            (0..<5).map { _ in generator.next() } == [
                6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
                4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
            ])
    }

    @Test("a shuffled order is a permutation, and every index gets every place")
    func shuffles() {
        var generator = SplitMix64(seed: 3)
        var seen = Set<[Int]>()
        for _ in 0..<2000 {
            let order = shuffledOrder(4, &generator)
            #expect(order.sorted() == [0, 1, 2, 3])
            seen.insert(order)
        }
        // Missing one of 24 orders in 2000 fair shuffles happens once in 10³⁵ runs.
        #expect(seen.count == 24)
        #expect(shuffledOrder(0, &generator) == [] && shuffledOrder(1, &generator) == [0])
    }
}
