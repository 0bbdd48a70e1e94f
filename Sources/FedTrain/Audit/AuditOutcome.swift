import DP

/// What an empirical audit found: counts, bounds, and how far it could see. Numbers only, no data.
public struct AuditOutcome: Sendable, Equatable {
    public struct Test: Sendable, Equatable {
        public let kind: CanaryKind
        public let canaries: Int
        /// Coins guessed, and how many of the guesses were right.
        public let guesses: Int
        public let correct: Int
        /// Lower bounds on ε by the one-run test of [SNJ23] and by its trade-off form [MMC25], rounded down.
        public let epsilonOneRun: Double
        public let epsilonTradeOff: Double
        /// The largest ε that a build with the claimed noise showed in simulations of this test.
        public let epsilonShowable: Double
        /// The largest fraction of the claimed noise that this test would notice; 0: none.
        public let noiseFactorNoticed: Double
        /// Whether the guesses contradict the claim.
        public let refutesClaim: Bool
    }

    public let unit: PrivacyUnit
    /// Rounds that each canary may have taken part in; the claim is about as many.
    public let participations: Int
    public let delta: Double
    /// What the accountant promises for that many rounds.
    public let epsilonClaimed: Double
    /// 1 − the chance that any bound of the audit is wrong.
    public let confidence: Double
    public let randomness: String
    public let codeVersion: String
    public let tests: [Test]

    /// The largest of the tests' bounds: all hold at once.
    public var epsilonLowerBound: Double {
        tests.map { max($0.epsilonOneRun, $0.epsilonTradeOff) }.max() ?? 0
    }

    /// The largest ε that a correct build could be expected to show.
    public var epsilonShowable: Double { tests.map(\.epsilonShowable).max() ?? 0 }

    /// The largest fraction of the claimed noise that some test would notice; 0: none.
    public var noiseFactorNoticed: Double { tests.map(\.noiseFactorNoticed).max() ?? 0 }

    /// Whether the build leaks more than the plan claims.
    public var refutesClaim: Bool { tests.contains(where: \.refutesClaim) }

    /// What a result like this does not show, in a sentence.
    public var limits: String {
        let factor = noiseFactorNoticed
        let noise =
            factor > 0
            ? "It notices noise of \(Figures.percent(factor, .down)) of the claimed deviation, or less, in 8 of 9 audits, "
                + "and a smaller shortfall only by luck."
            : "With so few canaries it would not even notice that most of the noise is missing."
        return noise
            + " A correct build shows ε up to about \(Figures.text(epsilonShowable)) here; a leak between that "
            + "and the claim cannot be told from a correct build."
    }
}

// MARK: As a ledger record

extension AuditOutcome {
    /// The payload of an `audit` record.
    public var payload: [String: String] {
        var payload = [
            "unit": unit.rawValue, "participations": "\(participations)", "delta": "\(delta)",
            "claimed": "\(epsilonClaimed)", "confidence": "\(confidence)", "randomness": randomness,
            "code": codeVersion,
        ]
        for test in tests {
            let name = test.kind.rawValue
            payload["\(name).canaries"] = "\(test.canaries)"
            payload["\(name).guesses"] = "\(test.guesses)"
            payload["\(name).correct"] = "\(test.correct)"
            payload["\(name).oneRun"] = "\(test.epsilonOneRun)"
            payload["\(name).tradeOff"] = "\(test.epsilonTradeOff)"
            payload["\(name).showable"] = "\(test.epsilonShowable)"
            payload["\(name).noticed"] = "\(test.noiseFactorNoticed)"
            payload["\(name).refutes"] = "\(test.refutesClaim)"
        }
        return payload
    }

    /// Reads an `audit` record; nil if a field is missing, no number, or not what its counts give.
    public init?(payload: [String: String]) {
        func number(_ name: String) -> Double? {
            payload[name].flatMap(Double.init).flatMap { $0.isFinite && $0 >= 0 ? $0 : nil }
        }
        func count(_ name: String) -> Int? { payload[name].flatMap { Int($0) } }
        guard let unit = payload["unit"].flatMap(PrivacyUnit.init), let delta = number("delta"),
            let participations = count("participations"), participations >= 1,
            let claimed = number("claimed"), let confidence = number("confidence"), confidence < 1,
            let randomness = payload["randomness"], let code = payload["code"]
        else { return nil }
        var tests: [Test] = []
        for kind in CanaryKind.allCases {
            let name = kind.rawValue
            guard let canaries = count("\(name).canaries"), let guesses = count("\(name).guesses"),
                let correct = count("\(name).correct"), let oneRun = number("\(name).oneRun"),
                let tradeOff = number("\(name).tradeOff"), let showable = number("\(name).showable"),
                let noticed = number("\(name).noticed"),
                let refutes = payload["\(name).refutes"].flatMap(Bool.init)
            else { return nil }
            // The plain bound follows from the counts; a record that says otherwise is none.
            let significance = (1 - confidence) / Double(2 * CanaryKind.allCases.count)
            guard
                let audit = try? OneRunAudit(
                    canaries: canaries, guesses: guesses, correct: correct, significance: significance),
                let bound = try? audit.epsilonLowerBound(delta: delta),
                abs(Figures.rounded(bound, .down) - oneRun) <= 1e-4 * max(1, bound),
                refutes || max(oneRun, 0) <= claimed
            else { return nil }
            tests.append(
                Test(
                    kind: kind, canaries: canaries, guesses: guesses, correct: correct,
                    epsilonOneRun: oneRun, epsilonTradeOff: tradeOff, epsilonShowable: showable,
                    noiseFactorNoticed: noticed, refutesClaim: refutes))
        }
        self.init(
            unit: unit, participations: participations, delta: delta, epsilonClaimed: claimed,
            confidence: confidence, randomness: randomness, codeVersion: code, tests: tests)
    }
}
