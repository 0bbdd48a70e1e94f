import Models

/// The generator's random stream: which synthetic notes are written. Never secrets, never noise.
///
/// The draws are spelled out rather than taken from the standard library, whose algorithms may
/// change between releases; the same seed must give the same bytes for years.
struct TaskRandom: Sendable {
    private var generator: SplitMix64

    /// A stream for one purpose: `stream` keeps the draws of two purposes with one seed apart.
    init(seed: UInt64, stream: UInt64) {
        var mixer = SplitMix64(seed: seed)
        generator = SplitMix64(seed: mixer.next() ^ (stream &* 0xD1B5_4A32_D192_ED03))
    }

    /// A value in `0..<bound`. The bias of the multiply-shift map is below `bound`/2^64.
    mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0, "an empty range has no element")
        return Int(generator.next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// True with probability `percent`/100.
    mutating func chance(percent: Int) -> Bool { below(100) < percent }

    mutating func pick<Element>(_ choices: [Element]) -> Element { choices[below(choices.count)] }

    /// Fisher–Yates, from the last place to the first.
    mutating func shuffle<Element>(_ values: inout [Element]) {
        guard values.count > 1 else { return }
        for last in stride(from: values.count - 1, to: 0, by: -1) {
            values.swapAt(last, below(last + 1))
        }
    }
}
