import DP
import Glibc

/// What the opened sums said about each canary, and the best guess of its coin.
struct CanaryEvidence {
    /// One row per canary: its scores in the rounds that it may have taken part in.
    let scores: [[Double]]
    /// Chance that a canary which was included is in one round's sum.
    let samplingRate: Double
    /// Into how many parts of equal size the canaries fall, each with a noise of its own.
    let parts: Int

    /// How strongly the scores speak for "included": a log-likelihood ratio with the deviation of the
    /// noise estimated from the scores themselves, part by part of the vector.
    ///
    /// Any rule may be used for guessing without touching the audit's validity; this one is near the best
    /// where the noise is what it should be, and turns to the bare coordinates where some are.
    func logLikelihoodRatios() -> [Double] {
        var ratios: [Double] = []
        ratios.reserveCapacity(scores.count)
        for part in 0..<parts {
            let members = part * scores.count / parts..<(part + 1) * scores.count / parts
            let variance = noiseVariance(of: members)
            for index in members { ratios.append(ratio(scores[index], variance: variance)) }
        }
        return ratios
    }

    /// ln(P[scores | included]/P[scores | not]) for N(s, variance) with s = 1 in a sampled round, 0 otherwise.
    private func ratio(_ scores: [Double], variance: Double) -> Double {
        scores.reduce(0) { sum, score in
            let shift = (score - 0.5) / variance
            // ln(1 − q + q·e^shift) without overflow.
            return sum
                + (shift > 30
                    ? log(samplingRate) + shift + log1p((1 / samplingRate - 1) * exp(-shift))
                    : log1p(samplingRate * expm1(shift)))
        }
    }

    /// Parts for `count` canaries: enough of them in each for an estimate of its noise.
    static func parts(_ kind: CanaryKind, count: Int) -> Int {
        // A direction touches every coordinate, so all directions feel the same noise.
        kind == .direction ? 1 : min(16, max(1, count / 25))
    }

    /// The scores' variance less what the signal itself adds.
    private func noiseVariance(of members: Range<Int>) -> Double {
        var (count, sum, squares) = (0.0, 0.0, 0.0)
        for index in members {
            for score in scores[index] {
                count += 1
                sum += score
                squares += score * score
            }
        }
        guard count > 1 else { return 1 }
        let variance = squares / count - (sum / count) * (sum / count)
        let present = samplingRate / 2
        return max(variance - present * (1 - present), Self.varianceMin)
    }

    /// Guesses the `guesses` coins that the ratios say most about.
    ///
    /// - Returns: how many of them are right.
    static func correct(_ ratios: [Double], isIncluded: [Bool], guesses: Int) -> Int {
        let order = ratios.indices.sorted { abs(ratios[$0]) > abs(ratios[$1]) }
        return order.prefix(guesses).count { (ratios[$0] > 0) == isIncluded[$0] }
    }

    private static let varianceMin = 1e-4
}
