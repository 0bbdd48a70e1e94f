import DP
import Models

/// The server's half of a coordinate's way: an opened sum becomes the next adapter.
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
    func nextAdapter(
        _ adapter: LoRAAdapter, sum: [Int32], rotation: Rotation, permit: consuming Permit,
        optimizer: inout ServerOptimizer
    ) -> LoRAAdapter {
        precondition(permit.event == plan.event, "the permit pays for another event")
        let update = decode(sum, rotation: rotation)
        // Contributions of DP-FedSGD are gradients: the step goes the other way.
        let sign: Float = plan.algorithm == .dpFedSGD ? -1 : 1
        let factor = sign / Float(plan.denominator)
        return adapter.adding(optimizer.step(update.map { factor * $0 }), plan.part)
    }

    /// The noisy sum of the clipped updates, in the update's own units.
    package func decode(_ sum: [Int32], rotation: Rotation) -> [Float] {
        SumDecoder(plan: plan.aggregation.encoding, rotation: rotation).decode(sum).update
    }
}
