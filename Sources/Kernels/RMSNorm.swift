/// Root-mean-square normalisation [Zhang, Sennrich 2019]: y = x / √(mean x² + ε) · gain, row by row.

/// Writes y and keeps 1/√(mean x² + ε) of each row in `inverseRMS` for the gradient.
package func rmsNorm(
    rows: Int, width: Int, x: UnsafePointer<Float>, gain: UnsafePointer<Float>, epsilon: Float,
    y: UnsafeMutablePointer<Float>, inverseRMS: UnsafeMutablePointer<Float>
) {
    for row in 0..<rows {
        let x = x + row * width
        let y = y + row * width
        let inverse = 1 / (dot(x, x, width) / Float(width) + epsilon).squareRoot()
        inverseRMS[row] = inverse
        loops.pointee.scale_by(x, inverse, gain, y, width)
    }
}

/// dx += the gradient with respect to x, given dy.
///
/// With x̂ = x·inverse and g = dy·gain: dx = inverse·(g − x̂·mean(g·x̂)).
package func rmsNormGradient(
    rows: Int, width: Int, x: UnsafePointer<Float>, gain: UnsafePointer<Float>,
    inverseRMS: UnsafePointer<Float>, dy: UnsafePointer<Float>, dx: UnsafeMutablePointer<Float>
) {
    for row in 0..<rows {
        let x = x + row * width
        let dy = dy + row * width
        let dx = dx + row * width
        let inverse = inverseRMS[row]
        let projection = loops.pointee.dot3(dy, gain, x, width) * inverse * inverse / Float(width)
        loops.pointee.norm_gradient(dy, gain, x, 0, projection, 0, inverse, dx, width)
    }
}

/// dGain += Σ rows dy·x̂.
package func rmsNormGainGradient(
    rows: Int, width: Int, x: UnsafePointer<Float>, inverseRMS: UnsafePointer<Float>,
    dy: UnsafePointer<Float>, dGain: UnsafeMutablePointer<Float>
) {
    for row in 0..<rows {
        loops.pointee.gain_gradient(
            dy + row * width, x + row * width, 0, inverseRMS[row], dGain, width)
    }
}
