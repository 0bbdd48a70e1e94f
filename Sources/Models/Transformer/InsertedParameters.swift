import Kernels

/// An inserted adapter as the graph reads it: the hooks that a pass calls at fixed places, forward and
/// backward. A pass without such an adapter calls none of them.
package final class InsertedParameters: Sendable {
    package let configuration: InsertedConfiguration
    private let base: ModelConfiguration
    private let layout: InsertedLayout
    private let encoder: PromptEncoder?
    private let adapterValues: [Float]
    /// The numbers that the graph reads; of P-tuning the encoder's output.
    private let values: FloatBuffer

    init(_ adapter: InsertedAdapter) {
        configuration = adapter.configuration
        base = adapter.base
        adapterValues = adapter.values
        if case .pTuning(let tokens, let inner) = adapter.configuration {
            let encoder = PromptEncoder(tokens: tokens, width: adapter.base.hiddenSize, inner: inner)
            self.encoder = encoder
            layout = InsertedLayout(.prompt(tokens: tokens), base: adapter.base)
            values = Self.buffer(encoder.embeddings(adapter.values))
        } else {
            encoder = nil
            layout = adapter.layout
            values = Self.buffer(adapter.values)
        }
    }

    private static func buffer(_ values: [Float]) -> FloatBuffer {
        let builder = FloatBuffer.Builder(count: values.count)
        _ = builder.slice(0..<values.count).update(fromContentsOf: values)
        return builder.finish()
    }

    /// Length of the gradient that a pass leaves.
    package var graphCount: Int { layout.count }

    /// The gradient of the adapter's own numbers, from what a pass left.
    package func gradient(fromGraph gradient: UnsafePointer<Float>) -> [Float] {
        encoder?.gradient(adapterValues, output: gradient)
            ?? Array(UnsafeBufferPointer(start: gradient, count: graphCount))
    }

    package var scalesActivations: Bool { configuration == .ia3 }

    /// Width of the bottleneck; 0 for other kinds.
    package var bottleneckWidth: Int {
        guard case .bottleneck(let reduction) = configuration else { return 0 }
        return InsertedConfiguration.bottleneckWidth(base, reduction: reduction)
    }

    private func pointer(_ layer: Int?, _ name: String) -> UnsafePointer<Float>? {
        layout.offset(layer, name).map { values.base + $0 }
    }

    // MARK: Virtual tokens

    /// Puts a prompt's embeddings into the rows of virtual tokens. Learned positions are added to them.
    package func fillEmbeddings(_ pack: Pack, _ model: LanguageModel, stream: UnsafeMutablePointer<Float>) {
        guard case .prompt = layoutKind else { return }
        let (width, tokens) = (base.hiddenSize, configuration.virtualTokens)
        for segment in pack.segments {
            for token in 0..<tokens {
                let target = stream + (segment.start + token) * width
                target.update(from: values.base + token * width, count: width)
                if let table = model.layout.positions {
                    axpy(1, model.vector(table) + token * width, target, width)
                }
            }
        }
    }

    /// The gradient of the virtual tokens' embeddings, from that of the residual stream.
    package func collectEmbeddings(
        _ groups: [GradientGroup], _ pack: Pack, dStream: UnsafePointer<Float>
    ) {
        guard case .prompt = layoutKind else { return }
        let count = configuration.virtualTokens * base.hiddenSize
        forEachSegment(groups, pack) { target, segment in
            axpy(1, dStream + segment.start * base.hiddenSize, target, count)
        }
    }

    /// Puts a prefix's keys and values into the rows of virtual tokens: after the rotation, as `peft` does.
    package func fillKeysAndValues(_ layer: Int, _ pack: Pack, qkv: UnsafeMutablePointer<Float>) {
        forEachPrefixRow(layer, pack) { row, offset in
            (qkv + row).update(from: values.base + offset, count: 2 * base.keyValueWidth)
        }
    }

    /// The gradient of a prefix's keys and values; what went through them goes no further down.
    package func collectKeysAndValues(
        _ groups: [GradientGroup], _ layer: Int, _ pack: Pack, dqkv: UnsafeMutablePointer<Float>
    ) {
        guard case .prefix(let tokens) = configuration else { return }
        let (fused, width) = (base.fusedWidth, 2 * base.keyValueWidth)
        forEachSegment(groups, pack) { target, segment in
            for token in 0..<tokens {
                axpy(
                    1, dqkv + (segment.start + token) * fused + base.queryWidth,
                    target + (token * base.layerCount + layer) * width, width)
            }
        }
        for segment in pack.segments {
            (dqkv + segment.start * fused).update(repeating: 0, count: tokens * fused)
        }
    }

    private func forEachPrefixRow(_ layer: Int, _ pack: Pack, _ body: (_ row: Int, _ offset: Int) -> Void) {
        guard case .prefix(let tokens) = configuration else { return }
        for segment in pack.segments {
            for token in 0..<tokens {
                body(
                    (segment.start + token) * base.fusedWidth + base.queryWidth,
                    (token * base.layerCount + layer) * 2 * base.keyValueWidth)
            }
        }
    }

    private func forEachSegment(
        _ groups: [GradientGroup], _ pack: Pack,
        _ body: (UnsafeMutablePointer<Float>, Segment) -> Void
    ) {
        for group in groups {
            for segment in pack.segments where group.rows.contains(segment.start) {
                body(group.target, segment)
            }
        }
    }

    /// P-tuning is a prompt once its encoder has run.
    private var layoutKind: InsertedConfiguration {
        guard case .pTuning(let tokens, _) = configuration else { return configuration }
        return .prompt(tokens: tokens)
    }

    // MARK: Factors

    /// The runs of columns of q, k and v that are scaled: first column, and the factors.
    private func columns(_ layer: Int) -> [(start: Int, count: Int, offset: Int)] {
        var start = 0
        return base.modules(of: .queryKeyValue).compactMap { module in
            let count = base.dimensions(of: module).outputs
            defer { start += count }
            return layout.offset(layer, module.rawValue).map { (start, count, $0) }
        }
    }

    /// q, k and v times their factors, for some rows.
    package func scaleProjections(_ layer: Int, _ rows: Range<Int>, _ qkv: UnsafeMutablePointer<Float>) {
        for (start, count, offset) in columns(layer) {
            for row in rows { multiply(qkv + row * base.fusedWidth + start, values.base + offset, count) }
        }
    }

    /// The factors' gradients, from that of the scaled q, k and v and from their values before scaling.
    package func collectProjections(
        _ groups: [GradientGroup], _ layer: Int, unscaled: UnsafePointer<Float>, dqkv: UnsafePointer<Float>
    ) {
        for (start, count, offset) in columns(layer) {
            for group in groups {
                addProducts(
                    group, width: count, stride: base.fusedWidth, unscaled + start, dqkv + start,
                    to: offset)
            }
        }
    }

    /// The inner activations times their factors, for some rows.
    package func scaleActivations(_ layer: Int, _ rows: Range<Int>, _ x: UnsafeMutablePointer<Float>) {
        guard let factors = pointer(layer, LinearModule.down.rawValue) else { return }
        for row in rows { multiply(x + row * base.intermediateSize, factors, base.intermediateSize) }
    }

    package func collectActivations(
        _ groups: [GradientGroup], _ layer: Int, unscaled: UnsafePointer<Float>,
        dScaled: UnsafePointer<Float>
    ) {
        guard let offset = layout.offset(layer, LinearModule.down.rawValue) else { return }
        for group in groups {
            addProducts(
                group, width: base.intermediateSize, stride: base.intermediateSize, unscaled, dScaled,
                to: offset)
        }
    }

    private func addProducts(
        _ group: GradientGroup, width: Int, stride: Int, _ a: UnsafePointer<Float>,
        _ b: UnsafePointer<Float>, to offset: Int
    ) {
        let target = group.target + offset
        for row in group.rows {
            for column in 0..<width { target[column] += a[row * stride + column] * b[row * stride + column] }
        }
    }

    private func multiply(_ x: UnsafeMutablePointer<Float>, _ factors: UnsafePointer<Float>, _ count: Int) {
        for index in 0..<count { x[index] *= factors[index] }
    }

    // MARK: Bottleneck

    private struct Bottleneck {
        let down, downBias, up, upBias: Int
    }

    private func bottleneck(_ layer: Int) -> Bottleneck? {
        guard let down = layout.offset(layer, "adapter_down.0.weight") else { return nil }
        let (inner, width) = (bottleneckWidth, base.hiddenSize)
        return Bottleneck(
            down: down, downBias: down + inner * width, up: down + inner * width + inner,
            upBias: down + 2 * inner * width + inner)
    }

    /// y += up(relu(down(y))), for some rows; keeps the input and the inner activations.
    package func applyBottleneck(
        _ layer: Int, _ rows: Range<Int>, y: UnsafeMutablePointer<Float>,
        input: UnsafeMutablePointer<Float>, inner: UnsafeMutablePointer<Float>
    ) {
        guard let places = bottleneck(layer) else { return }
        let (width, narrow, count) = (base.hiddenSize, bottleneckWidth, rows.count)
        let (y, input) = (y + rows.lowerBound * width, input + rows.lowerBound * width)
        let inner = inner + rows.lowerBound * narrow
        input.update(from: y, count: count * width)
        gemm(
            count, narrow, width, input, width, values.base + places.down, width, transposeB: true, inner,
            narrow)
        addBias(rows: count, width: narrow, bias: values.base + places.downBias, y: inner)
        for index in 0..<count * narrow { inner[index] = max(0, inner[index]) }
        gemm(
            count, width, narrow, inner, narrow, values.base + places.up, narrow, transposeB: true, y,
            width, beta: 1)
        addBias(rows: count, width: width, bias: values.base + places.upBias, y: y)
    }

    /// Collects the bottleneck's gradients and turns `dy` into the gradient of its input.
    package func bottleneckGradient(
        _ groups: [GradientGroup], _ layer: Int, rows: Int, dy: UnsafeMutablePointer<Float>,
        input: UnsafePointer<Float>, inner: UnsafePointer<Float>, arena: Arena
    ) {
        guard let places = bottleneck(layer) else { return }
        let mark = arena.mark
        defer { arena.release(to: mark) }
        let (width, narrow) = (base.hiddenSize, bottleneckWidth)
        let dInner = arena.floats(rows * narrow)
        gemm(rows, narrow, width, dy, width, values.base + places.up, narrow, dInner, narrow)
        for index in 0..<rows * narrow where inner[index] <= 0 { dInner[index] = 0 }
        for group in groups {
            let (start, count) = (group.rows.lowerBound, group.rows.count)
            gemm(
                width, narrow, count, dy + start * width, width, transposeA: true,
                inner + start * narrow, narrow, group.target + places.up, narrow, beta: 1)
            addBiasGradient(
                rows: count, width: width, dy: dy + start * width, dBias: group.target + places.upBias)
            gemm(
                narrow, width, count, dInner + start * narrow, narrow, transposeA: true,
                input + start * width, width, group.target + places.down, width, beta: 1)
            addBiasGradient(
                rows: count, width: narrow, dy: dInner + start * narrow,
                dBias: group.target + places.downBias)
        }
        gemm(rows, width, narrow, dInner, narrow, values.base + places.down, width, dy, width, beta: 1)
    }
}
