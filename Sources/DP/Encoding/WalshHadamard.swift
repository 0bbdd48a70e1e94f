/// The unnormalised Walsh–Hadamard transform, in place.
enum WalshHadamard {
    /// Sub-transforms of this many floats run inside the first-level cache.
    private static let cacheLength = 4096

    /// Replaces x by H·x, H the ±1 Hadamard matrix in natural order; H·H = count·I.
    ///
    /// `count` is a power of two. Cost: count·log2(count) additions.
    static func transform(_ x: UnsafeMutablePointer<Float>, count: Int) {
        precondition(count > 0 && count & (count - 1) == 0, "the length must be a power of two")
        guard count >= 8 else { return small(x, count: count) }
        let inner = min(count, cacheLength)
        var start = 0
        while start < count {
            withinVectors(x + start, count: inner)
            passes(x + start, count: inner, from: 8)
            start += inner
        }
        passes(x, count: count, from: inner)
    }

    /// The butterflies at distances `from`, 2·`from`, … below `count`, two distances per pass.
    private static func passes(_ x: UnsafeMutablePointer<Float>, count: Int, from: Int) {
        var distance = from
        while distance * 2 < count {
            var start = 0
            while start < count {
                radix4(UnsafeMutableRawPointer(x + start), distance: distance)
                start += 4 * distance
            }
            distance *= 4
        }
        if distance < count {
            var start = 0
            while start < count {
                radix2(UnsafeMutableRawPointer(x + start), distance: distance)
                start += 2 * distance
            }
        }
    }

    @inline(__always)
    private static func radix4(_ p: UnsafeMutableRawPointer, distance: Int) {
        let stride = distance * 4
        var offset = 0
        while offset < stride {
            let q = p + offset
            let a = q.loadUnaligned(as: SIMD8<Float>.self)
            let b = (q + stride).loadUnaligned(as: SIMD8<Float>.self)
            let c = (q + 2 * stride).loadUnaligned(as: SIMD8<Float>.self)
            let d = (q + 3 * stride).loadUnaligned(as: SIMD8<Float>.self)
            let ab = a + b
            let cd = c + d
            let aLessB = a - b
            let cLessD = c - d
            q.storeBytes(of: ab + cd, as: SIMD8<Float>.self)
            (q + stride).storeBytes(of: aLessB + cLessD, as: SIMD8<Float>.self)
            (q + 2 * stride).storeBytes(of: ab - cd, as: SIMD8<Float>.self)
            (q + 3 * stride).storeBytes(of: aLessB - cLessD, as: SIMD8<Float>.self)
            offset += 32
        }
    }

    @inline(__always)
    private static func radix2(_ p: UnsafeMutableRawPointer, distance: Int) {
        let stride = distance * 4
        var offset = 0
        while offset < stride {
            let q = p + offset
            let a = q.loadUnaligned(as: SIMD8<Float>.self)
            let b = (q + stride).loadUnaligned(as: SIMD8<Float>.self)
            q.storeBytes(of: a + b, as: SIMD8<Float>.self)
            (q + stride).storeBytes(of: a - b, as: SIMD8<Float>.self)
            offset += 32
        }
    }

    /// The butterflies at distances 1, 2 and 4, inside groups of eight.
    private static func withinVectors(_ x: UnsafeMutablePointer<Float>, count: Int) {
        let raw = UnsafeMutableRawPointer(x)
        var offset = 0
        while offset < count * 4 {
            let low = quad((raw + offset).loadUnaligned(as: SIMD4<Float>.self))
            let high = quad((raw + offset + 16).loadUnaligned(as: SIMD4<Float>.self))
            (raw + offset).storeBytes(of: low + high, as: SIMD4<Float>.self)
            (raw + offset + 16).storeBytes(of: low - high, as: SIMD4<Float>.self)
            offset += 32
        }
    }

    @inline(__always)
    private static func quad(_ v: SIMD4<Float>) -> SIMD4<Float> {
        let pairs =
            SIMD4<Float>(v[1], v[0], v[3], v[2]) + v * SIMD4<Float>(1, -1, 1, -1)
        return SIMD4<Float>(pairs[2], pairs[3], pairs[0], pairs[1])
            + pairs * SIMD4<Float>(1, 1, -1, -1)
    }

    private static func small(_ x: UnsafeMutablePointer<Float>, count: Int) {
        var distance = 1
        while distance < count {
            for start in stride(from: 0, to: count, by: 2 * distance) {
                for index in start..<start + distance {
                    let (a, b) = (x[index], x[index + distance])
                    x[index] = a + b
                    x[index + distance] = a - b
                }
            }
            distance *= 2
        }
    }
}
