import Models
import Sodium

/// Which numbers of an adapter are trained in a round, and which of them travel.
package struct SharedVector: Sendable {
    package let adapter: AdapterConfiguration
    package let base: ModelConfiguration
    package let rule: FederationConfiguration.AggregationRule
    /// The coordinates of what is trained that travel, ascending; nil for all.
    package let ranges: [Range<Int>]?
    /// FedKSeed's number of directions; nil when coordinates travel as they are.
    private let directionCount: Int?

    /// - Throws: `FederationError.nothingShared` when no tensor's name, or every one, fits `training.share`.
    package init(_ configuration: FederationConfiguration, base: ModelConfiguration) throws(FederationError) {
        adapter = configuration.model.adapter
        self.base = base
        let training = configuration.training
        rule = training.rule
        directionCount = training.algorithm == .fedKSeed ? training.directions : nil
        guard training.algorithm.sharesPart else {
            ranges = nil
            return
        }
        let tensors = adapter.tensors(of: Self.part(rule, round: 1), base: base)
        let shared = tensors.filter { tensor in
            training.share.contains { FederationData.matches(tensor.name[...], $0[...]) }
        }
        guard !shared.isEmpty, shared.count < tensors.count else {
            throw .nothingShared(
                patterns: training.share, all: !shared.isEmpty, examples: tensors.prefix(4).map(\.name))
        }
        var ranges: [Range<Int>] = []
        for tensor in shared {
            if let last = ranges.last, last.upperBound == tensor.range.lowerBound {
                ranges[ranges.count - 1] = last.lowerBound..<tensor.range.upperBound
            } else {
                ranges.append(tensor.range)
            }
        }
        self.ranges = ranges
    }

    private static func part(
        _ rule: FederationConfiguration.AggregationRule, round: Int
    ) -> TrainablePart {
        switch rule {
        case .ffa: .bOnly
        // B first: while it is zero, A has no gradient.
        case .roLoRA: round.isMultiple(of: 2) ? .aOnly : .bOnly
        case .fedIT, .all: .aAndB
        }
    }

    /// What a round trains.
    package func part(round: Int) -> TrainablePart { Self.part(rule, round: round) }

    /// Which of the server's optimisers a round belongs to: rolora has one for each factor.
    func optimizer(round: Int) -> Int { rule == .roLoRA && round.isMultiple(of: 2) ? 1 : 0 }
    var optimizerCount: Int { rule == .roLoRA ? 2 : 1 }

    /// Numbers that a round's contributions carry, the rest of their vector being zeros.
    package func count(round: Int) -> Int {
        if let directionCount { return directionCount }
        if let ranges { return ranges.reduce(0) { $0 + $1.count } }
        return adapter.count(part(round: round), base: base)
    }

    /// Length of the vector that travels in every round: the largest of all rounds.
    package var dimension: Int { max(count(round: 1), count(round: 2)) }

    /// FedKSeed's directions, from the plan that everyone agreed on; nil for other algorithms.
    package func directions(plan digest: Digest) -> SharedDirections? {
        directionCount.map {
            SharedDirections(
                count: $0, dimension: adapter.count(part(round: 1), base: base),
                seed: Digest.labelled("fedtrain/v1/directions", [digest.bytes]).firstWord)
        }
    }

    /// The part of a vector that travels.
    package func gather(_ vector: [Float]) -> [Float] {
        guard let ranges else { return vector }
        return ranges.flatMap { vector[$0] }
    }

    /// Puts numbers that travelled into a vector of what is trained.
    package func scatter(_ shared: [Float], into vector: inout [Float]) {
        guard let ranges else {
            vector = shared
            return
        }
        var next = 0
        for range in ranges {
            vector.replaceSubrange(range, with: shared[next..<next + range.count])
            next += range.count
        }
    }
}

extension Digest {
    /// The first 64 bits, little-endian: the seed of what follows publicly from a digest.
    var firstWord: UInt64 { bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) } }
}
