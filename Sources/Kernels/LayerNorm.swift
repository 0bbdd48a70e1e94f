/// Layer normalisation [Ba, Kiros, Hinton 2016]: y = (x − mean) / √(variance + ε) · gain + bias, row by row.

/// Writes y and keeps the mean and 1/√(variance + ε) of each row for the gradient.
package func layerNorm(
    rows: Int, width: Int, x: UnsafePointer<Float>, gain: UnsafePointer<Float>,
    bias: UnsafePointer<Float>, epsilon: Float, y: UnsafeMutablePointer<Float>,
    mean: UnsafeMutablePointer<Float>, inverseDeviation: UnsafeMutablePointer<Float>
) {
    for row in 0..<rows {
        let x = x + row * width
        let centre = loops.pointee.sum(x, width) / Float(width)
        let variance = loops.pointee.deviation(x, centre, width) / Float(width)
        mean[row] = centre
        inverseDeviation[row] = 1 / (variance + epsilon).squareRoot()
        loops.pointee.standardise(
            x, centre, inverseDeviation[row], gain, bias, y + row * width, width)
    }
}

/// dx += the gradient with respect to x, given dy.
///
/// With x̂ = (x − mean)·inverse and g = dy·gain: dx = inverse·(g − mean(g) − x̂·mean(g·x̂)).
package func layerNormGradient(
    rows: Int, width: Int, x: UnsafePointer<Float>, gain: UnsafePointer<Float>,
    mean: UnsafePointer<Float>, inverseDeviation: UnsafePointer<Float>, dy: UnsafePointer<Float>,
    dx: UnsafeMutablePointer<Float>
) {
    for row in 0..<rows {
        let (x, dy) = (x + row * width, dy + row * width)
        let inverse = inverseDeviation[row]
        let average = loops.pointee.dot(dy, gain, width) / Float(width)
        let projection = loops.pointee.dot3(dy, gain, x, width) / Float(width) - average * mean[row]
        loops.pointee.norm_gradient(
            dy, gain, x, mean[row], projection * inverse * inverse, average, inverse,
            dx + row * width, width)
    }
}

/// dGain += Σ rows dy·x̂ and dBias += Σ rows dy.
package func layerNormParameterGradient(
    rows: Int, width: Int, x: UnsafePointer<Float>, mean: UnsafePointer<Float>,
    inverseDeviation: UnsafePointer<Float>, dy: UnsafePointer<Float>,
    dGain: UnsafeMutablePointer<Float>, dBias: UnsafeMutablePointer<Float>
) {
    for row in 0..<rows {
        loops.pointee.gain_gradient(
            dy + row * width, x + row * width, mean[row], inverseDeviation[row], dGain, width)
        axpy(1, dy + row * width, dBias, width)
    }
}
