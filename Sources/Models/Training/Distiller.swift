import Glibc
import Kernels

/// Where a distillation stands: everything that a later process needs to go on with the same bits.
public struct DistillationState: Sendable {
    /// Weights of the emulator's middle, flat.
    public var values: [Float]
    public var first: [Float]
    public var second: [Float]
    public var step: Int
    /// The best middle so far, and its held-out loss.
    public var best: [Float]
    public var bestLoss: Double
    public var checksSinceBest: Int

    public init(
        values: [Float], first: [Float], second: [Float], step: Int, best: [Float], bestLoss: Double,
        checksSinceBest: Int
    ) {
        self.values = values
        self.first = first
        self.second = second
        self.step = step
        self.best = best
        self.bestLoss = bestLoss
        self.checksSinceBest = checksSinceBest
    }
}

/// One step, as told to a progress callback.
public struct DistillationProgress: Sendable {
    public let step: Int
    public let steps: Int
    public let loss: DistillationLoss
    /// Present after a look at the held-out text.
    public let heldOut: DistillationLoss?
    public let state: DistillationState
}

/// Trains an emulator's middle against the full model's; everything else stays frozen.
public struct Distiller: Sendable {
    public let teacher: LanguageModel
    public let shape: EmulatorShape
    public let distillation: Distillation
    private let pool: ThreadPool
    private let workspaces = Workspaces()

    /// - Parameter threads: how many threads share the work; nil for all of the machine's cores.
    public init(
        teacher: LanguageModel, shape: EmulatorShape, distillation: Distillation, threads: Int? = nil
    ) {
        precondition(shape.fullCount == teacher.configuration.layerCount, "the shape is of this model")
        self.teacher = teacher
        self.shape = shape
        self.distillation = distillation
        pool = threads.map { ThreadPool(threads: $0) } ?? .shared
    }

    /// The taught emulator: the best by held-out loss, or the last where nothing is held out.
    ///
    /// Same input and seed give the same bits, in one go or resumed, whatever the threads.
    /// - Parameters:
    ///   - resuming: where an earlier process stopped.
    ///   - progress: called after each step; return false to stop there.
    /// - Throws: `EngineError` for examples that do not fit, or a loss that is not finite.
    public func distil(
        _ student: LanguageModel, on examples: [TokenizedExample], heldOut: [TokenizedExample],
        seed: UInt64, resuming: DistillationState? = nil, progress: (DistillationProgress) -> Bool
    ) throws -> LanguageModel {
        try teacher.validate(examples)
        if !heldOut.isEmpty { try teacher.validate(heldOut) }
        let range = trainedRange(student)
        var student = student
        var state =
            try resuming
            ?? DistillationState(
                values: Array(student.flatWeights[range]), first: [], second: [], step: 0,
                best: Array(student.flatWeights[range]),
                bestLoss: heldOut.isEmpty ? .infinity : try loss(student, heldOut).total,
                checksSinceBest: 0)
        let rule = Optimizer.adamW(
            beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: distillation.weightDecay)
        var parameters =
            state.step == 0
            ? OptimizedParameters(state.values, optimizer: rule)
            : OptimizedParameters(
                state.values, optimizer: rule, steps: state.step, first: state.first,
                second: state.second)
        let decayed =
            shape.inner.isEmpty ? nil : runs(student).map { (range: $0.range, decays: !$0.isInner) }
        student = replacing(student, range, parameters.values)

        while state.step < distillation.steps {
            let batch = batch(examples, step: state.step, seed: seed)
            let (loss, gradient) = try lossAndGradient(student, batch)
            let norm = l2Norm(gradient)
            guard loss.total.isFinite, norm.isFinite else { throw EngineError.diverged(step: state.step) }
            parameters.step(
                gradient, learningRate: distillation.rate(at: state.step),
                gradientScale: clipFactor(norm: norm, normMax: distillation.gradientNormMax),
                decayed: decayed, pool: pool)
            student = replacing(student, range, parameters.values)
            state.step += 1
            var held: DistillationLoss?
            let isLast = state.step == distillation.steps
            if !heldOut.isEmpty, isLast || state.step.isMultiple(of: distillation.stepsPerCheck) {
                let now = try self.loss(student, heldOut)
                held = now
                if now.total < state.bestLoss {
                    (state.best, state.bestLoss, state.checksSinceBest) = (
                        parameters.values, now.total, 0
                    )
                } else {
                    state.checksSinceBest += 1
                }
            }
            (state.values, state.first, state.second) = (
                parameters.values, parameters.first, parameters.second
            )
            let goesOn = progress(
                DistillationProgress(
                    step: state.step, steps: distillation.steps, loss: loss, heldOut: held, state: state))
            if !goesOn || state.checksSinceBest >= distillation.patience { break }
        }
        return heldOut.isEmpty ? student : replacing(student, range, state.best)
    }

