/// How an emulator's middle is taught to do what the full model's middle does.
///
///     loss = w_hidden·KD + w_language·CE + w_output·KL
///
/// KD is the mean of ((h_T − h_S)/σ)² with σ² = mean(h_T²) over the batch, of the residual streams behind
/// the middle [Xiao, Lin, Han 2023] or behind each of its blocks; CE the emulator's own language loss; KL
/// that of the full model's next-token distribution from the emulator's, per predicted token.
public struct Distillation: Sendable, Equatable {
    public var steps: Int
    /// Rows a step aims for; sequences are packed until it is reached.
    public var batchTokens: Int
    /// Reached after the warm-up; a cosine then leads to 0 at the last step.
    public var learningRate: Float
    public var warmUpSteps: Int
    public var weightDecay: Float
    public var gradientNormMax: Float
    /// w_hidden ≥ 0.
    public var hiddenWeight: Float
    /// w_language ≥ 0.
    public var languageWeight: Float
    /// w_output ≥ 0.
    public var outputWeight: Float
    /// KD behind every block of the middle whose source is known, averaged, rather than at its end alone.
    public var isLayerWise: Bool
    /// Steps between two looks at the held-out text.
    public var stepsPerCheck: Int
    /// Looks without a better held-out loss before it stops.
    public var patience: Int

    public init(
        steps: Int, batchTokens: Int = 1024, learningRate: Float = 1e-3, warmUpSteps: Int = 20,
        weightDecay: Float = 0, gradientNormMax: Float = 1, hiddenWeight: Float = 1,
        languageWeight: Float = 0, outputWeight: Float = 0, isLayerWise: Bool = false,
        stepsPerCheck: Int = 50, patience: Int = 5
    ) {
        precondition(steps >= 0 && batchTokens >= 1 && stepsPerCheck >= 1 && patience >= 1)
        precondition(hiddenWeight >= 0 && languageWeight >= 0 && outputWeight >= 0)
        self.steps = steps
        self.batchTokens = batchTokens
        self.learningRate = learningRate
        self.warmUpSteps = warmUpSteps
        self.weightDecay = weightDecay
        self.gradientNormMax = gradientNormMax
        self.hiddenWeight = hiddenWeight
        self.languageWeight = languageWeight
        self.outputWeight = outputWeight
        self.isLayerWise = isLayerWise
        self.stepsPerCheck = stepsPerCheck
        self.patience = patience
    }

    /// The learning rate of step 0, 1, ….
    package func rate(at step: Int) -> Float {
        var schedule = Pretraining(
            steps: max(steps, 1), learningRate: learningRate, warmUpSteps: warmUpSteps)
        schedule.finalRateShare = 0
        return schedule.rate(at: step)
    }
}

/// The three terms of a distillation loss, and their weighted sum.
public struct DistillationLoss: Sendable, Equatable, Codable {
    public var hidden = 0.0
    public var language = 0.0
    public var output = 0.0
    public var total = 0.0
}
