/// Turns the mean contribution of a round into a step of the global adapter [Reddi et al. 2021].
///
/// It sees only sums that were opened, so whatever it does is post-processing: it costs no privacy.
public struct ServerOptimizer: Sendable {
    private let settings: FederationConfiguration.Training.Server
    private var steps = 0
    /// m and v of Adam and Yogi, or the velocity of SGD in `first`.
    private var first: [Float]
    private var second: [Float]

    public init(_ settings: FederationConfiguration.Training.Server, dimension: Int) {
        self.settings = settings
        first = [Float](repeating: 0, count: dimension)
        second = settings.optimizer == .sgd ? [] : first
    }

    /// What the optimiser remembers between rounds: steps, then m and v (v empty for SGD).
    package struct State: Equatable, Sendable {
        package var steps: Int
        package var first: [Float]
        package var second: [Float]

        package init(steps: Int, first: [Float], second: [Float]) {
            self.steps = steps
            self.first = first
            self.second = second
        }
    }

    package var state: State { State(steps: steps, first: first, second: second) }

    /// Continues from a state that `state` gave; nil if it is not one of this optimiser's shape.
    package init?(
        _ settings: FederationConfiguration.Training.Server, dimension: Int,
        continuing state: State
    ) {
        self.init(settings, dimension: dimension)
        guard state.steps >= 0, state.first.count == first.count, state.second.count == second.count else {
            return nil
        }
        (steps, first, second) = (state.steps, state.first, state.second)
    }

    /// The change to the adapter for one opened round.
    ///
    /// - Parameter direction: where to go: the mean update (FedAvg) or the negative mean gradient
    ///   (DP-FedSGD), one number per trainable parameter.
    public mutating func step(_ direction: [Float]) -> [Float] {
        precondition(direction.count == first.count, "a direction has the adapter part's length")
        steps += 1
        let rate = learningRate(step: steps)
        switch settings.optimizer {
        case .sgd:
            let momentum = Float(settings.momentum)
            for index in direction.indices {
                first[index] = momentum * first[index] + direction[index]
            }
            return first.map { rate * $0 }
        case .adam, .yogi:
            // β₁ is the configured momentum; both moments are corrected for their start at zero.
            let beta1 = Float(settings.momentum)
            let beta2 = Float(settings.secondMomentum)
            let epsilon = Float(settings.epsilon)
            let correction1 = 1 - power(beta1, steps)
            let correction2 = 1 - power(beta2, steps)
            var change = direction
            for index in direction.indices {
                let value = direction[index]
                first[index] = beta1 * first[index] + (1 - beta1) * value
                let square = value * value
                if settings.optimizer == .adam {
                    second[index] = beta2 * second[index] + (1 - beta2) * value * value
                } else {
                    // Yogi: v moves by the square's size, whatever its own [Zaheer et al. 2018].
                    let sign: Float = second[index] > square ? 1 : second[index] < square ? -1 : 0
                    second[index] -= (1 - beta2) * sign * square
                }
                let scale = (second[index] / correction2).squareRoot() + epsilon
                change[index] = rate * (first[index] / correction1) / scale
            }
            return change
        }
    }

    /// The configured rate, falling linearly to a tenth over `decayRounds` opened rounds.
    func learningRate(step: Int) -> Float {
        let peak = Float(settings.learningRate)
        guard settings.decayRounds > 1 else { return peak }
        let progress = min(1, Float(step - 1) / Float(settings.decayRounds - 1))
        return peak * (1 - 0.9 * progress)
    }
}

private func power(_ base: Float, _ exponent: Int) -> Float {
    var result: Float = 1
    for _ in 0..<exponent { result *= base }
    return result
}