    /// The loss of an emulator on some text, without a step.
    public func loss(
        _ student: LanguageModel, _ examples: [TokenizedExample]
    ) throws -> DistillationLoss {
        try pass(student, examples, gradient: nil)
    }

    /// The loss of a batch and its gradient with respect to the middle's weights.
    package func lossAndGradient(
        _ student: LanguageModel, _ batch: [TokenizedExample]
    ) throws -> (loss: DistillationLoss, gradient: [Float]) {
        let range = trainedRange(student)
        var gradient = [Float](repeating: 0, count: student.layout.count)
        let loss = try gradient.withUnsafeMutableBufferPointer {
            try pass(student, batch, gradient: $0.baseAddress!)
        }
        var taught = Array(gradient[range])
        // Adapter blocks inside the middle stay: a weight whose gradient stays 0 does not move.
        for run in runs(student) where run.isInner {
            for place in run.range { taught[place] = 0 }
        }
        return (loss, taught)
    }

    // MARK: Passes

    private func pass(
        _ student: LanguageModel, _ examples: [TokenizedExample],
        gradient: UnsafeMutablePointer<Float>?
    ) throws -> DistillationLoss {
        let (full, emulator) = (
            try AdaptedModel(teacher, adapters: [], pool: pool),
            try AdaptedModel(student, adapters: [], pool: pool)
        )
        let packs = packRanges(
            lengths: examples.map { $0.tokens.count - 1 }, rowsMax: teacher.packRowsMax
        ).map { makePack(examples[$0]) }
        let taps = shape.taps(layerWise: distillation.isLayerWise)
        // σ is the whole batch's: every teacher pass comes before the first student pass.
        let targets = packs.map { teach(full, $0, taps: taps) }
        let rows = packs.reduce(0) { $0 + $1.rows }
        let outputs = packs.reduce(0) { $0 + $1.outputRows.count }
        let deviations = taps.indices.map { tap in
            let squares = targets.reduce(0.0) { $0 + $1.squares[tap] }
            return max(squares / Double(rows * teacher.configuration.hiddenSize), 1e-30).squareRoot()
        }
        var loss = DistillationLoss()
        for (pack, target) in zip(packs, targets) {
            workspaces.withArena { arena in
                let part = learn(
                    emulator, pack, target, taps: taps, deviations: deviations,
                    counts: (rows, outputs), arena: arena, gradient: gradient)
                loss.hidden += part.hidden
                loss.language += part.language
                loss.output += part.output
            }
        }
        loss.total =
            Double(distillation.hiddenWeight) * loss.hidden
            + Double(distillation.languageWeight) * loss.language
            + Double(distillation.outputWeight) * loss.output
        return loss
    }

    /// What the full model makes of one pack.
    private struct Lesson {
        /// The stream at each tap, rows × hidden, and the sum of its squares.
        var streams: [[Float]] = []
        var squares: [Double] = []
        /// Logits of the output rows; empty when no term needs them.
        var logits: [Float] = []
    }

    private func teach(
        _ full: AdaptedModel, _ pack: Pack, taps: [(student: Int, teacher: Int)]
    ) -> Lesson {
        workspaces.withArena { arena in
            let pass = GraphPass(full, pack, arena: arena, pool: pool, keepsStates: true)
            var lesson = Lesson()
            let count = pack.rows * teacher.configuration.hiddenSize
            for tap in taps {
                let stream = UnsafeBufferPointer(start: pass.stream(entering: tap.teacher), count: count)
                lesson.streams.append(Array(stream))
                lesson.squares.append(stream.reduce(0.0) { $0 + Double($1) * Double($1) })
            }
            if distillation.outputWeight > 0 {
                let size = pack.outputRows.count * teacher.configuration.vocabularySize
                let logits = arena.floats(size)
                pass.logits(into: logits)
                lesson.logits = Array(UnsafeBufferPointer(start: logits, count: size))
            }
            return lesson
        }
    }

