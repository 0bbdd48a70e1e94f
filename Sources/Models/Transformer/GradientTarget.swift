import Kernels

/// Where a backward pass leaves its gradients.
package enum GradientTarget {
    /// Low-rank factors only: one gradient per group of rows.
    case adapters(part: TrainablePart, groups: [GradientGroup])
    /// An inserted adapter's parameters, added to what the groups' targets hold.
    case inserted(groups: [GradientGroup])
    /// All weights of the base, added to a vector laid out as `WeightLayout`.
    case weights(UnsafeMutablePointer<Float>)
    /// The weights of some consecutive blocks, added to the same vector; nothing below them is visited.
    case blocks(Range<Int>, UnsafeMutablePointer<Float>)

    /// Where the gradients of a block's own weights go, nil when it is frozen.
    package func weights(ofBlock layer: Int) -> UnsafeMutablePointer<Float>? {
        switch self {
        case .adapters, .inserted: nil
        case .weights(let gradient): gradient
        case .blocks(let trained, let gradient): trained.contains(layer) ? gradient : nil
        }
    }

    /// The same target when only the pack's output rows are left.
    package func amongOutputs(of pack: Pack) -> GradientTarget {
        func among(_ groups: [GradientGroup]) -> [GradientGroup] {
            groups.map { GradientGroup(rows: pack.outputs(among: $0.rows), target: $0.target) }
        }
        switch self {
        case .adapters(let part, let groups): return .adapters(part: part, groups: among(groups))
        case .inserted(let groups): return .inserted(groups: among(groups))
        case .weights, .blocks: return self
        }
    }

    /// Groups of an inserted adapter.
    package var insertedGroups: [GradientGroup]? {
        guard case .inserted(let groups) = self else { return nil }
        return groups
    }
}

/// Rows whose gradients are summed into one vector, laid out as the part's. The rows share one adapter.
package struct GradientGroup {
    package let rows: Range<Int>
    package let target: UnsafeMutablePointer<Float>

    package init(rows: Range<Int>, target: UnsafeMutablePointer<Float>) {
        self.rows = rows
        self.target = target
    }
}

extension Block {
    /// Leaves the gradients of one site's parameters, given its input x and the gradient of its output.
    package func collect(
        _ site: Site, rows: Int, x: UnsafePointer<Float>, dy: UnsafePointer<Float>,
        into target: GradientTarget, arena: Arena, pool: ThreadPool
    ) {
        switch target {
        case .adapters(let part, let groups):
            if let adapters = model.adapters(layer, site) {
                collectAdapters(
                    site, adapters, rows: rows, x: x, dy: dy, part: part, groups: groups,
                    arena: arena, pool: pool)
            }
        case .inserted:
            break
        case .weights, .blocks:
            guard let gradient = target.weights(ofBlock: layer) else { return }
            let (weight, bias) = model.base.layout.layers[layer].places(of: site)
            let shape = model.weights(layer, site)
            gemm(
                shape.outputs, shape.inputs, rows, dy, shape.outputs, transposeA: true, x,
                shape.inputs, gradient + weight, shape.inputs, beta: 1)
            if let bias {
                addBiasGradient(rows: rows, width: shape.outputs, dy: dy, dBias: gradient + bias)
            }
        }
    }

    private func collectAdapters(
        _ site: Site, _ adapters: SiteAdapters, rows: Int, x: UnsafePointer<Float>,
        dy: UnsafePointer<Float>, part: TrainablePart, groups: [GradientGroup], arena: Arena,
        pool: ThreadPool
    ) {
        let mark = arena.mark
        defer { arena.release(to: mark) }
        let width = adapters.width
        let (inputs, outputs) = (adapters.inputs, model.weights(layer, site).outputs)
        let u = arena.floats(part.includesB ? rows * width : 0)
        let du = arena.floats(part.includesA ? rows * width : 0)
        pool.forEachRows(rows) { piece in
            for run in runs where run.rows.overlaps(piece) {
                let shared = run.rows.clamped(to: piece)
                if part.includesB {
                    loraProject(
                        rows: shared.count, inputs: inputs, rank: width,
                        x: x + shared.lowerBound * inputs,
                        a: model.stackedA(adapters, adapter: run.adapter),
                        u: u + shared.lowerBound * width)
                }
                if part.includesA {
                    expandGradient(
                        site, adapters, shared, adapter: run.adapter, dy: dy,
                        du: du + shared.lowerBound * width)
                }
            }
        }
        guard let layout = model.layout else { return }
        pool.forEach(groups.count) { index in
            let group = groups[index]
            let (start, count) = (group.rows.lowerBound, group.rows.count)
            for linear in adapters.linears {
                if let offset = layout.offsetOfB(linear.entry, in: part) {
                    loraGradientB(
                        rows: count, outputs: linear.entry.outputs, rank: adapters.rank,
                        scale: model.scale, dy: dy + start * outputs + linear.column, lddy: outputs,
                        u: u + start * width + linear.rankColumn, ldu: width,
                        dB: group.target + offset)
                }
                if let offset = layout.offsetOfA(linear.entry, in: part) {
                    loraGradientA(
                        rows: count, inputs: inputs, rank: adapters.rank, x: x + start * inputs,
                        du: du + start * width + linear.rankColumn, lddu: width,
                        dA: group.target + offset)
                }
            }
        }
    }
}
