import DP
import GMP

/// `bench account`: times and errors of the accountants beside the bars of docs/privacy.md.
///
/// The limits are bars, not speeds of this machine: a ratio of at most 1 passes.
public enum AccountBenchmark {
    public static func run(_ stopwatch: Stopwatch) throws -> [Measurement] {
        try losses(stopwatch) + conversions(stopwatch) + calibrations(stopwatch)
    }

    /// A Poisson-sampled Gaussian, and its ε to about 2e-6 relative from a grid six times finer than
    /// the accountant's, whose error falls with the square.
    private struct Case {
        let name: String
        let rate: Rational
        let multiplier: Rational
        let count: Int
        let delta: Double
        let epsilon: Double

        var event: PrivacyEvent {
            get throws { try Case.event(rate, multiplier) }
        }

        static func event(_ rate: Rational, _ multiplier: Rational) throws(AccountingError) -> PrivacyEvent {
            try PrivacyEvent(
                unit: .record, adjacency: .zeroOut,
                kind: .poissonSampled(rate: rate, .gaussian(noiseMultiplier: multiplier)))
        }
    }

    private static let cases = [
        Case(name: "A", rate: Rational(1, 100), multiplier: 1, count: 1000, delta: 1e-5, epsilon: 1.828237),
        Case(
            name: "B", rate: Rational(1, 1000), multiplier: Rational(4, 5), count: 10_000, delta: 1e-8,
            epsilon: 1.476730),
        Case(name: "C", rate: Rational(1, 10), multiplier: 4, count: 1000, delta: 1e-8, epsilon: 4.612842),
        Case(
            name: "D", rate: Rational(1, 20), multiplier: Rational(7, 10), count: 100, delta: 1e-8,
            epsilon: 11.749724),
        Case(
            name: "E", rate: Rational(1, 1000), multiplier: 2, count: 10_000, delta: 1e-5, epsilon: 0.1733076),
    ]

    private static func losses(_ stopwatch: Stopwatch) throws -> [Measurement] {
        var results: [Measurement] = []
        for item in cases {
            let tally = try EventTally(item.event, count: item.count)
            let fast = try best(3, stopwatch) { try PLDAccountant().epsilon(of: tally, delta: item.delta) }
            let certified = try best(1, stopwatch) {
                try CertifiedPLDAccountant().epsilon(of: tally, delta: item.delta)
            }
            results += [
                Measurement(name: "pld, case \(item.name)", value: fast.seconds, unit: "s", limit: 0.2),
                Measurement(
                    name: "pld above truth, case \(item.name)", value: fast.answer.upper / item.epsilon - 1,
                    unit: "relative", limit: 1e-4),
                Measurement(
                    name: "certified pld, case \(item.name)", value: certified.seconds, unit: "s", limit: 10),
                Measurement(
                    name: "certified pld over fast pld, case \(item.name)",
                    value: certified.answer.upper / fast.answer.upper - 1, unit: "relative", limit: 1e-3),
            ]
        }
        return results
    }

    private static func conversions(_ stopwatch: Stopwatch) throws -> [Measurement] {
        let tally = try EventTally(
            PrivacyEvent(unit: .client, adjacency: .zeroOut, kind: .gaussian(noiseMultiplier: 4)), count: 10)
        let sampled = try EventTally(cases[0].event, count: 1000)
        // ε of μ = √10/4 at δ = 1e-6, and the optimal conversion of ρ = 5/16, by 60-digit arithmetic.
        let exact = ["gdp": 3.7472179914268127, "zcdp": 4.0102807761920165]
        let bars = ["gdp": 1e-12, "zcdp": 1e-9]
        var results: [Measurement] = []
        let repeats = 200
        for (accountant, limit) in [
            (GDPAccountant() as any Accountant, 1e-4), (ZCDPAccountant(), 1e-4), (RDPAccountant(), 5e-3),
        ] {
            let events = accountant is RDPAccountant ? sampled : tally
            let runs = accountant is RDPAccountant ? 5 : repeats
            let timed = try best(3, stopwatch) {
                for _ in 1..<runs { _ = try accountant.epsilon(of: events, delta: 1e-6) }
                return try accountant.epsilon(of: events, delta: 1e-6)
            }
            results.append(
                Measurement(
                    name: "\(accountant.name) conversion", value: timed.seconds / Double(runs), unit: "s",
                    limit: limit))
            if let truth = exact[accountant.name], let bar = bars[accountant.name] {
                results.append(
                    Measurement(
                        name: "\(accountant.name) conversion's error",
                        value: abs(timed.answer.upper / truth - 1), unit: "relative", limit: bar))
            }
        }
        // The small shift at which the two terms of δ(ε) nearly cancel.
        let small = best(3, stopwatch) {
            for _ in 1..<repeats { _ = GaussianTradeOff.epsilon(mu: 1.0 / 1500, delta: 7e-6) }
            return GaussianTradeOff.epsilon(mu: 1.0 / 1500, delta: 7e-6)
        }
        results += [
            Measurement(
                name: "gdp conversion, μ = 1/1500", value: small.seconds / Double(repeats), unit: "s",
                limit: 1e-4),
            Measurement(
                name: "gdp conversion's error, μ = 1/1500",
                value: abs(small.answer.upper / 0.0012799925957957464 - 1), unit: "relative", limit: 1e-12),
        ]
        return results
    }

    private static func calibrations(_ stopwatch: Stopwatch) throws -> [Measurement] {
        let targets: [(rate: Rational, count: Int, epsilon: Double, delta: Double)] = [
            (Rational(1, 100), 1000, 1, 1e-5), (Rational(1, 20), 500, 2, 1e-6),
            (Rational(1, 10), 100, 8, 1e-6),
            (Rational(1, 250), 2500, 1, 1e-5), (Rational(1, 1000), 10_000, 1, 1e-8),
            (Rational(1, 1000), 10_000, 2, 1e-8),
        ]
        var results: [Measurement] = []
        for target in targets {
            for accountant in [PLDAccountant() as any Accountant, RDPAccountant()] {
                let name =
                    "calibrate with \(accountant.name), q=\(target.rate) T=\(target.count) ε=\(target.epsilon)"
                let timed = try best(1, stopwatch) {
                    try Calibration.noiseMultiplier(
                        epsilon: target.epsilon, delta: target.delta, count: target.count,
                        accountant: accountant
                    ) { (multiplier: Rational) throws(AccountingError) in
                        try Case.event(target.rate, multiplier)
                    }
                }
                let tally = try EventTally(Case.event(target.rate, timed.answer), count: target.count)
                let spent = try accountant.epsilon(of: tally, delta: target.delta).upper
                results += [
                    Measurement(name: name, value: timed.seconds, unit: "s", limit: 1),
                    Measurement(
                        name: name + ", target missed by", value: target.epsilon - spent, unit: "ε",
                        limit: 1e-6),
                ]
            }
        }
        return results
    }

    /// The answer, and the shortest of `repetitions` times.
    private static func best<Answer>(
        _ repetitions: Int, _ stopwatch: Stopwatch, _ work: () throws -> Answer
    ) rethrows -> (answer: Answer, seconds: Double) {
        var start = stopwatch()
        var answer = try work()
        var shortest = stopwatch() - start
        for _ in 1..<max(1, repetitions) {
            start = stopwatch()
            answer = try work()
            shortest = min(shortest, stopwatch() - start)
        }
        return (answer, shortest)
    }
}
