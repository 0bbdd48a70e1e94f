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
        var i = 0
        while i + 8 <= width {
            store8(y + i, load8(x + i) * inverse * load8(gain + i))
            i += 8
        }
        while i < width {
            y[i] = x[i] * inverse * gain[i]
            i += 1
        }
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
        let projection = dot3(dy, gain, x, width) * inverse * inverse / Float(width)
        var i = 0
        while i + 8 <= width {
            let step = (load8(dy + i) * load8(gain + i) - load8(x + i) * projection) * inverse
            store8(dx + i, load8(dx + i) + step)
            i += 8
        }
        while i < width {
            dx[i] += (dy[i] * gain[i] - x[i] * projection) * inverse
            i += 1
        }
    }
}

/// dGain += Σ rows dy·x̂.
package func rmsNormGainGradient(
    rows: Int, width: Int, x: UnsafePointer<Float>, inverseRMS: UnsafePointer<Float>,
    dy: UnsafePointer<Float>, dGain: UnsafeMutablePointer<Float>
) {
    for row in 0..<rows {
        let (x, dy) = (x + row * width, dy + row * width)
        for i in 0..<width { dGain[i] += dy[i] * x[i] * inverseRMS[row] }
    }
}

/// Σ aᵢ·bᵢ, in an order fixed by the length.
package func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
    var s0 = Float8.zero
    var s1 = Float8.zero
    var i = 0
    while i + 16 <= count {
        s0 += load8(a + i) * load8(b + i)
        s1 += load8(a + i + 8) * load8(b + i + 8)
        i += 16
    }
    var tail: Float = 0
    while i < count {
        tail += a[i] * b[i]
        i += 1
    }
    return sum8(s0 + s1) + tail
}

/// Σ aᵢ·bᵢ·cᵢ, in an order fixed by the length.
private func dot3(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafePointer<Float>, _ count: Int
) -> Float {
    var s0 = Float8.zero
    var s1 = Float8.zero
    var i = 0
    while i + 16 <= count {
        s0 += load8(a + i) * load8(b + i) * load8(c + i)
        s1 += load8(a + i + 8) * load8(b + i + 8) * load8(c + i + 8)
        i += 16
    }
    var tail: Float = 0
    while i < count {
        tail += a[i] * b[i] * c[i]
        i += 1
    }
    return sum8(s0 + s1) + tail
}
