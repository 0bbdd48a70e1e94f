import Kernels

/// What a norm's backward pass needs of each row: 1/RMS, or mean and 1/deviation of a layer norm.
package struct NormStatistics {
    package let inverse: UnsafeMutablePointer<Float>
    /// Nil for a root-mean-square norm.
    package let mean: UnsafeMutablePointer<Float>?

    package init(_ configuration: ModelConfiguration, rows: Int, arena: Arena) {
        inverse = arena.floats(rows)
        mean = configuration.normalisation == .layerNorm ? arena.floats(rows) : nil
    }
}

/// The family's norm on a range of rows; all pointers are to row 0.
extension LanguageModel {
    package func normalise(
        _ rows: Range<Int>, _ norm: WeightLayout.Norm, x: UnsafePointer<Float>,
        y: UnsafeMutablePointer<Float>, _ statistics: NormStatistics
    ) {
        let (start, width) = (rows.lowerBound, configuration.hiddenSize)
        let gain = vector(norm.gain)
        if let mean = statistics.mean, let bias = norm.bias {
            layerNorm(
                rows: rows.count, width: width, x: x + start * width, gain: gain,
                bias: vector(bias), epsilon: configuration.normalisationEpsilon,
                y: y + start * width, mean: mean + start, inverseDeviation: statistics.inverse + start)
        } else {
            rmsNorm(
                rows: rows.count, width: width, x: x + start * width, gain: gain,
                epsilon: configuration.normalisationEpsilon, y: y + start * width,
                inverseRMS: statistics.inverse + start)
        }
    }

    /// dx += the gradient with respect to x, given dy.
    package func normaliseGradient(
        _ rows: Range<Int>, _ norm: WeightLayout.Norm, x: UnsafePointer<Float>,
        _ statistics: NormStatistics, dy: UnsafePointer<Float>, dx: UnsafeMutablePointer<Float>
    ) {
        let (start, width) = (rows.lowerBound, configuration.hiddenSize)
        let gain = vector(norm.gain)
        if let mean = statistics.mean {
            layerNormGradient(
                rows: rows.count, width: width, x: x + start * width, gain: gain, mean: mean + start,
                inverseDeviation: statistics.inverse + start, dy: dy + start * width,
                dx: dx + start * width)
        } else {
            rmsNormGradient(
                rows: rows.count, width: width, x: x + start * width, gain: gain,
                inverseRMS: statistics.inverse + start, dy: dy + start * width, dx: dx + start * width)
        }
    }

    /// Adds the gradients of gain and bias to a vector laid out as the weights.
    package func normaliseParameterGradient(
        rows: Int, _ norm: WeightLayout.Norm, x: UnsafePointer<Float>, _ statistics: NormStatistics,
        dy: UnsafePointer<Float>, to gradient: UnsafeMutablePointer<Float>
    ) {
        let width = configuration.hiddenSize
        if let mean = statistics.mean, let bias = norm.bias {
            layerNormParameterGradient(
                rows: rows, width: width, x: x, mean: mean, inverseDeviation: statistics.inverse,
                dy: dy, dGain: gradient + norm.gain, dBias: gradient + bias)
        } else {
            rmsNormGainGradient(
                rows: rows, width: width, x: x, inverseRMS: statistics.inverse, dy: dy,
                dGain: gradient + norm.gain)
        }
    }

    /// The residual stream's start: token embeddings, plus learned positions where there are any.
    package func embedTokens(
        rows: Int, tokens: UnsafePointer<Int32>, positions: UnsafePointer<Int32>,
        y: UnsafeMutablePointer<Float>
    ) {
        let width = configuration.hiddenSize
        embed(rows: rows, width: width, tokens: tokens, table: matrix(layout.embedding), y: y)
        guard let table = layout.positions else { return }
        for row in 0..<rows {
            axpy(1, vector(table) + Int(positions[row]) * width, y + row * width, width)
        }
    }
}
