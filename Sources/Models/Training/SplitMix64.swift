import Glibc

/// SplitMix64 [Steele, Lea, Flood 2014]: a seed gives one fixed stream, on every machine.
///
/// For initialisation, data order and sampling of text. Not for keys, masks or privacy noise.
public struct SplitMix64: RandomNumberGenerator, Sendable, Equatable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

/// A number in [0, 1) with 53 random bits: one word of the generator.
package func uniform(_ generator: inout some RandomNumberGenerator) -> Double {
    Double(generator.next() >> 11) * 0x1p-53
}

/// A standard normal number by Box and Muller's method: two words of the generator.
package func standardNormal(_ generator: inout some RandomNumberGenerator) -> Double {
    let radius = 1 - uniform(&generator)
    let angle = 2 * Double.pi * uniform(&generator)
    return (-2 * log(radius)).squareRoot() * cos(angle)
}

/// The order 0 ..< `count` shuffled by Fisher and Yates. Spelled out, because the standard library
/// does not promise to keep its own draws the same from one version to the next.
package func shuffledOrder(
    _ count: Int, _ generator: inout some RandomNumberGenerator
) -> [Int] {
    var order = Array(0..<count)
    for last in stride(from: count - 1, to: 0, by: -1) {
        order.swapAt(last, index(below: last + 1, &generator))
    }
    return order
}

/// A uniform index below `bound`, by rejection, so that no index is favoured.
package func index(below bound: Int, _ generator: inout some RandomNumberGenerator) -> Int {
    let bound = UInt64(bound)
    let limit = UInt64.max - UInt64.max % bound
    while true {
        let word = generator.next()
        if word < limit { return Int(word % bound) }
    }
}
