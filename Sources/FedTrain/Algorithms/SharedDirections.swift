import Models

/// K directions in the space of an adapter that everyone can make again from a number: coordinates of ±1.
///
/// FedKSeed's clients step along them by differences of losses, and send how far they went along each. What
/// K numbers say of an adapter of any size is then the same everywhere, bit for bit, because each coordinate
/// is added up in the order of the directions.
package struct SharedDirections: Sendable, Equatable {
    package let count: Int
    /// Length of a direction.
    package let dimension: Int
    private let seed: UInt64

    package init(count: Int, dimension: Int, seed: UInt64) {
        self.count = count
        self.dimension = dimension
        self.seed = seed
    }

    /// x ← x + scale·z_j.
    package func add(_ scale: Float, along j: Int, to x: inout [Float]) {
        precondition(x.count == dimension && 0..<count ~= j, "a direction of this space")
        // SplitMix64 adds one odd constant a step, so seeds that differ by multiples of 2^32 give sequences that
        // meet after a multiple of 2^32 steps at the earliest: no two directions share a word.
        var signs = SplitMix64(seed: seed &+ UInt64(j) << 32)
        x.withUnsafeMutableBufferPointer { x in
            var start = 0
            while start < x.count {
                var word = signs.next()
                let end = min(start + 64, x.count)
                for index in start..<end {
                    // The word's lowest bit becomes the sign of ±scale.
                    x[index] += Float(bitPattern: scale.bitPattern ^ UInt32(word & 1) << 31)
                    word >>= 1
                }
                start = end
            }
        }
    }

    /// origin + Σ_j coordinates_j·z_j, added in the order of j.
    package func point(_ coordinates: [Float], from origin: [Float]) -> [Float] {
        precondition(coordinates.count == count, "a coordinate for each direction")
        var x = origin
        for (j, coordinate) in coordinates.enumerated() where coordinate != 0 {
            add(coordinate, along: j, to: &x)
        }
        return x
    }
}
