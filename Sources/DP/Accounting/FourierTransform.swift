import Glibc

/// A complex fast Fourier transform of a power-of-two length, with a bound on its round-off.
///
/// Error bound. Every intermediate value is a sum of inputs times unit factors. One butterfly
/// (a product with a twiddle that is itself rounded, then a sum) is off by less than 8 units of
/// round-off of the absolute values that enter it, so each output is off by at most
/// 8·log₂N·u·Σ|input|.
package struct FourierTransform {
    package let size: Int
    private let levels: Int
    /// Twiddles e^{−πik/w} of the level that joins blocks of width w, at w ..< 2w: each level reads
    /// its own contiguous run.
    private let cosines: [Double]
    private let sines: [Double]

    /// Unit round-off of a double.
    static let roundOff = 0x1p-53

    package init(size: Int) {
        precondition(size >= 2 && size & (size - 1) == 0, "the length must be a power of two")
        self.size = size
        levels = size.trailingZeroBitCount
        var cosines = [Double](repeating: 0, count: size)
        var sines = cosines
        let half = size / 2
        for k in 0..<half {
            let angle = -2 * Double.pi * Double(k) / Double(size)
            cosines[half + k] = cos(angle)
            sines[half + k] = sin(angle)
        }
        var width = half / 2
        while width >= 1 {
            for k in 0..<width {
                cosines[width + k] = cosines[2 * (width + k)]
                sines[width + k] = sines[2 * (width + k)]
            }
            width /= 2
        }
        self.cosines = cosines
        self.sines = sines
    }

    /// Largest error of any output, per unit of Σ|input|.
    package var errorBound: Double { 8 * Double(levels) * Self.roundOff }

    /// Replaces (real, imaginary) by its transform Σ_j x_j e^{−2πijk/N}.
    package func forward(_ real: inout [Double], _ imaginary: inout [Double]) {
        precondition(real.count == size && imaginary.count == size)
        real.withUnsafeMutableBufferPointer { re in
            imaginary.withUnsafeMutableBufferPointer { im in
                permute(re, im)
                cosines.withUnsafeBufferPointer { c in
                    sines.withUnsafeBufferPointer { s in
                        transform(
                            re.baseAddress!, im.baseAddress!, c.baseAddress!, s.baseAddress!, size)
                    }
                }
            }
        }
    }

    /// Orders the inputs by their bit-reversed index.
    private func permute(
        _ re: UnsafeMutableBufferPointer<Double>, _ im: UnsafeMutableBufferPointer<Double>
    ) {
        var reversed = 0
        for index in 1..<size {
            var bit = size >> 1
            while reversed & bit != 0 {
                reversed ^= bit
                bit >>= 1
            }
            reversed |= bit
            if index < reversed {
                re.swapAt(index, reversed)
                im.swapAt(index, reversed)
            }
        }
    }

    /// Depth first, so that a block that fits into the cache is finished before the next one.
    private func transform(
        _ re: UnsafeMutablePointer<Double>, _ im: UnsafeMutablePointer<Double>,
        _ cosines: UnsafePointer<Double>, _ sines: UnsafePointer<Double>, _ count: Int
    ) {
        guard count > 1 << 11 else {
            var half = 1
            while half < count {
                for start in stride(from: 0, to: count, by: 2 * half) {
                    join(re + start, im + start, cosines + half, sines + half, half)
                }
                half *= 2
            }
            return
        }
        let half = count / 2
        transform(re, im, cosines, sines, half)
        transform(re + half, im + half, cosines, sines, half)
        join(re, im, cosines + half, sines + half, half)
    }

    /// The transform of two neighbouring blocks of width `half` from theirs.
    @inline(__always)
    private func join(
        _ re: UnsafeMutablePointer<Double>, _ im: UnsafeMutablePointer<Double>,
        _ cosines: UnsafePointer<Double>, _ sines: UnsafePointer<Double>, _ half: Int
    ) {
        for k in 0..<half {
            let x = re[half + k] * cosines[k] - im[half + k] * sines[k]
            let y = re[half + k] * sines[k] + im[half + k] * cosines[k]
            re[half + k] = re[k] - x
            im[half + k] = im[k] - y
            re[k] += x
            im[k] += y
        }
    }
}
