import DP
import Sodium

/// The three steps of a contribution that its privacy claim rests on, whatever the vectors mean.
///
/// `genuine` is the only value outside tests. Tests plant broken ones to show that the empirical audit
/// notices them; nothing that a configuration or a command says can reach this.
package struct ProtectiveSteps: Sendable {
    /// Draws one client's noise for one vector; the seeds are those of the noise that may be removed.
    package var drawNoise: @Sendable (AggregationPlan, [SecretBytes], StreamRandom) -> NoiseShare
    /// Makes what clips, rotates and rounds each unit.
    package var makeEncoder: @Sendable (AggregationPlan, Rotation) -> UpdateEncoder
    /// Adds the noise to the vector that leaves.
    package var addNoise: @Sendable (consuming NoiseShare, inout [Int32]) -> Void

    package static let genuine = ProtectiveSteps(
        drawNoise: { plan, seeds, random in
            plan.noise.noiseShare(count: plan.length, seeds: seeds, using: random)
        },
        makeEncoder: { plan, rotation in UpdateEncoder(plan: plan.encoding, rotation: rotation) },
        addNoise: { noise, values in noise.add(to: &values) })

    /// Noise, then units, then the sum of both.
    ///
    /// - Parameters:
    ///   - noiseSeeds: of the noise that may be removed again; none without such noise.
    ///   - random: the client's secret stream for noise, sampling and rounding.
    ///   - addUnits: encodes each unit of privacy by itself into the vector.
    package func contribution(
        _ plan: AggregationPlan, rotation: Rotation, noiseSeeds: [SecretBytes] = [], random: StreamRandom,
        addUnits: (UpdateEncoder, inout [Int32]) throws -> Void
    ) rethrows -> [Int32] {
        // Noise first: its timing then says nothing about the data.
        let noise = drawNoise(plan, noiseSeeds, random)
        var values = [Int32](repeating: 0, count: plan.length)
        try addUnits(makeEncoder(plan, rotation), &values)
        addNoise(noise, &values)
        return values
    }
}
