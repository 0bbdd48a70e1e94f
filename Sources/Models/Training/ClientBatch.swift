import Kernels

/// One client's share of a common step: its own adapter and the records that it steps on.
public struct ClientBatch: Sendable {
    public var adapter: LoRAAdapter
    public var examples: [TokenizedExample]

    public init(adapter: LoRAAdapter, examples: [TokenizedExample]) {
        self.adapter = adapter
        self.examples = examples
    }
}

extension TrainingEngine {
    /// The mean loss and gradient of each client's batch, with its own adapter, in one go.
    ///
    /// All clients' tokens share the products with the frozen base; the low-rank products of an adapter see
    /// its own rows only. A client's result is bit for bit what it would be without the others.
    /// - Throws: `EngineError` for records or adapters that do not fit the model, or adapters of different
    ///   configurations.
    public func lossesAndGradients(
        of clients: [ClientBatch], part: TrainablePart, averaging: LossAveraging = .tokens
    ) throws(EngineError) -> [LossAndGradient] {
        // Several adapters cannot be merged into one copy of the weights; one alone must not be, or its
        // bits would depend on whether others are there.
        try lossesAndGradients(of: clients, part: part, averaging: averaging, merge: false)
    }

    /// - Parameter merge: whether a single adapter is multiplied into the weights; nil decides by size.
    package func lossesAndGradients(
        of clients: [ClientBatch], part: TrainablePart, averaging: LossAveraging, merge: Bool?
    ) throws(EngineError) -> [LossAndGradient] {
        guard let first = clients.first else { return [] }
        for client in clients { try model.validate(client.examples) }
        let adapted = try AdaptedModel(
            model, adapters: clients.map(\.adapter), merge: merge, pool: pool)
        let count = first.adapter.count(part)
        let tokens = clients.map { $0.examples.reduce(0) { $0 + $1.targetCount } }
        let pieces = clientPieces(clients)
        let packs = packRanges(lengths: pieces.map(\.rows), rowsMax: model.packRowsMax)
        var gradients = clients.map { _ in [Float](repeating: 0, count: count) }
        var losses = [Double](repeating: 0, count: clients.count)

        var next = 0
        while next < packs.count {
            let wave = wave(packs, from: next, gradientFloats: count)
            next = wave.upperBound
            let wavePieces = packs[wave.lowerBound].lowerBound..<packs[wave.upperBound - 1].upperBound
            var pieceLosses = [Double](repeating: 0, count: wavePieces.count)
            withFloats(wavePieces.count * count) { partial in
                pieceLosses.withUnsafeMutableBufferPointer { pieceLosses in
                    pool.forEach(wave.count) { index in
                        let range = packs[wave.lowerBound + index]
                        let offset = range.lowerBound - wavePieces.lowerBound
                        passBack(
                            adapted, clients, tokens, pieces[range], part, averaging,
                            gradients: partial + offset * count, stride: count,
                            losses: pieceLosses.baseAddress! + offset)
                    }
                }
                // In the order of the pieces, whatever thread was first.
                for (offset, piece) in pieces[wavePieces].enumerated() {
                    losses[piece.client] += pieceLosses[offset]
                    gradients[piece.client].withUnsafeMutableBufferPointer {
                        axpy(1, partial + offset * count, $0.baseAddress!, count)
                    }
                }
            }
        }
        return clients.indices.map {
            LossAndGradient(loss: losses[$0], gradient: gradients[$0], tokens: tokens[$0])
        }
    }

    /// Neighbouring packs whose gradients may wait in memory together: enough for the threads, no more than
    /// a fixed number of floats.
    private func wave(_ packs: [Range<Int>], from first: Int, gradientFloats: Int) -> Range<Int> {
        let piecesMax = max(1, waveFloatsMax / gradientFloats)
        var end = first + 1
        while end < packs.count, end - first < 8 * pool.threads,
            packs[end].upperBound - packs[first].lowerBound <= piecesMax
        {
            end += 1
        }
        return first..<end
    }

    /// One pack of pieces: each one's gradient and its share of its client's loss.
    private func passBack(
        _ adapted: AdaptedModel, _ clients: [ClientBatch], _ tokens: [Int],
        _ pieces: ArraySlice<ClientPiece>, _ part: TrainablePart, _ averaging: LossAveraging,
        gradients: UnsafeMutablePointer<Float>, stride: Int, losses: UnsafeMutablePointer<Double>
    ) {
        var pack = Pack()
        var groups: [GradientGroup] = []
        var targets: [Range<Int>] = []
        for piece in pieces {
            let (rows, outputs) = (pack.rows, pack.targets.count)
            for example in clients[piece.client].examples[piece.examples] {
                pack.append(example, adapter: piece.client)
            }
            groups.append(
                GradientGroup(rows: rows..<pack.rows, target: gradients + groups.count * stride))
            targets.append(outputs..<pack.targets.count)
        }
        workspaces.withArena { arena in
            let weights = arena.floats(pack.targets.count)
            var segment = 0
            for piece in pieces {
                let client = clients[piece.client]
                for _ in piece.examples {
                    let range = pack.outputRanges[segment]
                    let weight =
                        switch averaging {
                        case .tokens: 1 / Float(tokens[piece.client])
                        case .records: 1 / (Float(client.examples.count) * Float(range.count))
                        }
                    (weights + range.lowerBound).update(repeating: weight, count: range.count)
                    segment += 1
                }
            }
            let tokenLosses = arena.floats(pack.targets.count)
            GraphPass(
                adapted, pack, arena: arena, pool: pool, keepsStates: true,
                recomputes: recomputesActivations
            ).loss(
                losses: tokenLosses, weights: weights,
                gradient: .adapters(part: part, groups: groups))
            for (index, range) in targets.enumerated() {
                var sum = 0.0
                for row in range { sum += Double(tokenLosses[row]) * Double(weights[row]) }
                losses[index] = sum
            }
        }
    }

    /// Every client's records in pieces of at most a pack. Where they are cut depends on the client's own
    /// records only, and so does the order in which their gradients are added.
    private func clientPieces(_ clients: [ClientBatch]) -> [ClientPiece] {
        clients.enumerated().flatMap { index, client in
            balancedPacks(client.examples, rowsMax: model.packRowsMax).map { range in
                ClientPiece(
                    client: index, examples: range,
                    rows: client.examples[range].reduce(0) { $0 + $1.tokens.count - 1 })
            }
        }
    }
}

/// Neighbouring records of one client whose gradient is computed in one go.
private struct ClientPiece {
    let client: Int
    let examples: Range<Int>
    let rows: Int
}

/// Largest number of gradient floats that wait to be added up, beyond one piece: 64 MiB.
private let waveFloatsMax = 16_000_000