    private func learn(
        _ emulator: AdaptedModel, _ pack: Pack, _ lesson: Lesson,
        taps: [(student: Int, teacher: Int)], deviations: [Double], counts: (rows: Int, outputs: Int),
        arena: Arena, gradient: UnsafeMutablePointer<Float>?
    ) -> DistillationLoss {
        let pass = GraphPass(emulator, pack, arena: arena, pool: pool, keepsStates: true)
        var loss = DistillationLoss()
        var streamGradients: StreamGradients = [:]
        let count = pack.rows * teacher.configuration.hiddenSize
        let all = Double(counts.rows * teacher.configuration.hiddenSize * taps.count)
        for (index, tap) in taps.enumerated() {
            let stream = pass.stream(entering: tap.student)
            let d = arena.floats(count)
            let scale = 1 / (deviations[index] * deviations[index] * all)
            let factor = Float(2 * scale) * distillation.hiddenWeight
            var sum = 0.0
            lesson.streams[index].withUnsafeBufferPointer { wanted in
                for place in 0..<count {
                    let difference = stream[place] - wanted[place]
                    sum += Double(difference) * Double(difference)
                    d[place] = factor * difference
                }
            }
            loss.hidden += sum * scale
            if distillation.hiddenWeight > 0 { streamGradients[tap.student] = UnsafePointer(d) }
        }
        let target = gradient.map { GradientTarget.blocks(shape.middle, $0) }
        guard distillation.languageWeight > 0 || distillation.outputWeight > 0 else {
            if let target { pass.passBack(streamGradients, into: target) }
            return loss
        }
        let dLogits = outputLoss(pass, pack, lesson, counts.outputs, arena, &loss)
        if let target {
            pass.passBack(fromLogits: dLogits, into: target, adding: streamGradients)
        }
        return loss
    }

    /// CE and KL of the output rows; returns the gradient of their weighted sum on the logits.
    private func outputLoss(
        _ pass: GraphPass, _ pack: Pack, _ lesson: Lesson, _ outputs: Int, _ arena: Arena,
        _ loss: inout DistillationLoss
    ) -> UnsafePointer<Float> {
        let vocabulary = teacher.configuration.vocabularySize
        let logits = arena.floats(pack.outputRows.count * vocabulary)
        pass.logits(into: logits)
        let own = arena.floats(vocabulary)
        let wanted = arena.floats(vocabulary)
        let share = 1 / Double(outputs)
        let (language, output) = (distillation.languageWeight, distillation.outputWeight)
        for row in pack.outputRows.indices {
            let place = logits + row * vocabulary
            logSoftmax(place, own, vocabulary)
            let target = Int(pack.targets[row])
            loss.language -= Double(own[target]) * share
            for token in 0..<vocabulary { place[token] = language * exp(own[token]) }
            place[target] -= language
            if output > 0 {
                lesson.logits.withUnsafeBufferPointer {
                    logSoftmax($0.baseAddress! + row * vocabulary, wanted, vocabulary)
                }
                var divergence = 0.0
                for token in 0..<vocabulary {
                    let probability = exp(wanted[token])
                    divergence += Double(probability) * Double(wanted[token] - own[token])
                    place[token] += output * (exp(own[token]) - probability)
                }
                loss.output += divergence * share
            }
            for token in 0..<vocabulary { place[token] *= Float(share) }
        }
        return UnsafePointer(logits)
    }

    private func logSoftmax(
        _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ count: Int
    ) {
        var greatest = -Float.infinity
        for index in 0..<count { greatest = max(greatest, x[index]) }
        var sum = 0.0
        for index in 0..<count { sum += Double(exp(x[index] - greatest)) }
        let logSum = greatest + Float(log(sum))
        for index in 0..<count { y[index] = x[index] - logSum }
    }

    // MARK: Weights and data

    /// The middle's weights within the flat vector: blocks follow one another.
    private func trainedRange(_ student: LanguageModel) -> Range<Int> {
        let trained = student.layout.tensors.filter { $0.block.map(shape.middle.contains) ?? false }
        return trained.first!.offset..<trained.last!.range.upperBound
    }

    /// The middle's blocks within that range, and which of them are adapter blocks.
    private func runs(_ student: LanguageModel) -> [(range: Range<Int>, isInner: Bool)] {
        let start = trainedRange(student).lowerBound
        return shape.middle.map { block in
            let tensors = student.layout.tensors.filter { $0.block == block }
            return (
                tensors.first!.offset - start..<tensors.last!.range.upperBound - start,
                shape.inner.contains(block)
            )
        }
    }

    private func replacing(
        _ student: LanguageModel, _ range: Range<Int>, _ values: [Float]
    ) -> LanguageModel {
        var weights = student.flatWeights
        weights.replaceSubrange(range, with: values)
        return LanguageModel(like: student, weights: weights)
    }

    /// The batch of a step: a function of the seed and the step, so that nothing else needs to be kept to
    /// resume.
    private func batch(
        _ examples: [TokenizedExample], step: Int, seed: UInt64
    ) -> [TokenizedExample] {
        var generator = SplitMix64(seed: seed &+ UInt64(step) &* 0x9E37_79B9_7F4A_7C15)
        var batch: [TokenizedExample] = []
        var rows = 0
        while rows < distillation.batchTokens {
            let example = examples[index(below: examples.count, &generator)]
            batch.append(example)
            rows += example.tokens.count - 1
        }
        return batch
    }
}
