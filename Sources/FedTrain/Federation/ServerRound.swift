import DP
import Models

/// The server's half of a coordinate's way: an opened sum becomes the next model.
///
/// Everything here is post-processing of a noisy sum; nothing touches a client's own data.
package struct ServerRound {
    let plan: RoundPlan

    package init(plan: RoundPlan) {
        self.plan = plan
    }

    /// Centred integers → unrotate, unscale → divide by the public denominator → optimiser step.
    ///
    /// - Parameters:
    ///   - sum: `plan.aggregation.length` integers, lifted to the centred window.
    ///   - permit: proof that the round's price is in the server's ledger; used up here.
    func advance(
        _ model: inout GlobalModel, sum: [Int32], round: Int, rotation: Rotation,
        permit: consuming Permit, optimizers: inout [ServerOptimizer]
    ) {
        precondition(permit.event == plan.event, "the permit pays for another event")
        model.advance(
            decode(sum, rotation: rotation), denominator: plan.denominator, unit: plan.unit, round: round,
            optimizers: &optimizers)
    }

    /// The noisy sum of the clipped updates, in the update's own units.
    package func decode(_ sum: [Int32], rotation: Rotation) -> [Float] {
        SumDecoder(plan: plan.aggregation.encoding, rotation: rotation).decode(sum).update
    }
}

extension GlobalModel {
    /// Takes the server's step for the sum of a round's vectors.
    ///
    /// - Parameters:
    ///   - sum: at least `shared.count(round:)` numbers; any further ones carried nothing.
    ///   - denominator: expected records, or clients.
    package mutating func advance(
        _ sum: [Float], denominator: Double, unit: PrivacyUnit, round: Int,
        optimizers: inout [ServerOptimizer]
    ) {
        // Contributions of single records are gradients: the step goes the other way.
        let factor = (unit == .record ? -1 : 1) / Float(denominator)
        let direction = sum.prefix(shared.count(round: round)).map { factor * $0 }
        move(by: optimizers[shared.optimizer(round: round)].step(direction), round: round)
    }

    /// The server's optimisers before the first round.
    package static func optimizers(
        _ settings: FederationConfiguration.Training.Server, _ shared: SharedVector
    ) -> [ServerOptimizer] {
        (0..<shared.optimizerCount).map {
            ServerOptimizer(settings, dimension: shared.count(round: $0 + 1))
        }
    }

    /// The same with what they remember; nil for memories of another shape.
    package static func optimizers(
        _ settings: FederationConfiguration.Training.Server, _ shared: SharedVector,
        continuing states: [ServerOptimizer.State]
    ) -> [ServerOptimizer]? {
        guard states.count == shared.optimizerCount else { return nil }
        let optimizers = states.enumerated().compactMap {
            ServerOptimizer(
                settings, dimension: shared.count(round: $0.offset + 1), continuing: $0.element)
        }
        return optimizers.count == states.count ? optimizers : nil
    }
}
