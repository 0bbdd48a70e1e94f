import Foundation
import Models

/// A search for hyper-parameters inside a study: every trial is a federation of its own and is charged.
///
/// Trials are judged by the loss on validation records, which the operator holds and the guarantee does not
/// cover. A trial that is promoted starts anew with more rounds and is paid for anew: what an earlier,
/// shorter run released stays released.
public struct StudySearch: Sendable, Equatable {
    public enum Method: String, Sendable, CaseIterable {
        case random
        /// The best 1/η of the trials go on with η times the rounds [Jamieson, Talwalkar 2016].
        case halving
        /// Successive halving from several numbers of first rounds [Li et al. 2018].
        case hyperband
    }

    /// What values a setting may take.
    public enum Domain: Sendable, Equatable {
        case choices([String])
        /// Evenly in the logarithm, to three significant digits.
        case logarithmic(Double, Double)
        case linear(Double, Double)
        case integer(Int, Int)
    }

    public struct Parameter: Sendable, Equatable {
        /// Dotted path into the federation's file.
        public let path: String
        public let domain: Domain
    }

    public var method: Method
    /// Trials of `random` and `halving`; Hyperband follows from `eta` and the rounds.
    public var trials: Int
    /// η, by which rounds grow and trials shrink.
    public var eta: Int
    /// Rounds of the first rung.
    public var minRounds: Int
    public var parameters: [Parameter]
    public var seed: UInt64

    package init(
        method: Method, trials: Int, eta: Int, minRounds: Int, parameters: [Parameter], seed: UInt64
    ) {
        self.method = method
        self.trials = trials
        self.eta = eta
        self.minRounds = minRounds
        self.parameters = parameters
        self.seed = seed
    }

    /// Spaces that are a good start for what they are named after.
    public static let recipes: [String: [Parameter]] = [
        "lora-rank": [Parameter(path: "model.adapter.rank", domain: .choices(["2", "4", "8", "16"]))],
        "learning-rate": [
            Parameter(path: "training.learningRate", domain: .logarithmic(1e-4, 3e-2))
        ],
        "server-learning-rate": [
            Parameter(path: "training.server.learningRate", domain: .logarithmic(1e-3, 1e-1))
        ],
        "clip": [Parameter(path: "privacy.clipNorm", domain: .logarithmic(0.02, 2))],
    ]

    // MARK: The schedule

    /// Trials that start together, and how their number falls while their rounds grow.
    public struct Bracket: Sendable, Equatable {
        /// Trials and rounds of each rung.
        public let rungs: [(trials: Int, rounds: Int)]

        public static func == (left: Bracket, right: Bracket) -> Bool {
            left.rungs.map { [$0.trials, $0.rounds] } == right.rungs.map { [$0.trials, $0.rounds] }
        }
    }

    /// What is run, whatever comes out of it.
    public func brackets(roundsMax: Int) -> [Bracket] {
        switch method {
        case .random: [Bracket(rungs: [(trials, roundsMax)])]
        case .halving: [bracket(trials: trials, first: min(minRounds, roundsMax), roundsMax: roundsMax)]
        case .hyperband:
            // s from the largest number of promotions down to none [Li et al. 2018, algorithm 1].
            (0...promotions(roundsMax)).reversed().map { s in
                let most = promotions(roundsMax) + 1
                let trials = (most * power(eta, s) + s) / (s + 1)
                return bracket(
                    trials: max(1, trials), first: max(1, roundsMax / power(eta, s)), roundsMax: roundsMax)
            }
        }
    }

    private func bracket(trials: Int, first: Int, roundsMax: Int) -> Bracket {
        var rungs: [(trials: Int, rounds: Int)] = []
        var (left, rounds) = (trials, first)
        while rounds < roundsMax, left > 1 {
            rungs.append((left, rounds))
            left = max(1, left / eta)
            rounds = min(roundsMax, rounds * eta)
        }
        // The last rung always has all rounds: what it finds is the result, not an estimate of one.
        rungs.append((left, roundsMax))
        return Bracket(rungs: rungs)
    }

    private func promotions(_ roundsMax: Int) -> Int {
        var (count, rounds) = (0, minRounds)
        while rounds * eta <= roundsMax {
            rounds *= eta
            count += 1
        }
        return count
    }

    private func power(_ base: Int, _ exponent: Int) -> Int {
        (0..<exponent).reduce(1) { value, _ in value * base }
    }

    /// The values of trial `number`, the same in every run of the study.
    public func values(trial number: Int) -> [(path: String, value: String)] {
        var generator = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(number))
        return parameters.map { ($0.path, $0.domain.draw(&generator)) }
    }
}

extension StudySearch {
    init(reading section: inout ConfigurationSection) throws(ConfigurationError) {
        method = try section.choice("method", default: .random)
        trials = try section.integer("trials", in: 1...10_000, default: 8)
        eta = try section.integer("eta", in: 2...10, default: 3)
        minRounds = try section.integer("minRounds", in: 1...100_000, default: 1)
        seed = UInt64(try section.integer("seed", in: 0...Int.max, default: 1))
        var parameters: [Parameter] = []
        for name in try section.strings("recipes") {
            guard let recipe = Self.recipes[name] else {
                throw section.error(
                    "recipes",
                    "names `\(name)`; known are \(Self.recipes.keys.sorted().joined(separator: ", "))")
            }
            parameters += recipe
        }
        for entry in try section.named("space") {
            var own = try ConfigurationSection(entry.value, path: "search.space.\(entry.key)")
            parameters.removeAll { $0.path == entry.key }
            parameters.append(Parameter(path: entry.key, domain: try Domain(reading: &own)))
            try own.finish()
        }
        guard !parameters.isEmpty else {
            throw section.error("space", "is empty: name values to search, or recipes")
        }
        self.parameters = parameters
        try section.finish()
    }
}

extension StudySearch.Domain {
    init(reading section: inout ConfigurationSection) throws(ConfigurationError) {
        let choices = try section.strings("choices")
        func pair(_ key: String) throws(ConfigurationError) -> (Double, Double)? {
            let texts = try section.strings(key)
            guard !texts.isEmpty else { return nil }
            guard texts.count == 2, let low = Double(texts[0]), let high = Double(texts[1]), low < high,
                low.isFinite, high.isFinite
            else { throw section.error(key, "must be two numbers, the smaller one first") }
            return (low, high)
        }
        if !choices.isEmpty {
            self = .choices(choices)
        } else if let (low, high) = try pair("log") {
            guard low > 0 else { throw section.error("log", "must start above 0") }
            self = .logarithmic(low, high)
        } else if let (low, high) = try pair("uniform") {
            self = .linear(low, high)
        } else if let (low, high) = try pair("integer") {
            guard let from = Int(exactly: low), let to = Int(exactly: high) else {
                throw section.error("integer", "must be whole numbers")
            }
            self = .integer(from, to)
        } else {
            throw section.error(
                "choices", "is missing: give `choices`, `log`, `uniform` or `integer`")
        }
    }

    func draw(_ generator: inout SplitMix64) -> String {
        switch self {
        case .choices(let choices): choices[index(below: choices.count, &generator)]
        case .logarithmic(let low, let high):
            "\(Figures.rounded(exp(log(low) + uniform(&generator) * (log(high) - log(low))), digits: 3))"
        case .linear(let low, let high):
            "\(Figures.rounded(low + uniform(&generator) * (high - low), digits: 3))"
        case .integer(let low, let high): "\(low + index(below: high - low + 1, &generator))"
        }
    }
}
