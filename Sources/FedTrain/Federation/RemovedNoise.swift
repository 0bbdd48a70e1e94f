import DP
import SecureAgg
import Sodium

/// What one client brings to the masks: its noisy integers, and the seeds of the noise in them that may be
/// removed again.
package struct Contribution {
    let values: [Int32]
    let noiseSeeds: [SecretBytes]

    package init(values: [Int32], noiseSeeds: [SecretBytes] = []) {
        self.values = values
        self.noiseSeeds = noiseSeeds
    }
}

extension RoundPlan {
    /// Fresh seeds for one contribution, one for each level; empty when all noise stays.
    func noiseSeeds(using random: StreamRandom) -> [SecretBytes] {
        var source = random
        return (0..<(removableNoise?.count ?? 0)).map { _ in
            SecretBytes(random: RemovableNoise.seedLength, from: &source)
        }
    }

    /// An opened sum as the server decodes it: without the noise whose seeds were revealed, lifted to the
    /// centred window. Post-processing: the seeds are public.
    ///
    /// - Complexity: one pass over the vector for every revealed seed, shared by the processor's cores.
    public func opened(_ sum: AggregateSum) -> [Int32] {
        guard case .skellam(let noise) = aggregation.noise, !sum.revealedNoise.isEmpty else {
            return sum.centred
        }
        var values = sum.elements.map { Int32(bitPattern: $0) }
        values.withUnsafeMutableBufferPointer { values in
            nonisolated(unsafe) let values = values
            // Parts of a few thousand coordinates stay in a core's cache for all seeds.
            let part = 8192
            parallel((values.count + part - 1) / part, threads: 2) { index in
                let start = index * part
                let end = min(values.count, start + part)
                let target = UnsafeMutableBufferPointer(rebasing: values[start..<end])
                for revealed in sum.revealedNoise {
                    noise.remove(level: revealed.level, seed: revealed.seed, from: target, startingAt: start)
                }
            }
        }
        let mask = UInt32.max >> UInt32(32 - sum.parameters.modulusBits)
        return centredLift(
            values.map { UInt32(bitPattern: $0) & mask }, modulusBits: sum.parameters.modulusBits)
    }
}
