import Kernels

/// One pass of a pack through the whole graph: embedding, blocks, final norm, head, and back.
///
/// Rows that nobody asks for at the end leave in the last block, after they have served as keys and
/// values there: its output projection and MLP, the final norm and the head see the output rows only.
/// Lives shortly: takes its memory from an arena that the caller resets afterwards.
package struct GraphPass {
    package let model: AdaptedModel
    package let pack: Pack
    package let arena: Arena
    package let pool: ThreadPool

    private let tokens: UnsafeMutablePointer<Int32>
    private let positions: UnsafeMutablePointer<Int32>
    /// Kept for the backward pass, one per block: the residual stream that enters it, and what the block
    /// computes unless that is computed again on the way back. Empty when nothing is kept.
    private var streams: [UnsafeMutablePointer<Float>] = []
    private var states: [(attention: AttentionState, mlp: MLPState)] = []
    private let shared: SharedActivations
    /// The last block's output: output rows × hidden.
    private var last: UnsafeMutablePointer<Float>

    private var base: LanguageModel { model.base }
    private var hidden: Int { model.base.configuration.hiddenSize }
    private var rows: Int { pack.rows }

    /// Runs the blocks.
    ///
    /// - Parameters:
    ///   - keepsStates: keeps what a backward pass needs.
    ///   - recomputes: keeps only the streams between the blocks; the backward pass runs each block once
    ///     more, which gives the same bits for a third more work and a fraction of the memory.
    ///   - afterProjection: sees each layer's q, k, v (rotated) on the way, as a cache needs them.
    package init(
        _ model: AdaptedModel, _ pack: Pack, arena: Arena, pool: ThreadPool, keepsStates: Bool,
        recomputes: Bool = false,
        afterProjection: (_ layer: Int, _ qkv: UnsafePointer<Float>) -> Void = { _, _ in }
    ) {
        self.model = model
        self.pack = pack
        self.arena = arena
        self.pool = pool
        let configuration = model.base.configuration
        let (rows, hidden) = (pack.rows, configuration.hiddenSize)
        tokens = arena.copy(pack.tokens)
        positions = arena.copy(pack.positions)
        shared = SharedActivations(configuration, rows: rows, arena: arena)
        var stream = arena.floats(rows * hidden)
        last = stream
        model.base.embedTokens(rows: rows, tokens: tokens, positions: positions, y: stream)
        model.inserted?.fillEmbeddings(pack, model.base, stream: stream)

        // Two residual buffers change places when nothing is kept.
        var spare = arena.floats(keepsStates ? 0 : rows * hidden)
        // What outlives a block is taken before the mark that its states are released to.
        let outputs = (0..<configuration.layerCount).map { layer in
            if layer == configuration.layerCount - 1 {
                return arena.floats(pack.outputRows.count * hidden)
            }
            return arena.floats(keepsStates ? rows * hidden : 0)
        }
        let mark = arena.mark
        for layer in 0..<configuration.layerCount {
            let isLast = layer == configuration.layerCount - 1
            if !keepsStates || recomputes { arena.release(to: mark) }
            let output = keepsStates || isLast ? outputs[layer] : spare
            let state = run(layer, stream, output: output, afterProjection)
            if keepsStates { streams.append(stream) }
            if keepsStates && !recomputes { states.append(state) }
            (stream, spare, last) = (output, stream, output)
        }
        if recomputes { arena.release(to: mark) }
    }

    /// Loss of every output row, and the gradient of Σ weight·loss.
    ///
    /// - Parameters:
    ///   - losses: room for one per output row; every output row has a target.
    ///   - weights: factor of each output row; read only with a target for gradients.
    ///   - streamGradients: gradients of further losses on the residual stream inside the graph.
    package func loss(
        losses: UnsafeMutablePointer<Float>, weights: UnsafePointer<Float>? = nil,
        gradient: GradientTarget? = nil, adding streamGradients: StreamGradients = [:]
    ) {
        let count = pack.outputRows.count
        precondition(pack.targets.count == count, "every output row has a target")
        let hidden = hidden
        let norm = base.layout.finalNorm
        let normed = arena.floats(count * hidden)
        let statistics = NormStatistics(base.configuration, rows: count, arena: arena)
        base.normalise(0..<count, norm, x: last, y: normed, statistics)
        let dNormed = gradient == nil ? nil : arena.floats(count * hidden)
        var weightGradient: UnsafeMutablePointer<Float>?
        if case .weights(let pointer)? = gradient { weightGradient = pointer }
        crossEntropy(
            rows: count, width: hidden, vocabulary: base.configuration.vocabularySize, x: normed,
            head: base.matrix(base.layout.head), targets: arena.copy(pack.targets),
            losses: losses, weights: gradient == nil ? nil : weights, dx: dNormed,
            dHead: weightGradient.map { $0 + base.layout.head }, pool: pool)
        guard let gradient, let dNormed else { return }

        let dLast = arena.zeros(count * hidden)
        base.normaliseGradient(0..<count, norm, x: last, statistics, dy: dNormed, dx: dLast)
        if let weightGradient {
            base.normaliseParameterGradient(
                rows: count, norm, x: last, statistics, dy: dNormed, to: weightGradient)
        }
        backward(dLast, gradient, streamGradients)
    }

    /// The residual stream that enters a block, rows × hidden, of a pass that kept its states.
    package func stream(entering layer: Int) -> UnsafePointer<Float> {
        UnsafePointer(streams[layer])
    }

    /// The gradient of losses on the residual stream alone: nothing above the highest of them is visited.
    package func passBack(_ streamGradients: StreamGradients, into target: GradientTarget) {
        guard let top = streamGradients.keys.max() else { return }
        let start = arena.zeros(rows * hidden)
        axpy(1, streamGradients[top]!, start, rows * hidden)
        backward(start, target, streamGradients.filter { $0.key < top }, below: top)
    }

    /// Gradient of the logits of the output rows, passed back through head and final norm.
    package func passBack(
        fromLogits dLogits: UnsafePointer<Float>, into target: GradientTarget,
        adding streamGradients: StreamGradients = [:]
    ) {
        let (count, hidden) = (pack.outputRows.count, hidden)
        let vocabulary = base.configuration.vocabularySize
        let norm = base.layout.finalNorm
        let dNormed = arena.floats(count * hidden)
        base.matrix(base.layout.head).multiplyGradient(
            rows: count, dLogits, vocabulary, dNormed, hidden)
        let normed = arena.floats(count * hidden)
        let statistics = NormStatistics(base.configuration, rows: count, arena: arena)
        base.normalise(0..<count, norm, x: last, y: normed, statistics)
        let dLast = arena.zeros(count * hidden)
        base.normaliseGradient(0..<count, norm, x: last, statistics, dy: dNormed, dx: dLast)
        backward(dLast, target, streamGradients)
    }

    /// Logits of the output rows: output rows × vocabulary.
    package func logits(into logits: UnsafeMutablePointer<Float>) {
        base.head(rows: pack.outputRows.count, x: last, arena: arena, logits: logits)
    }

    // MARK: Forward stages

    private func block(_ layer: Int, runs: [AdapterRun]? = nil) -> Block {
        Block(model: model, layer: layer, positions: positions, runs: runs ?? pack.runs)
    }

    /// The block's MLP half, whose rows are the output rows in the last block.
    private func mlpBlock(_ layer: Int) -> Block {
        guard layer == base.configuration.layerCount - 1 else { return block(layer) }
        return block(
            layer,
            runs: pack.runs.map {
                AdapterRun(rows: pack.outputs(among: $0.rows), adapter: $0.adapter)
            })
    }

    /// One block on all rows, and on the output rows alone from the last block's output projection on.
    private func run(
        _ layer: Int, _ input: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>,
        _ afterProjection: (_ layer: Int, _ qkv: UnsafePointer<Float>) -> Void = { _, _ in }
    ) -> (attention: AttentionState, mlp: MLPState) {
        let configuration = base.configuration
        let attention = AttentionState(
            model, rows: rows, input: input, sharing: shared, arena: arena)
        project(layer, attention)
        model.inserted?.fillKeysAndValues(layer, pack, qkv: attention.qkv)
        afterProjection(layer, attention.qkv)
        attend(attention)
        let isLast = layer == configuration.layerCount - 1
        let mlp =
            isLast
            ? MLPState(
                model, rows: pack.outputRows, after: attention, sharing: shared, arena: arena)
            : MLPState(model, rows: rows, after: attention, sharing: shared, arena: arena)
        finish(layer, mlp, rows: isLast ? pack.outputRows.count : rows, output: output)
        return (attention, mlp)
    }

    private func project(_ layer: Int, _ state: AttentionState) {
        let block = block(layer)
        forEachPiece(rows) { block.project($0, state) }
    }

    private func attend(_ state: AttentionState) {
        attention(
            AttentionShape(base.configuration), segments: pack.segments, qkv: state.qkv,
            out: state.attended, logSumExp: state.logSumExp, pool: pool)
    }

    private func finish(
        _ layer: Int, _ state: MLPState, rows: Int, output: UnsafeMutablePointer<Float>
    ) {
        let block = mlpBlock(layer)
        forEachPiece(rows) { block.finish($0, state, output: output) }
    }

    private func forEachPiece(_ rows: Int, _ body: (Range<Int>) -> Void) {
        pool.forEachRows(rows, body)
    }

    // MARK: Backward

    /// From the gradient of a block's output, the last one's unless said otherwise, down to the lowest
    /// trained parameter.
    private func backward(
        _ dLast: UnsafeMutablePointer<Float>, _ target: GradientTarget,
        _ streamGradients: StreamGradients, below top: Int? = nil
    ) {
        let configuration = base.configuration
        precondition(streams.count == configuration.layerCount, "the pass kept its states")
        let (rows, hidden, lastLayer) = (rows, hidden, configuration.layerCount - 1)
        let dNormed = arena.floats(rows * hidden)
        let dqkv = arena.floats(rows * configuration.fusedWidth)
        var dOutput = dLast
        var (dMiddle, dAttended) = (
            arena.floats(rows * hidden), arena.floats(rows * configuration.queryWidth)
        )

        // A block that is run again writes its output where nobody looks.
        let unread = arena.floats(states.isEmpty ? rows * hidden : 0)
        for layer in (0..<(top ?? configuration.layerCount)).reversed() {
            let isLast = layer == lastLayer
            let mark = arena.mark
            // The last block's gradients of all rows stay; they are taken behind its states.
            defer { if states.isEmpty && !isLast { arena.release(to: mark) } }
            let (attention, mlp) =
                states.isEmpty ? run(layer, streams[layer], output: unread) : states[layer]
            let depth = depthNeeded(layer, target)
            let mlpRows = isLast ? pack.outputRows.count : rows
            let mlpTarget = isLast ? target.amongOutputs(of: pack) : target
            if let groups = mlpTarget.insertedGroups, let bottleneck = mlp.bottleneck {
                model.inserted?.bottleneckGradient(
                    groups, layer, rows: mlpRows, dy: dOutput, input: bottleneck.input,
                    inner: bottleneck.inner, arena: arena)
            }
            mlpGradient(
                layer, mlp, rows: mlpRows, dOutput: dOutput, dMiddle: dMiddle, dNormed: dNormed,
                mlpTarget)
            if depth == .mlp { return }
            let mlpBlock = mlpBlock(layer)
            mlpBlock.collect(
                .output, rows: mlpRows, x: mlp.attended, dy: dMiddle, into: mlpTarget, arena: arena,
                pool: pool)
            if depth == .output { return }
            forEachPiece(mlpRows) {
                mlpBlock.outputGradient($0, dMiddle: dMiddle, dAttended: dAttended)
                if configuration.hasParallelResidual {
                    mlpBlock.addParallelGradient($0, mlp, dNormed: dNormed, dMiddle: dMiddle)
                }
            }
            if isLast {
                // Back from the output rows to all rows.
                dMiddle = arena.scatter(dMiddle, to: pack.outputRows, rows: rows, width: hidden)
                dAttended = arena.scatter(
                    dAttended, to: pack.outputRows, rows: rows, width: configuration.queryWidth)
                dOutput = arena.floats(rows * hidden)
            }
            // The gradient of the output is spent: its buffer takes the gradient of the input.
            attentionHalfGradient(
                layer, attention, dAttended: dAttended, dMiddle: dMiddle, dqkv: dqkv,
                dInput: depth == .input ? dOutput : nil, dNormed: dNormed, target)
            if depth == .projection { return }
            if case .blocks(let trained, _) = target, layer == trained.lowerBound { return }
            if let added = streamGradients[layer] { axpy(1, added, dOutput, rows * hidden) }
        }
        if let groups = target.insertedGroups {
            model.inserted?.collectEmbeddings(groups, pack, dStream: dOutput)
        }
        if case .weights(let gradient) = target {
            embedGradient(
                rows: rows, width: hidden, tokens: tokens, dy: dOutput,
                dTable: gradient + base.layout.embedding)
            if let table = base.layout.positions {
                embedGradient(
                    rows: rows, width: hidden, tokens: positions, dy: dOutput, dTable: gradient + table)
            }
        }
    }

    /// Backward of a block's MLP: fills `dMiddle` and collects gate, up, down and the norm between.
    private func mlpGradient(
        _ layer: Int, _ state: MLPState, rows: Int, dOutput: UnsafePointer<Float>,
        dMiddle: UnsafeMutablePointer<Float>, dNormed: UnsafeMutablePointer<Float>,
        _ target: GradientTarget
    ) {
        let block = mlpBlock(layer)
        let restores = readsInputs(of: [.gateUp, .down], layer, target)
        forEachPiece(rows) {
            if restores { block.restore($0, state) }
            block.finishGradient($0, state, dOutput: dOutput, dMiddle: dMiddle, dNormed: dNormed)
        }
        if let groups = target.insertedGroups, let dScaled = state.scaled {
            model.inserted?.collectActivations(
                groups, layer, unscaled: state.activated, dScaled: dScaled)
        }
        block.collect(
            .down, rows: rows, x: state.activated, dy: dOutput, into: target, arena: arena, pool: pool)
        block.collect(
            .gateUp, rows: rows, x: state.normed, dy: state.gateUp, into: target, arena: arena,
            pool: pool)
        if let gradient = target.weights(ofBlock: layer) {
            base.normaliseParameterGradient(
                rows: rows, base.layout.layers[layer].attentionNorm, x: block.normInput(state),
                state.statistics, dy: dNormed, to: gradient)
        }
    }

    /// Backward of attention and projections: collects q, k, v, and goes on to `dInput` when wanted.
    private func attentionHalfGradient(
        _ layer: Int, _ state: AttentionState, dAttended: UnsafePointer<Float>,
        dMiddle: UnsafePointer<Float>, dqkv: UnsafeMutablePointer<Float>,
        dInput: UnsafeMutablePointer<Float>?, dNormed: UnsafeMutablePointer<Float>,
        _ target: GradientTarget
    ) {
        let block = block(layer)
        attentionGradient(
            AttentionShape(base.configuration), segments: pack.segments, qkv: state.qkv,
            out: state.attended, logSumExp: state.logSumExp, dout: dAttended, dqkv: dqkv, pool: pool)
        if let groups = target.insertedGroups {
            model.inserted?.collectKeysAndValues(groups, layer, pack, dqkv: dqkv)
        }
        forEachPiece(rows) { block.rotationGradient($0, dqkv: dqkv) }
        if let groups = target.insertedGroups, let unscaled = state.unscaled {
            model.inserted?.collectProjections(groups, layer, unscaled: unscaled, dqkv: dqkv)
            model.inserted?.scaleProjections(layer, 0..<rows, dqkv)
        }
        let restores = readsInputs(of: [.queryKeyValue], layer, target)
        forEachPiece(rows) { piece in
            if restores { block.restore(piece, state) }
            if let dInput {
                block.projectGradient(
                    piece, state, dqkv: dqkv, dMiddle: dMiddle, dInput: dInput, dNormed: dNormed)
            }
        }
        block.collect(
            .queryKeyValue, rows: rows, x: state.normed, dy: dqkv, into: target, arena: arena,
            pool: pool)
        if let gradient = target.weights(ofBlock: layer), dInput != nil {
            base.normaliseParameterGradient(
                rows: rows, base.layout.layers[layer].inputNorm, x: state.input, state.statistics,
                dy: dNormed, to: gradient)
        }
    }

    /// Whether gradients of some sites read inputs that shared buffers no longer hold.
    private func readsInputs(of sites: [Site], _ layer: Int, _ target: GradientTarget) -> Bool {
        // A block that has just run again left its own there.
        if states.isEmpty { return false }
        guard case .adapters = target else { return true }
        return sites.contains { model.adapters(layer, $0) != nil }
    }

    /// How far down a block's backward pass must go.
    private enum Depth { case mlp, output, projection, input }

    /// Nothing below the lowest trained linear needs a gradient.
    private func depthNeeded(_ layer: Int, _ target: GradientTarget) -> Depth {
        guard case .adapters = target, layer == model.lowestAdaptedLayer else { return .input }
        if model.adapters(layer, .queryKeyValue) != nil { return .projection }
        return model.adapters(layer, .output) != nil ? .output : .mlp
    }
}

/// Gradients of losses on the residual stream: by the block that the stream enters, rows × hidden.
package typealias StreamGradients = [Int: UnsafePointer<Float>]

extension LanguageModel {
    /// Final norm and head of `rows` rows of the residual stream: logits, rows × vocabulary.
    package func head(
        rows: Int, x: UnsafePointer<Float>, arena: Arena, logits: UnsafeMutablePointer<Float>
    ) {
        let (hidden, vocabulary) = (configuration.hiddenSize, configuration.vocabularySize)
        let normed = arena.floats(rows * hidden)
        normalise(
            0..<rows, layout.finalNorm, x: x, y: normed,
            NormStatistics(configuration, rows: rows, arena: arena))
        matrix(layout.head).multiply(rows: rows, normed, hidden, logits, vocabulary)
    }
}

extension AttentionShape {
    package init(_ configuration: ModelConfiguration) {
        self.init(
            heads: configuration.headCount, keyValueHeads: configuration.keyValueHeadCount,
            headSize: configuration.headSize)
    }
}
