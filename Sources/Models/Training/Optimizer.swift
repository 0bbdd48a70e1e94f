import Kernels

/// An optimiser's rule and constants, as `torch.optim` defines them.
public enum Optimizer: Sendable, Equatable {
    /// Plain steps, or heavy-ball momentum: b = μ·b + g, p −= rate·b.
    case sgd(momentum: Float = 0)
    /// Adam with decoupled weight decay [Loshchilov, Hutter 2019].
    case adamW(
        beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8, weightDecay: Float = 0)
}

/// One parameter vector under training: numbers, optimiser state and the steps taken.
public struct OptimizedParameters: Sendable {
    public private(set) var values: [Float]
    public private(set) var steps = 0
    public let optimizer: Optimizer
    package private(set) var first: [Float]
    package private(set) var second: [Float]

    public init(_ values: [Float], optimizer: Optimizer) {
        self.values = values
        self.optimizer = optimizer
        first = [Float](repeating: 0, count: values.count)
        if case .adamW = optimizer {
            second = first
        } else {
            second = []
        }
    }

    /// What a later process needs to go on with the same bits; `first` and `second` are the moments.
    package init(
        _ values: [Float], optimizer: Optimizer, steps: Int, first: [Float], second: [Float]
    ) {
        precondition(first.count == values.count, "a moment for every parameter")
        self.init(values, optimizer: optimizer)
        self.steps = steps
        self.first = first
        self.second = second
    }

    /// Takes one step against `gradient`, which is multiplied by `gradientScale` first.
    public mutating func step(
        _ gradient: [Float], learningRate: Float, gradientScale: Float = 1
    ) {
        step(
            gradient, learningRate: learningRate, gradientScale: gradientScale,
            decayed: nil, pool: .shared)
    }

    /// Changes the numbers and leaves the optimiser's memory.
    package mutating func replaceValues(_ change: (_ index: Int, _ value: Float) -> Float) {
        values.withUnsafeMutableBufferPointer { values in
            for index in values.indices { values[index] = change(index, values[index]) }
        }
    }

    /// - Parameter decayed: the runs that weight decay applies to, with the others between them; nil
    ///   applies it to all.
    package mutating func step(
        _ gradient: [Float], learningRate: Float, gradientScale: Float = 1,
        decayed: [(range: Range<Int>, decays: Bool)]?, pool: ThreadPool
    ) {
        precondition(gradient.count == values.count, "a gradient has its parameters' length")
        steps += 1
        let runs = decayed ?? [(0..<values.count, true)]
        let pieces = runs.flatMap { run in
            stride(from: run.range.lowerBound, to: run.range.upperBound, by: pieceLength).map {
                (range: $0..<min(run.range.upperBound, $0 + pieceLength), decays: run.decays)
            }
        }
        let (optimizer, steps) = (optimizer, steps)
        values.withUnsafeMutableBufferPointer { values in
            first.withUnsafeMutableBufferPointer { first in
                second.withUnsafeMutableBufferPointer { second in
                    gradient.withUnsafeBufferPointer { gradient in
                        pool.forEach(pieces.count) { index in
                            let (range, decays) = pieces[index]
                            let start = range.lowerBound
                            switch optimizer {
                            case .sgd(let momentum):
                                sgd(
                                    learningRate: learningRate, momentum: momentum,
                                    count: range.count, gradientScale: gradientScale,
                                    parameters: values.baseAddress! + start,
                                    gradient: gradient.baseAddress! + start,
                                    buffer: first.baseAddress! + start)
                            case .adamW(let beta1, let beta2, let epsilon, let weightDecay):
                                adamW(
                                    AdamWStep(
                                        learningRate: learningRate, beta1: beta1, beta2: beta2,
                                        epsilon: epsilon, weightDecay: decays ? weightDecay : 0,
                                        step: steps),
                                    count: range.count, gradientScale: gradientScale,
                                    parameters: values.baseAddress! + start,
                                    gradient: gradient.baseAddress! + start,
                                    first: first.baseAddress! + start,
                                    second: second.baseAddress! + start)
                            }
                        }
                    }
                }
            }
        }
    }
}

private let pieceLength = 1 << 16

/// The L2 norm, summed in double precision.
package func l2Norm(_ vector: [Float]) -> Double {
    var sum = 0.0
    for value in vector { sum += Double(value) * Double(value) }
    return sum.squareRoot()
}

/// The factor that brings a gradient of this norm down to `normMax` (1 when it is below), as
/// `torch.nn.utils.clip_grad_norm_` computes it.
package func clipFactor(norm: Double, normMax: Float?) -> Float {
    guard let normMax else { return 1 }
    return Float(min(1, Double(normMax) / (norm + 1e-6)))
}
