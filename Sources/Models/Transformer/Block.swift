import Kernels

/// One decoder block, forward and backward:
///
///     middle = input + attention(norm(input))        output = middle + mlp(norm(middle))
///
/// With a parallel residual (GPT-NeoX) the second half reads the input too: mlp(norm(input)).
///
/// Both halves work on any range of rows, so that the pool can cut them; only attention looks across
/// rows. There is no tape: `AttentionState` and `MLPState` hold what the backward pass reads.
package struct Block {
    package let model: AdaptedModel
    package let layer: Int
    /// Position of each row in its own sequence.
    package let positions: UnsafePointer<Int32>
    package let runs: [AdapterRun]

    private var configuration: ModelConfiguration { model.base.configuration }
    private var offsets: WeightLayout.Layer { model.base.layout.layers[layer] }

    package init(
        model: AdaptedModel, layer: Int, positions: UnsafePointer<Int32>, runs: [AdapterRun]
    ) {
        self.model = model
        self.layer = layer
        self.positions = positions
        self.runs = runs
    }

    /// norm → q, k, v → rotation, for some rows.
    package func project(_ rows: Range<Int>, _ state: AttentionState) {
        model.base.normalise(rows, offsets.inputNorm, x: state.input, y: state.normed, state.statistics)
        multiply(.queryKeyValue, rows, state.normed, state.qkv)
        if let unscaled = state.unscaled, let inserted = model.inserted {
            let fused = configuration.fusedWidth
            (unscaled + rows.lowerBound * fused).update(
                from: state.qkv + rows.lowerBound * fused, count: rows.count * fused)
            inserted.scaleProjections(layer, rows, state.qkv)
        }
        rotateHeads(rows, state.qkv)
    }

    /// Output projection, residual, norm, gated MLP, residual, for some rows.
    package func finish(
        _ rows: Range<Int>, _ state: MLPState, output: UnsafeMutablePointer<Float>
    ) {
        let (start, count, hidden) = (rows.lowerBound, rows.count, configuration.hiddenSize)
        let inner = configuration.intermediateSize
        let middle = state.middle + start * hidden
        middle.update(from: state.input + start * hidden, count: count * hidden)
        multiply(.output, rows, state.attended, state.middle, accumulate: true)
        model.base.normalise(
            rows, offsets.attentionNorm, x: normInput(state), y: state.normed, state.statistics)
        multiply(.gateUp, rows, state.normed, state.gateUp)
        activate(rows, state)
        let activated = state.activated + start * inner
        (output + start * hidden).update(from: middle, count: count * hidden)
        if let scaled = state.scaled, let inserted = model.inserted {
            (scaled + start * inner).update(from: activated, count: count * inner)
            inserted.scaleActivations(layer, rows, scaled)
        }
        multiply(.down, rows, state.scaled ?? state.activated, output, accumulate: true)
        if let bottleneck = state.bottleneck {
            model.inserted?.applyBottleneck(
                layer, rows, y: output, input: bottleneck.input, inner: bottleneck.inner)
        }
    }

    private func activate(_ rows: Range<Int>, _ state: MLPState) {
        let inner = configuration.intermediateSize
        let expanded = state.gateUp + rows.lowerBound * configuration.expandedWidth
        let activated = state.activated + rows.lowerBound * inner
        if configuration.isGated {
            swiGLU(rows: rows.count, width: inner, gateUp: expanded, y: activated)
        } else {
            gelu(count: rows.count * inner, x: expanded, y: activated, tanh: configuration.usesTanhGELU)
        }
    }

    /// Fills a shared buffer of the attention half again, for some rows.
    package func restore(_ rows: Range<Int>, _ state: AttentionState) {
        model.base.normalise(rows, offsets.inputNorm, x: state.input, y: state.normed, state.statistics)
    }

    /// Fills the shared buffers of the MLP half again, for some rows: before `state.gateUp` becomes its gradient.
    package func restore(_ rows: Range<Int>, _ state: MLPState) {
        model.base.normalise(
            rows, offsets.attentionNorm, x: normInput(state), y: state.normed, state.statistics)
        activate(rows, state)
    }

    /// Backward of the MLP half for some rows: `state.gateUp` becomes its own gradient, `dMiddle` the
    /// gradient of `middle`, and `dNormed` that of the MLP's input.
    package func finishGradient(
        _ rows: Range<Int>, _ state: MLPState, dOutput: UnsafePointer<Float>,
        dMiddle: UnsafeMutablePointer<Float>, dNormed: UnsafeMutablePointer<Float>
    ) {
        let (start, count, hidden) = (rows.lowerBound, rows.count, configuration.hiddenSize)
        let inner = configuration.intermediateSize
        withScratch(count * inner) { dActivated in
            multiplyGradient(.down, rows, dOutput, to: dActivated)
            if let scaled = state.scaled {
                // The scaled activations are spent: their gradient takes their place.
                (scaled + start * inner).update(from: dActivated, count: count * inner)
                model.inserted?.scaleActivations(layer, 0..<count, dActivated)
            }
            let expanded = state.gateUp + start * configuration.expandedWidth
            if configuration.isGated {
                swiGLUGradient(rows: count, width: inner, gateUp: expanded, dy: dActivated)
            } else {
                geluGradient(
                    count: count * inner, x: expanded, dy: dActivated, tanh: configuration.usesTanhGELU)
            }
        }
        multiplyGradient(.gateUp, rows, state.gateUp, to: dNormed + start * hidden)
        (dMiddle + start * hidden).update(from: dOutput + start * hidden, count: count * hidden)
        if !configuration.hasParallelResidual {
            model.base.normaliseGradient(
                rows, offsets.attentionNorm, x: state.middle, state.statistics, dy: dNormed, dx: dMiddle)
        }
    }

    /// With a parallel residual the MLP's gradient joins the stream below the attention: adds it to
    /// `dMiddle` once the gradient of the attended values has been taken from there.
    package func addParallelGradient(
        _ rows: Range<Int>, _ state: MLPState, dNormed: UnsafePointer<Float>,
        dMiddle: UnsafeMutablePointer<Float>
    ) {
        model.base.normaliseGradient(
            rows, offsets.attentionNorm, x: state.input, state.statistics, dy: dNormed, dx: dMiddle)
    }

    /// What the norm between the halves reads.
    package func normInput(_ state: MLPState) -> UnsafeMutablePointer<Float> {
        configuration.hasParallelResidual ? state.input : state.middle
    }

    /// The gradient of the attended values, from that of `middle`, for some rows.
    package func outputGradient(
        _ rows: Range<Int>, dMiddle: UnsafePointer<Float>, dAttended: UnsafeMutablePointer<Float>
    ) {
        multiplyGradient(
            .output, rows, dMiddle, to: dAttended + rows.lowerBound * configuration.queryWidth)
    }

    /// Turns the gradient of rotated q and k back, for some rows.
    package func rotationGradient(_ rows: Range<Int>, dqkv: UnsafeMutablePointer<Float>) {
        rotateHeads(rows, dqkv, inverse: true)
    }

    /// Turns q and k of some rows; families with learned positions turn nothing.
    private func rotateHeads(
        _ rows: Range<Int>, _ qkv: UnsafeMutablePointer<Float>, inverse: Bool = false
    ) {
        guard let table = model.base.rotary else { return }
        let fused = configuration.fusedWidth
        rotate(
            rows: rows.count, heads: configuration.headCount + configuration.keyValueHeadCount,
            headSize: configuration.headSize, x: qkv + rows.lowerBound * fused, ldx: fused,
            positions: positions + rows.lowerBound, table: table, inverse: inverse)
    }

    /// Backward of the projections for some rows: `dInput` becomes the gradient of the block's input, and
    /// `dNormed` that of the attention's input.
    package func projectGradient(
        _ rows: Range<Int>, _ state: AttentionState, dqkv: UnsafePointer<Float>,
        dMiddle: UnsafePointer<Float>, dInput: UnsafeMutablePointer<Float>,
        dNormed: UnsafeMutablePointer<Float>
    ) {
        let (start, count, hidden) = (rows.lowerBound, rows.count, configuration.hiddenSize)
        multiplyGradient(.queryKeyValue, rows, dqkv, to: dNormed + start * hidden)
        (dInput + start * hidden).update(from: dMiddle + start * hidden, count: count * hidden)
        model.base.normaliseGradient(
            rows, offsets.inputNorm, x: state.input, state.statistics, dy: dNormed, dx: dInput)
    }

    // MARK: Adapted linears

    /// y = x·Wᵀ + bias + adapters (+ y), for some rows.
    private func multiply(
        _ site: Site, _ rows: Range<Int>, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>,
        accumulate: Bool = false
    ) {
        let weights = model.weights(layer, site)
        let (inputs, outputs) = (weights.inputs, weights.outputs)
        weights.multiply(
            rows: rows.count, x + rows.lowerBound * inputs, y + rows.lowerBound * outputs,
            accumulate: accumulate)
        guard !model.isMerged, let adapters = model.adapters(layer, site) else { return }
        withScratch(rows.count * adapters.width) { u in
            for run in runs where run.rows.overlaps(rows) {
                let part = run.rows.clamped(to: rows)
                loraProject(
                    rows: part.count, inputs: inputs, rank: adapters.width,
                    x: x + part.lowerBound * inputs,
                    a: model.stackedA(adapters, adapter: run.adapter), u: u)
                for linear in adapters.linears {
                    loraExpand(
                        rows: part.count, outputs: linear.entry.outputs, rank: adapters.rank,
                        scale: model.scale, u: u + linear.rankColumn, ldu: adapters.width,
                        b: model.matrixB(linear, adapter: run.adapter),
                        y: y + part.lowerBound * outputs + linear.column, ldy: outputs)
                }
            }
        }
    }

    /// dx = dy·W + adapters, for some rows of `dy`; `target` is where the first of these rows goes.
    private func multiplyGradient(
        _ site: Site, _ rows: Range<Int>, _ dy: UnsafePointer<Float>,
        to target: UnsafeMutablePointer<Float>
    ) {
        let weights = model.weights(layer, site)
        let (inputs, outputs) = (weights.inputs, weights.outputs)
        weights.multiplyGradient(rows: rows.count, dy + rows.lowerBound * outputs, target)
        guard !model.isMerged, let adapters = model.adapters(layer, site) else { return }
        withScratch(rows.count * adapters.width) { du in
            for run in runs where run.rows.overlaps(rows) {
                let part = run.rows.clamped(to: rows)
                expandGradient(site, adapters, part, adapter: run.adapter, dy: dy, du: du)
                loraProjectGradient(
                    rows: part.count, inputs: inputs, rank: adapters.width, du: du,
                    a: model.stackedA(adapters, adapter: run.adapter),
                    dx: target + (part.lowerBound - rows.lowerBound) * inputs)
            }
        }
    }

    /// du = s·dy·B of every adapted linear of a site; `du` is where the first of the rows goes.
    package func expandGradient(
        _ site: Site, _ adapters: SiteAdapters, _ rows: Range<Int>, adapter: Int,
        dy: UnsafePointer<Float>, du: UnsafeMutablePointer<Float>
    ) {
        let outputs = model.weights(layer, site).outputs
        for linear in adapters.linears {
            loraExpandGradient(
                rows: rows.count, outputs: linear.entry.outputs, rank: adapters.rank,
                scale: model.scale, dy: dy + rows.lowerBound * outputs + linear.column, lddy: outputs,
                b: model.matrixB(linear, adapter: adapter), du: du + linear.rankColumn,
                lddu: adapters.width)
        }
    }
}

