import Kernels

/// One pass of a pack through the whole graph: embedding, blocks, final norm, head, and back.
///
/// Lives shortly: takes its memory from an arena that the caller resets afterwards.
package struct GraphPass {
    package let model: AdaptedModel
    package let pack: Pack
    package let arena: Arena
    package let pool: ThreadPool

    private let tokens: UnsafeMutablePointer<Int32>
    private let positions: UnsafeMutablePointer<Int32>
    private var states: [BlockState] = []
    private var last: UnsafeMutablePointer<Float>

    private var base: LanguageModel { model.base }
    private var hidden: Int { model.base.configuration.hiddenSize }
    private var rows: Int { pack.rows }

    /// Runs the blocks. `keepsStates` keeps what a backward pass needs; `afterProjection` sees each
    /// layer's q, k, v (rotated) on the way, as a cache needs them.
    package init(
        _ model: AdaptedModel, _ pack: Pack, arena: Arena, pool: ThreadPool, keepsStates: Bool,
        afterProjection: (_ layer: Int, _ qkv: UnsafePointer<Float>) -> Void = { _, _ in }
    ) {
        self.model = model
        self.pack = pack
        self.arena = arena
        self.pool = pool
        let configuration = model.base.configuration
        let rows = pack.rows
        tokens = arena.copy(pack.tokens)
        positions = arena.copy(pack.positions)
        let attentionShape = AttentionShape(configuration)

        var state = BlockState(configuration, rows: rows, arena: arena)
        embed(
            rows: rows, width: configuration.hiddenSize, tokens: tokens,
            table: model.base.weights.base + model.base.layout.embedding, y: state.input)
        var output = arena.floats(keepsStates ? 0 : rows * configuration.hiddenSize)
        last = state.input
        let grain = rowGrain(rows, width: configuration.hiddenSize)
        for layer in 0..<configuration.layerCount {
            let block = Block(model: model, layer: layer, positions: positions, runs: pack.runs)
            var next = state
            if keepsStates {
                let isLast = layer == configuration.layerCount - 1
                if !isLast { next = BlockState(configuration, rows: rows, arena: arena) }
                output = isLast ? arena.floats(rows * configuration.hiddenSize) : next.input
            }
            let current = state
            let target = output
            pool.forEachRange(rows, grain: grain) { block.project($0, current) }
            afterProjection(layer, current.qkv)
            attention(
                attentionShape, segments: pack.segments, qkv: current.qkv, out: current.attended,
                logSumExp: current.logSumExp, pool: pool)
            pool.forEachRange(rows, grain: grain) { block.finish($0, current, output: target) }
            if keepsStates {
                states.append(current)
                state = next
            } else {
                // The two residual buffers change places from block to block.
                output = state.input
                state.input = target
            }
            last = target
        }
    }

    /// Loss of every target row (`pack.targetRows` order), and the gradient of Σ weight·loss.
    ///
    /// - Parameters:
    ///   - losses: room for one per target row.
    ///   - weights: factor of each target row; read only with a target for gradients.
    package func loss(
        losses: UnsafeMutablePointer<Float>, weights: UnsafePointer<Float>? = nil,
        gradient: GradientTarget? = nil
    ) {
        let count = pack.targetRows.count
        let hidden = hidden
        let final = base.weights.base + base.layout.finalNorm
        let gathered = gather(pack.targetRows)
        let normed = arena.floats(count * hidden)
        let rms = arena.floats(count)
        rmsNorm(
            rows: count, width: hidden, x: gathered, gain: final,
            epsilon: base.configuration.normalisationEpsilon, y: normed, inverseRMS: rms)
        let dNormed = gradient == nil ? nil : arena.floats(count * hidden)
        var weightGradient: UnsafeMutablePointer<Float>?
        if case .weights(let pointer)? = gradient { weightGradient = pointer }
        crossEntropy(
            rows: count, width: hidden, vocabulary: base.configuration.vocabularySize, x: normed,
            head: base.weights.base + base.layout.head, targets: arena.copy(pack.targets),
            losses: losses, weights: gradient == nil ? nil : weights, dx: dNormed,
            dHead: weightGradient.map { $0 + base.layout.head }, pool: pool)
        guard let gradient, let dNormed else { return }

        let dGathered = arena.zeros(count * hidden)
        rmsNormGradient(
            rows: count, width: hidden, x: gathered, gain: final, inverseRMS: rms, dy: dNormed,
            dx: dGathered)
        if let weightGradient {
            rmsNormGainGradient(
                rows: count, width: hidden, x: gathered, inverseRMS: rms, dy: dNormed,
                dGain: weightGradient + base.layout.finalNorm)
        }
        let dOutput = arena.zeros(rows * hidden)
        for (index, row) in pack.targetRows.enumerated() {
            (dOutput + row * hidden).update(from: dGathered + index * hidden, count: hidden)
        }
        backward(dOutput, gradient)
    }

    /// Logits (`rows.count` × vocabulary) of chosen rows.
    package func logits(ofRows rows: [Int], into logits: UnsafeMutablePointer<Float>) {
        base.head(rows: rows.count, x: gather(rows), arena: arena, logits: logits)
    }

    /// From the gradient of the last block's output down to the lowest trained parameter.
    private func backward(_ dOutput: UnsafeMutablePointer<Float>, _ target: GradientTarget) {
        precondition(states.count == base.configuration.layerCount, "the pass kept its states")
        let configuration = base.configuration
        let (rows, hidden) = (rows, hidden)
        let grain = rowGrain(rows, width: hidden)
        let dMiddle = arena.floats(rows * hidden)
        let dNormed = arena.floats(rows * hidden)
        let dAttended = arena.floats(rows * configuration.queryWidth)
        let dqkv = arena.floats(rows * configuration.fusedWidth)
        let attentionShape = AttentionShape(configuration)

        for layer in (0..<configuration.layerCount).reversed() {
            let block = Block(model: model, layer: layer, positions: positions, runs: pack.runs)
            let state = states[layer]
            let depth = depthNeeded(layer, target)
            func collect(_ site: Site, _ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>) {
                block.collect(site, rows: rows, x: x, dy: dy, into: target, arena: arena, pool: pool)
            }
            pool.forEachRange(rows, grain: grain) {
                block.finishGradient(
                    $0, state, dOutput: dOutput, dMiddle: dMiddle, dNormed: dNormed)
            }
            collect(.down, state.activated, dOutput)
            collect(.gateUp, state.mlpInput, state.gateUp)
            if case .weights(let gradient) = target {
                rmsNormGainGradient(
                    rows: rows, width: hidden, x: state.middle, inverseRMS: state.mlpRMS, dy: dNormed,
                    dGain: gradient + base.layout.layers[layer].attentionNorm)
            }
            if depth == .mlp { return }

            collect(.output, state.attended, dMiddle)
            if depth == .output { return }
            pool.forEachRange(rows, grain: grain) {
                block.outputGradient($0, dMiddle: dMiddle, dAttended: dAttended)
            }
            attentionGradient(
                attentionShape, segments: pack.segments, qkv: state.qkv, out: state.attended,
                logSumExp: state.logSumExp, dout: dAttended, dqkv: dqkv, pool: pool)
            pool.forEachRange(rows, grain: grain) { piece in
                block.rotationGradient(piece, dqkv: dqkv)
                if depth == .input {
                    // The gradient of the output is spent: its buffer takes the gradient of the input.
                    block.projectGradient(
                        piece, state, dqkv: dqkv, dMiddle: dMiddle, dInput: dOutput,
                        dNormed: dNormed)
                }
            }
            collect(.queryKeyValue, state.attentionInput, dqkv)
            if depth == .projection { return }
            if case .weights(let gradient) = target {
                rmsNormGainGradient(
                    rows: rows, width: hidden, x: state.input, inverseRMS: state.attentionRMS,
                    dy: dNormed, dGain: gradient + base.layout.layers[layer].inputNorm)
            }
        }
        if case .weights(let gradient) = target {
            embedGradient(
                rows: rows, width: hidden, tokens: tokens, dy: dOutput,
                dTable: gradient + base.layout.embedding)
        }
    }

    /// How far down a block's backward pass must go.
    private enum Depth { case mlp, output, projection, input }

    /// Nothing below the lowest trained linear needs a gradient.
    private func depthNeeded(_ layer: Int, _ target: GradientTarget) -> Depth {
        guard layer == 0, case .adapters = target else { return .input }
        if model.adapters(0, .queryKeyValue) != nil { return .projection }
        return model.adapters(0, .output) != nil ? .output : .mlp
    }

    private func gather(_ chosen: [Int]) -> UnsafeMutablePointer<Float> {
        let gathered = arena.floats(chosen.count * hidden)
        for (index, row) in chosen.enumerated() {
            (gathered + index * hidden).update(from: last + row * hidden, count: hidden)
        }
        return gathered
    }
}

extension LanguageModel {
    /// Final norm and head of `rows` rows of the residual stream: logits, rows × vocabulary.
    package func head(
        rows: Int, x: UnsafePointer<Float>, arena: Arena, logits: UnsafeMutablePointer<Float>
    ) {
        let (hidden, vocabulary) = (configuration.hiddenSize, configuration.vocabularySize)
        let normed = arena.floats(rows * hidden)
        rmsNorm(
            rows: rows, width: hidden, x: x, gain: weights.base + layout.finalNorm,
            epsilon: configuration.normalisationEpsilon, y: normed, inverseRMS: arena.floats(rows))
        gemm(
            rows, vocabulary, hidden, normed, hidden, weights.base + layout.head, hidden,
            transposeB: true, logits, vocabulary)
    }
}

extension AttentionShape {
    package init(_ configuration: ModelConfiguration) {
        self.init(
            heads: configuration.headCount, keyValueHeads: configuration.keyValueHeadCount,
            headSize: configuration.headSize)
    }
}
