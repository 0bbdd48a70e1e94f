import Sodium

/// One client's noise for one round: drawn before training, added once, then wiped.
///
/// Drawing it ahead keeps the sampler's timing, which depends on the noise, away from anything the
/// server can observe; consuming it makes a second use of the same noise impossible.
public struct NoiseShare: ~Copyable, @unchecked Sendable {
    // Owned by this value alone and written only while it is created.
    private let values: UnsafeMutableBufferPointer<Int32>

    /// `count` coordinates, zero until `draw` writes the noise.
    init(count: Int, draw: (UnsafeMutableBufferPointer<Int32>) -> Void) {
        values = .allocate(capacity: count)
        values.initialize(repeating: 0)
        draw(values)
    }

    deinit {
        wipe(UnsafeMutableRawBufferPointer(values))
        values.deallocate()
    }

    /// The number of coordinates.
    public var count: Int { values.count }

    /// contribution[j] += noise[j] modulo 2^32; the noise is wiped.
    public consuming func add(to contribution: UnsafeMutableBufferPointer<Int32>) {
        Self.add(values, to: contribution)
    }

    public consuming func add(to contribution: inout [Int32]) {
        let noise = values
        contribution.withUnsafeMutableBufferPointer { Self.add(noise, to: $0) }
    }

    private static func add(
        _ noise: UnsafeMutableBufferPointer<Int32>, to target: UnsafeMutableBufferPointer<Int32>
    ) {
        precondition(target.count == noise.count, "noise and vector differ in length")
        for index in 0..<noise.count { target[index] &+= noise[index] }
    }
}