/// Buffers that the blocks of a pass use in turn: what they hold is quickly computed again from what a block
/// keeps, and would be a third of it.
package struct SharedActivations {
    /// Normalised inputs of both halves, rows × hidden, and activations, rows × intermediate.
    fileprivate let attentionNormed: UnsafeMutablePointer<Float>
    fileprivate let mlpNormed: UnsafeMutablePointer<Float>
    fileprivate let activated: UnsafeMutablePointer<Float>

    package init(_ configuration: ModelConfiguration, rows: Int, arena: Arena) {
        attentionNormed = arena.floats(rows * configuration.hiddenSize)
        mlpNormed = arena.floats(rows * configuration.hiddenSize)
        activated = arena.floats(rows * configuration.intermediateSize)
    }
}

/// What the attention half computes on its way forward and the backward pass reads; rows × width each.
package struct AttentionState {
    /// The block's input: the residual stream. Rows × hidden.
    package var input: UnsafeMutablePointer<Float>
    /// The normalised input, and its norm's statistics.
    package let normed: UnsafeMutablePointer<Float>
    package let statistics: NormStatistics
    /// q and k rotated, and v: rows × fused width.
    package let qkv: UnsafeMutablePointer<Float>
    /// q, k and v before an adapter's factors, if it has any.
    package let unscaled: UnsafeMutablePointer<Float>?
    /// Rows × query width, and rows × heads.
    package let attended: UnsafeMutablePointer<Float>
    package let logSumExp: UnsafeMutablePointer<Float>

    package init(
        _ model: AdaptedModel, rows: Int, input: UnsafeMutablePointer<Float>,
        sharing shared: SharedActivations? = nil, arena: Arena
    ) {
        let configuration = model.base.configuration
        self.input = input
        normed = shared?.attentionNormed ?? arena.floats(rows * configuration.hiddenSize)
        statistics = NormStatistics(configuration, rows: rows, arena: arena)
        qkv = arena.floats(rows * configuration.fusedWidth)
        unscaled =
            model.inserted?.scalesActivations == true
            ? arena.floats(rows * configuration.fusedWidth) : nil
        attended = arena.floats(rows * configuration.queryWidth)
        logSumExp = arena.floats(rows * configuration.headCount)
    }
}

