import Glibc
import Kernels

/// Plain double-precision twins of the kernels, written from the formulas, and helpers to compare.
enum Naive {
    static func rmsNorm(_ x: [Double], gain: [Double], rows: Int, epsilon: Double) -> [Double] {
        let width = gain.count
        var y = x
        for row in 0..<rows {
            let slice = x[row * width..<(row + 1) * width]
            let mean = slice.reduce(0) { $0 + $1 * $1 } / Double(width)
            for i in 0..<width { y[row * width + i] *= gain[i] / (mean + epsilon).squareRoot() }
        }
        return y
    }

    static func layerNorm(
        _ x: [Double], gain: [Double], bias: [Double], rows: Int, epsilon: Double
    ) -> [Double] {
        let width = gain.count
        var y = x
        for row in 0..<rows {
            let slice = x[row * width..<(row + 1) * width]
            let mean = slice.reduce(0, +) / Double(width)
            let variance = slice.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
            for i in 0..<width {
                y[row * width + i] =
                    (x[row * width + i] - mean) / (variance + epsilon).squareRoot() * gain[i] + bias[i]
            }
        }
        return y
    }

    static func gelu(_ x: Double, tanh: Bool) -> Double {
        tanh
            ? 0.5 * x * (1 + Glibc.tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
            : 0.5 * x * erfc(-x / 2.0.squareRoot())
    }

    static func swiGLU(_ gateUp: [Double], rows: Int, width: Int) -> [Double] {
        var y: [Double] = []
        for row in 0..<rows {
            for i in 0..<width {
                let gate = gateUp[row * 2 * width + i]
                y.append(gate / (1 + exp(-gate)) * gateUp[row * 2 * width + width + i])
            }
        }
        return y
    }

    /// Causal attention inside each segment; rows of q heads, k heads, v heads.
    static func attention(
        _ qkv: [Double], segments: [Segment], heads: Int, keyValueHeads: Int, size: Int
    ) -> [Double] {
        let fused = (heads + 2 * keyValueHeads) * size
        let rows = qkv.count / fused
        var out = [Double](repeating: 0, count: rows * heads * size)
        for segment in segments {
            for head in 0..<heads {
                let shared = head / (heads / keyValueHeads)
                for query in 0..<segment.count {
                    let q = (segment.start + query) * fused + head * size
                    var scores: [Double] = []
                    for key in 0...query {
                        let k = (segment.start + key) * fused + (heads + shared) * size
                        var sum = 0.0
                        for i in 0..<size { sum += qkv[q + i] * qkv[k + i] }
                        scores.append(sum / Double(size).squareRoot())
                    }
                    let weights = softmax(scores)
                    for key in 0...query {
                        let v =
                            (segment.start + key) * fused + (heads + keyValueHeads + shared) * size
                        for i in 0..<size {
                            out[(segment.start + query) * heads * size + head * size + i] +=
                                weights[key] * qkv[v + i]
                        }
                    }
                }
            }
        }
        return out
    }

    static func crossEntropy(
        _ x: [Double], head: [Double], targets: [Int32], width: Int
    ) -> [Double] {
        let vocabulary = head.count / width
        return targets.indices.map { row in
            var logits: [Double] = []
            for word in 0..<vocabulary {
                var sum = 0.0
                for i in 0..<width { sum += x[row * width + i] * head[word * width + i] }
                logits.append(sum)
            }
            let maximum = logits.max()!
            let sum = logits.reduce(0) { $0 + exp($1 - maximum) }
            return log(sum) + maximum - logits[Int(targets[row])]
        }
    }

    /// C = A·B with A `rows` × `inner`, B `inner` × `columns`.
    static func product(_ a: [Double], _ b: [Double], _ rows: Int, _ inner: Int, _ columns: Int) -> [Double] {
        var c = [Double](repeating: 0, count: rows * columns)
        for i in 0..<rows {
            for k in 0..<inner {
                for j in 0..<columns { c[i * columns + j] += a[i * inner + k] * b[k * columns + j] }
            }
        }
        return c
    }

    static func transposed(_ a: [Double], _ rows: Int, _ columns: Int) -> [Double] {
        (0..<columns).flatMap { j in (0..<rows).map { a[$0 * columns + j] } }
    }

    static func softmax(_ x: [Double]) -> [Double] {
        let maximum = x.max()!
        let e = x.map { exp($0 - maximum) }
        let sum = e.reduce(0, +)
        return e.map { $0 / sum }
    }

    /// Gradient of a scalar function by central differences.
    static func gradient(_ x: [Double], step: Double = 1e-5, _ f: ([Double]) -> Double) -> [Double] {
        var x = x
        return x.indices.map { i in
            let original = x[i]
            x[i] = original + step
            let above = f(x)
            x[i] = original - step
            let below = f(x)
            x[i] = original
            return (above - below) / (2 * step)
        }
    }
}

/// Reproducible numbers in [−1, 1).
struct Numbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> Float {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Float(Int32(truncatingIfNeeded: state >> 32)) * 0x1p-31
    }

    mutating func floats(_ count: Int) -> [Float] { (0..<count).map { _ in next() } }
}

func dotProduct(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

/// ‖a − b‖∞.
func largestDifference(_ a: [Float], _ b: [Double]) -> Double {
    precondition(a.count == b.count)
    return zip(a, b).reduce(0) { max($0, abs(Double($1.0) - $1.1)) }
}

/// ‖a − b‖₂ / ‖b‖₂.
func relativeDistance(_ a: [Float], _ b: [Double]) -> Double {
    precondition(a.count == b.count)
    let difference = zip(a, b).reduce(0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
    let norm = b.reduce(0) { $0 + $1 * $1 }
    return (difference / max(norm, 1e-300)).squareRoot()
}

extension [Float] {
    var doubles: [Double] { map(Double.init) }

    /// Calls `body` with a copy that starts `offset` floats past an aligned address, so that kernels
    /// meet pointers they cannot rely on, and returns the copy afterwards.
    func unaligned(_ offset: Int = 1, _ body: (UnsafeMutablePointer<Float>) -> Void) -> [Float] {
        var storage = [Float](repeating: .nan, count: offset) + self
        storage.withUnsafeMutableBufferPointer { body($0.baseAddress! + offset) }
        return Array(storage[offset...])
    }
}
