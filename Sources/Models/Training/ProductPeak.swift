import Kernels

/// The fastest that this process multiplies matrices on all cores: what training is measured against.
public struct ProductPeak: Sendable {
    private let pool: ThreadPool
    private let a: FloatBuffer
    private let b: FloatBuffer
    /// A size that repays packing and stays in the caches.
    private static let size = 768

    public init(threads: Int? = nil) {
        pool = threads.map { ThreadPool(threads: $0) } ?? .shared
        let count = Self.size * Self.size
        func numbers(_ seed: UInt64) -> FloatBuffer {
            var generator = SplitMix64(seed: seed)
            let builder = FloatBuffer.Builder(count: count)
            let target = builder.slice(0..<count)
            for index in target.indices { target[index] = Float(uniform(&generator) - 0.5) }
            return builder.finish()
        }
        a = numbers(1)
        b = numbers(2)
    }

    /// Floating-point operations of one run.
    public var operations: Double {
        let size = Double(Self.size)
        return 2 * size * size * size * Double(runsPerThread * pool.threads)
    }

    private var runsPerThread: Int { 64 }

    /// Independent products on every core, by OpenBLAS or by our own code.
    public func run(openBLAS: Bool) {
        let size = Self.size
        pool.forEach(pool.threads) { _ in
            withScratch(size * size) { c in
                for _ in 0..<runsPerThread {
                    if openBLAS {
                        openBLASProduct(
                            size, size, size, a.base, size, transposeA: false, b.base, size,
                            transposeB: true, c, size)
                    } else {
                        gemm(size, size, size, a.base, size, b.base, size, transposeB: true, c, size)
                    }
                }
            }
        }
    }
}
