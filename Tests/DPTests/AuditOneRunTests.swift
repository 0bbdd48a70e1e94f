import DP
import Sodium
import Testing

@Suite struct AuditOneRunTests {
    @Test func boundsMatchTheReferenceImplementation() throws {
        for vector in AccountVectorFile.shared.of("one_run_audit") {
            let audit = try OneRunAudit(
                canaries: vector.integer("m"), guesses: vector.integer("guesses"),
                correct: vector.integer("correct"), significance: vector.number("significance"))
            let delta = vector.delta
            let epsilon = try audit.epsilonLowerBound(delta: delta)
            #expect(
                abs(epsilon - vector.first(method: "_epsilon_one_run (")!) < 1e-5, "\(vector.id) \(epsilon)")
            let p = audit.pValue(epsilon: 1, delta: delta)
            #expect(relative(p, vector.first(method: "p_value")!) < 1e-8, "\(vector.id) \(p)")
            if delta > 0, let theirs = vector.first(method: "fdp") {
                let mu = audit.muLowerBound()
                let ours = mu > 0 ? GaussianTradeOff.epsilon(mu: mu, delta: delta).lower : 0
                #expect(abs(ours - theirs) < 1e-3, "\(vector.id) \(ours) \(theirs)")
            }
        }
    }

    /// Seed 20. The chance of a wrong failure is at most 4·10⁻² over 40 true claims at significance 1e-3
    /// each; at this seed none occurs, and the seed is fixed.
    @Test func trueClaimsSurviveAndMissingNoiseIsCaught() throws {
        let random = StreamRandom(seed: 20, label: "one-run audit")
        func run(mu: Double) throws -> OneRunAudit {
            // Orthogonal canaries: score = coin·μ + N(0, 1); guess the 50 highest and 50 lowest.
            var scores: [(score: Double, coin: Bool)] = []
            for _ in 0..<1000 {
                let coin = random.nextUInt64() & 1 == 1
                let uniform = (Double(random.nextUInt64() >> 11) + 0.5) * 0x1p-53
                scores.append((NormalDistribution.quantile(uniform) + (coin ? mu : 0), coin))
            }
            scores.sort { $0.score < $1.score }
            let correct = scores.prefix(50).count { !$0.coin } + scores.suffix(50).count { $0.coin }
            return try OneRunAudit(canaries: 1000, guesses: 100, correct: correct, significance: 1e-3)
        }
        for _ in 0..<20 {
            let honest = try run(mu: 0.5)
            #expect(honest.muLowerBound() <= 0.5)
            #expect(
                try honest.epsilonLowerBound(delta: 1e-5)
                    <= GaussianTradeOff.epsilon(mu: 0.5, delta: 1e-5).upper)
            // Noise a sixth of what was claimed.
            #expect(try run(mu: 3).refutes(mu: 0.5))
        }
    }

    @Test func impossibleCountsAreRefused() {
        #expect(throws: AccountingError.self) { try OneRunAudit(canaries: 0, guesses: 0, correct: 0) }
        #expect(throws: AccountingError.self) { try OneRunAudit(canaries: 5, guesses: 6, correct: 0) }
        #expect(throws: AccountingError.self) { try OneRunAudit(canaries: 5, guesses: 5, correct: 6) }
        #expect(throws: AccountingError.self) {
            try OneRunAudit(canaries: 5, guesses: 5, correct: 5, significance: 0)
        }
    }

    @Test func noGuessesAndHalfRightGuessesRefuteNothing() throws {
        let none = try OneRunAudit(canaries: 100, guesses: 0, correct: 0)
        #expect(try none.epsilonLowerBound(delta: 1e-5) == 0 && none.muLowerBound() == 0)
        let half = try OneRunAudit(canaries: 1000, guesses: 200, correct: 100)
        #expect(try half.epsilonLowerBound(delta: 1e-5) == 0 && half.muLowerBound() == 0)
    }
}
