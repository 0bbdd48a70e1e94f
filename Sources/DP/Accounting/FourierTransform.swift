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
    private let cosines: [Double]
    private let sines: [Double]

    /// Unit round-off of a double.
    static let roundOff = 0x1p-53

    package init(size: Int) {
        precondition(size >= 2 && size & (size - 1) == 0, "the length must be a power of two")
        self.size = size
        levels = size.trailingZeroBitCount
        var cosines = [Double](repeating: 0, count: size / 2)
        var sines = [Double](repeating: 0, count: size / 2)
        for k in 0..<size / 2 {
            let angle = -2 * Double.pi * Double(k) / Double(size)
            cosines[k] = cos(angle)
            sines[k] = sin(angle)
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
                    sines.withUnsafeBufferPointer { s in butterflies(re, im, c, s) }
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

    private func butterflies(
        _ re: UnsafeMutableBufferPointer<Double>, _ im: UnsafeMutableBufferPointer<Double>,
        _ cosines: UnsafeBufferPointer<Double>, _ sines: UnsafeBufferPointer<Double>
    ) {
        var half = 1
        while half < size {
            let stride = size / (2 * half)
            var start = 0
            while start < size {
                for k in 0..<half {
                    let c = cosines[k * stride]
                    let s = sines[k * stride]
                    let low = start + k
                    let high = low + half
                    let x = re[high] * c - im[high] * s
                    let y = re[high] * s + im[high] * c
                    re[high] = re[low] - x
                    im[high] = im[low] - y
                    re[low] += x
                    im[low] += y
                }
                start += 2 * half
            }
            half *= 2
        }
    }
}
