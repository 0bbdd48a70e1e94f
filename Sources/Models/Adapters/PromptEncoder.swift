import Kernels

/// P-tuning's encoder: embedding → linear → ReLU → linear → ReLU → linear, row by row. Its output takes
/// the place of a prompt's embeddings; the graph never sees the encoder.
struct PromptEncoder {
    private let tokens: Int
    private let width: Int
    private let inner: Int

    init(tokens: Int, width: Int, inner: Int) {
        self.tokens = tokens
        self.width = width
        self.inner = inner
    }

    /// Inputs, outputs and offsets of the three linears in the adapter's flat vector.
    private var linears: [(inputs: Int, outputs: Int, weight: Int, bias: Int)] {
        var offset = tokens * width
        return [(width, inner), (inner, inner), (inner, width)].map { inputs, outputs in
            defer { offset += outputs * inputs + outputs }
            return (inputs, outputs, offset, offset + outputs * inputs)
        }
    }

    /// The virtual tokens' embeddings, `tokens` × `width`.
    func embeddings(_ values: [Float]) -> [Float] { activations(values).last! }

    /// What enters each linear, and the output.
    private func activations(_ values: [Float]) -> [[Float]] {
        var result = [Array(values.prefix(tokens * width))]
        for (index, linear) in linears.enumerated() {
            var y = (0..<tokens).flatMap { _ in values[linear.bias..<linear.bias + linear.outputs] }
            values.withUnsafeBufferPointer { values in
                gemm(
                    tokens, linear.outputs, linear.inputs, result.last!, linear.inputs,
                    values.baseAddress! + linear.weight, linear.inputs, transposeB: true, &y,
                    linear.outputs, beta: 1)
            }
            result.append(index < 2 ? y.map { max(0, $0) } : y)
        }
        return result
    }

    /// The gradient of all values, given that of the output.
    func gradient(_ values: [Float], output: UnsafePointer<Float>) -> [Float] {
        let activations = activations(values)
        var gradient = [Float](repeating: 0, count: values.count)
        var dy = Array(UnsafeBufferPointer(start: output, count: tokens * width))
        for (index, linear) in linears.enumerated().reversed() {
            // The output of a ReLU is zero where its gradient is.
            if index < 2 { dy = zip(dy, activations[index + 1]).map { $1 > 0 ? $0 : 0 } }
            gradient.withUnsafeMutableBufferPointer { gradient in
                let base = gradient.baseAddress!
                gemm(
                    linear.outputs, linear.inputs, tokens, dy, linear.outputs, transposeA: true,
                    activations[index], linear.inputs, base + linear.weight, linear.inputs)
                addBiasGradient(
                    rows: tokens, width: linear.outputs, dy: dy, dBias: base + linear.bias)
            }
            var dx = [Float](repeating: 0, count: tokens * linear.inputs)
            values.withUnsafeBufferPointer { values in
                gemm(
                    tokens, linear.inputs, linear.outputs, dy, linear.outputs,
                    values.baseAddress! + linear.weight, linear.inputs, &dx, linear.inputs)
            }
            dy = dx
        }
        gradient.replaceSubrange(0..<tokens * width, with: dy)
        return gradient
    }
}
