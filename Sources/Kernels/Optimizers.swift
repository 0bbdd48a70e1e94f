import Glibc

/// One step of an optimiser over a run of parameters. Elementwise: cutting the run does not change a bit.

/// Constants of AdamW [Loshchilov, Hutter 2019], as torch.optim.AdamW applies them.
package struct AdamWStep {
    package var learningRate: Float
    package var beta1: Float
    package var beta2: Float
    package var epsilon: Float
    package var weightDecay: Float
    /// 1 − β₁ᵗ and 1 − β₂ᵗ at step t = 1, 2, …
    package var correction1: Float
    package var correction2: Float

    package init(
        learningRate: Float, beta1: Float, beta2: Float, epsilon: Float, weightDecay: Float, step: Int
    ) {
        self.learningRate = learningRate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        correction1 = Float(1 - pow(Double(beta1), Double(step)))
        correction2 = Float(1 - pow(Double(beta2), Double(step)))
    }
}

/// Updates parameters and both moments in place; the gradient is multiplied by `gradientScale` first.
package func adamW(
    _ step: AdamWStep, count: Int, gradientScale: Float = 1,
    parameters: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>,
    first: UnsafeMutablePointer<Float>, second: UnsafeMutablePointer<Float>
) {
    let keep = 1 - step.learningRate * step.weightDecay
    let rate = step.learningRate / step.correction1
    let root = 1 / step.correction2.squareRoot()
    for i in 0..<count {
        let g = gradient[i] * gradientScale
        let m = first[i] * step.beta1 + g * (1 - step.beta1)
        let v = second[i] * step.beta2 + g * g * (1 - step.beta2)
        first[i] = m
        second[i] = v
        parameters[i] = parameters[i] * keep - rate * m / (v.squareRoot() * root + step.epsilon)
    }
}

/// SGD with heavy-ball momentum μ, as torch.optim.SGD: b = μ·b + g, p −= rate·b.
package func sgd(
    learningRate: Float, momentum: Float, count: Int, gradientScale: Float = 1,
    parameters: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>,
    buffer: UnsafeMutablePointer<Float>
) {
    for i in 0..<count {
        let b = buffer[i] * momentum + gradient[i] * gradientScale
        buffer[i] = b
        parameters[i] -= learningRate * b
    }
}
