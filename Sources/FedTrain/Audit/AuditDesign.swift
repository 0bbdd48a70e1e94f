import DP
import Models

/// What is fixed before an audit looks at anything: how many coins it will guess, and how far it can see.
///
/// Found by simulating the ideal mechanism, with the claimed noise and with less, on a fixed seed. It
/// depends on the plan alone, so choosing the number of guesses this way costs no confidence.
struct AuditDesign {
    let guesses: Int
    /// The largest fraction of the claimed noise that would be noticed in 8 of 9 such audits; 0: none.
    let noiseFactorNoticed: Double
    /// The largest ε that a build with the claimed noise showed in 9 such audits.
    let epsilonShowable: Double

    private static let trials = 9
    private static let trialsNoticed = 8
    private static let noiseFactors = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 1.0 / 3, 0.25, 0.15, 0.08, 0.04]
    private static let guessShares = [0.05, 0.1, 0.25, 0.5, 1]

    /// - Parameter interference: what the other canaries of a round add to the variance of a score.
    init(
        _ kind: CanaryKind, canaries: Int, family: TradeOffFamily, delta: Double, significance: Double,
        interference: Double
    ) throws {
        var generator = SplitMix64(seed: 0x617564_6974)
        let candidates = Self.guessShares.map { max(1, Int($0 * Double(canaries))) }
        func audits(noiseFactor: Double) throws -> [[OneRunAudit]] {
            try (0..<Self.trials).map { _ in
                let (ratios, coins) = Self.trial(
                    kind, canaries: canaries, curve: family.claim, noiseFactor: noiseFactor,
                    interference: interference, &generator)
                return try candidates.map { guesses in
                    try OneRunAudit(
                        canaries: canaries, guesses: guesses,
                        correct: CanaryEvidence.correct(ratios, isIncluded: coins, guesses: guesses),
                        significance: significance)
                }
            }
        }
        var best = (index: candidates.count / 2, factor: 0.0)
        for factor in Self.noiseFactors where best.factor == 0 {
            let outcomes = try audits(noiseFactor: factor)
            let refuted = candidates.indices.map { index in
                outcomes.count { $0[index].refutes(family.claim.callAsFunction) }
            }
            let index = candidates.indices.max { refuted[$0] < refuted[$1] }!
            if refuted[index] >= Self.trialsNoticed { best = (index, factor) }
        }
        guesses = candidates[best.index]
        noiseFactorNoticed = best.factor
        epsilonShowable = try audits(noiseFactor: 1).map { outcomes in
            max(
                try outcomes[best.index].epsilonLowerBound(delta: delta),
                family.epsilonLowerBound(outcomes[best.index], delta: delta))
        }.max()!
    }

    /// One audit of a mechanism that adds exactly `noiseFactor` times the claimed noise.
    private static func trial(
        _ kind: CanaryKind, canaries: Int, curve: TradeOffCurve, noiseFactor: Double, interference: Double,
        _ generator: inout SplitMix64
    ) -> (ratios: [Double], coins: [Bool]) {
        let noise = noiseFactor / curve.mu
        let deviation = (noise * noise + interference).squareRoot()
        var coins: [Bool] = []
        var scores: [[Double]] = []
        for _ in 0..<canaries {
            let coin = generator.next() & 1 == 1
            coins.append(coin)
            scores.append(
                (0..<curve.count).map { _ in
                    let present = coin && uniform(&generator) < curve.rate
                    return (present ? 1 : 0) + deviation * standardNormal(&generator)
                })
        }
        let evidence = CanaryEvidence(
            scores: scores, samplingRate: curve.rate,
            parts: CanaryEvidence.parts(kind, count: canaries))
        return (evidence.logLikelihoodRatios(), coins)
    }
}