/// The same for the half that begins with the output projection.
package struct MLPState {
    /// The residual stream and the attended values as they come from the attention half.
    package var input: UnsafeMutablePointer<Float>
    package let attended: UnsafeMutablePointer<Float>
    /// The residual stream between the halves, normalised, and its norm's statistics.
    package let middle: UnsafeMutablePointer<Float>
    package let normed: UnsafeMutablePointer<Float>
    package let statistics: NormStatistics
    /// Gate and up, or up alone: rows × expanded width. Then rows × intermediate.
    package let gateUp: UnsafeMutablePointer<Float>
    package let activated: UnsafeMutablePointer<Float>
    /// The activations times an adapter's factors, if it has any.
    package let scaled: UnsafeMutablePointer<Float>?
    /// Input (rows × hidden) and inner activations (rows × width) of a bottleneck, if there is one.
    package let bottleneck: (input: UnsafeMutablePointer<Float>, inner: UnsafeMutablePointer<Float>)?

    /// Continues all rows of the attention half.
    package init(
        _ model: AdaptedModel, rows: Int, after attention: AttentionState,
        sharing shared: SharedActivations? = nil, arena: Arena
    ) {
        self.init(
            model, rows: rows, input: attention.input, attended: attention.attended, shared,
            arena: arena)
    }

    /// Continues chosen rows only: those whose output anybody wants.
    package init(
        _ model: AdaptedModel, rows: [Int], after attention: AttentionState,
        sharing shared: SharedActivations? = nil, arena: Arena
    ) {
        let configuration = model.base.configuration
        self.init(
            model, rows: rows.count,
            input: arena.gather(rows, of: attention.input, width: configuration.hiddenSize),
            attended: arena.gather(rows, of: attention.attended, width: configuration.queryWidth),
            shared, arena: arena)
    }

    private init(
        _ model: AdaptedModel, rows: Int, input: UnsafeMutablePointer<Float>,
        attended: UnsafeMutablePointer<Float>, _ shared: SharedActivations?, arena: Arena
    ) {
        let configuration = model.base.configuration
        self.input = input
        self.attended = attended
        middle = arena.floats(rows * configuration.hiddenSize)
        normed = shared?.mlpNormed ?? arena.floats(rows * configuration.hiddenSize)
        statistics = NormStatistics(configuration, rows: rows, arena: arena)
        gateUp = arena.floats(rows * configuration.expandedWidth)
        activated = shared?.activated ?? arena.floats(rows * configuration.intermediateSize)
        scaled =
            model.inserted?.scalesActivations == true
            ? arena.floats(rows * configuration.intermediateSize) : nil
        let width = model.inserted?.bottleneckWidth ?? 0
        bottleneck =
            width > 0
            ? (arena.floats(rows * configuration.hiddenSize), arena.floats(rows * width)) : nil
    }
}
