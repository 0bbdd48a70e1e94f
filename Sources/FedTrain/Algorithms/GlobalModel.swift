import DP
import Models
import Sodium

/// What the federation has learned so far, as everyone holds it: an adapter, and under FedKSeed the way to it
/// from the start.
package struct GlobalModel: Sendable {
    package let shared: SharedVector
    package private(set) var adapter: Adapter
    /// FedKSeed: the directions, the adapter that they start from, and how far to go along each.
    private var path: (directions: SharedDirections, origin: Adapter, coordinates: [Float])?

    /// The shared start, the same for everyone: the configured adapter, or a fresh one.
    ///
    /// - Parameter generator: makes a fresh one; not used under FedKSeed, whose clients must be able to make
    ///   the start from the plan.
    package init(
        _ configuration: FederationConfiguration, shared: SharedVector, plan: Digest,
        generator: SplitMix64
    ) {
        self.shared = shared
        guard let directions = shared.directions(plan: plan) else {
            var generator = generator
            adapter =
                configuration.model.start
                ?? shared.adapter.adapter(base: shared.base, generator: &generator)
            return
        }
        let origin = Self.origin(configuration, shared, plan: plan)
        adapter = origin
        path = (directions, origin, [Float](repeating: 0, count: directions.count))
    }

    /// The model that some numbers, as `numbers` gave them, stand for; nil when there are not as many as it
    /// takes.
    package init?(
        numbers: [Float], _ configuration: FederationConfiguration, shared: SharedVector, plan: Digest
    ) {
        self.shared = shared
        guard let directions = shared.directions(plan: plan) else {
            guard let adapter = shared.adapter.adapter(base: shared.base, values: numbers) else { return nil }
            self.adapter = adapter
            return
        }
        guard numbers.count == directions.count else { return nil }
        let origin = Self.origin(configuration, shared, plan: plan)
        adapter = origin
        path = (directions, origin, numbers)
        follow()
    }

    private static func origin(
        _ configuration: FederationConfiguration, _ shared: SharedVector, plan: Digest
    ) -> Adapter {
        if let start = configuration.model.start { return start }
        var generator = SplitMix64(
            seed: Digest.labelled("fedtrain/v1/start", [plan.bytes]).firstWord)
        return shared.adapter.adapter(base: shared.base, generator: &generator)
    }

    /// What a client needs in order to hold the same model: the adapter's numbers, or FedKSeed's coordinates.
    package var numbers: [Float] { path?.coordinates ?? adapter.values }

    package var digest: Digest { adapter.digest }

    /// What a round trains, as one vector.
    package func trained(round: Int) -> [Float] { adapter.extract(shared.part(round: round)) }

    package var directions: SharedDirections? { path?.directions }

    /// Moves the shared numbers of a round.
    package mutating func move(by change: [Float], round: Int) {
        if path != nil {
            path!.coordinates = zip(path!.coordinates, change).map { $0 + $1 }
            follow()
            return
        }
        let part = shared.part(round: round)
        var vector = adapter.extract(part)
        let moved = zip(shared.gather(vector), change).map { $0 + $1 }
        shared.scatter(moved, into: &vector)
        adapter = adapter.replacing(part, with: vector)
    }

    private mutating func follow() {
        guard let (directions, origin, coordinates) = path else { return }
        let part = shared.part(round: 1)
        adapter = origin.replacing(
            part, with: directions.point(coordinates, from: origin.extract(part)))
    }

    /// The adapter with a client's own numbers in the place of what is trained.
    package func personalised(by own: [Float], round: Int) -> Adapter {
        var vector = own
        if shared.ranges != nil {
            shared.scatter(shared.gather(trained(round: round)), into: &vector)
        }
        return adapter.replacing(shared.part(round: round), with: vector)
    }
}
