import Sodium

/// The one source of every decision in a world: SplitMix64, whose whole state is one word.
///
/// A value, so that a copy draws the same numbers again; that is how the observer learns the keys that a
/// client has just made. Predictable on purpose, and never used outside a simulation.
package struct SimulationRandom: RandomSource {
    private var state: UInt64

    package init(seed: UInt64, stream: UInt64 = 0) {
        state = Self.mix(seed ^ Self.mix(stream &+ 0x9e37_79b9_7f4a_7c15))
    }

    static func mix(_ value: UInt64) -> UInt64 {
        var word = value
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return Self.mix(state)
    }

    package mutating func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        var place = 0
        while place < buffer.count {
            withUnsafeBytes(of: next().littleEndian) { word in
                for byte in word where place < buffer.count {
                    buffer[place] = byte
                    place += 1
                }
            }
        }
    }

    /// A number below `bound`; the bias of 2^−32 and less does not matter here.
    package mutating func below(_ bound: Int) -> Int { (Int(next() >> 32) * bound) >> 32 }

    package mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

    /// True in `rate` of 10,000 cases.
    mutating func happens(_ rate: Int) -> Bool { rate > 0 && below(10_000) < rate }

    mutating func pick<Element>(_ choices: [Element]) -> Element { choices[below(choices.count)] }

    /// `count` different indices below `bound`, in random order.
    package mutating func sample(_ count: Int, below bound: Int) -> [Int] {
        var all = Array(0..<bound)
        for place in 0..<min(count, bound) { all.swapAt(place, within(place...bound - 1)) }
        return Array(all.prefix(count))
    }
}
