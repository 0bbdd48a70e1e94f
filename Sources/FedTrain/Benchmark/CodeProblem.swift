import Models

/// A function to be written and the test that decides whether it is right, as HumanEval has them
/// [Chen et al. 2021].
public struct CodeProblem: Sendable, Equatable {
    public let taskID: String
    /// Signature and description: what the model continues.
    public let prompt: String
    public let entryPoint: String
    /// Defines `check(candidate)`.
    public let test: String
    public let canonicalSolution: String?

    /// Reads `{"task_id", "prompt", "entry_point", "test", "canonical_solution"}`; nil without the first
    /// four.
    public init?(json: JSON) {
        guard let taskID = json["task_id"]?.string, let prompt = json["prompt"]?.string,
            let entryPoint = json["entry_point"]?.string, let test = json["test"]?.string
        else { return nil }
        self.taskID = taskID
        self.prompt = prompt
        self.entryPoint = entryPoint
        self.test = test
        canonicalSolution = json["canonical_solution"]?.string
    }

    /// The whole program: it ends without an error if the completion is right.
    public func program(completion: String) -> String {
        "\(prompt)\(completion)\n\(test)\ncheck(\(entryPoint))\n"
    }

    /// A completion ends where the function does.
    public static let stops = ["\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(", "\nassert "]
}

/// Text up to the first of some marks.
public func cut(_ text: String, at stops: [String]) -> String {
    let ends = stops.compactMap { text.firstRange(of: $0)?.lowerBound }
    return ends.min().map { String(text[..<$0]) } ?? text
}

/// The chance that one of k samples is right.
public enum PassAtK {
    /// The unbiased estimate 1 − C(n−c, k)/C(n, k) from n samples of which c are right
    /// [Chen et al. 2021], as a product that does not overflow.
    public static func estimate(samples n: Int, correct c: Int, k: Int) -> Double {
        precondition(n >= k && k >= 1 && 0...n ~= c, "k of n samples, c of them right")
        if n - c < k { return 1 }
        var missed = 1.0
        for i in stride(from: n - c + 1, through: n, by: 1) { missed *= 1 - Double(k) / Double(i) }
        return 1 - missed
    }

    /// The mean over tasks; nil if a task has fewer than k samples.
    public static func mean(_ results: [(samples: Int, correct: Int)], k: Int) -> Double? {
        guard !results.isEmpty, results.allSatisfy({ $0.samples >= k }) else { return nil }
        let sum = results.reduce(0) { $0 + estimate(samples: $1.samples, correct: $1.correct, k: k) }
        return sum / Double(results.count)
    }
}
