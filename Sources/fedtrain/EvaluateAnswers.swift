import FedTrain
import Foundation
import Models

/// The metrics that need more than a loss: choices, numbers in worked answers, programs.
extension EvaluateCommand {
    func scoreChoices(_ console: Console) throws -> Payload {
        let (base, adapter) = try load(console)
        let questions = try JSONLines.read(
            data, wanted: "context, choices and answer", MultipleChoice.init(json:))
        // A model that was never given a begin token sees its end token in place of an empty context.
        let begin = base.tokenizer.beginTokens
        let prefix = begin.isEmpty ? Array(base.endTokens.prefix(1)) : begin
        if prefix.isEmpty, questions.contains(where: { $0.context.allSatisfy(\.isWhitespace) }) {
            throw CommandFailure(
                .badInput, "a context is empty, and the tokenizer has no begin or end token to stand for it",
                at: data)
        }
        let sums = try Evaluator(model: base.model, adapter: adapter).logLikelihoods(
            questions, tokenizer: base.tokenizer, prefix: prefix)
        let score = MultipleChoiceScore(questions, logLikelihoods: sums)
        return Payload(
            metric: metric.rawValue, accuracy: score.accuracy,
            normalisedAccuracy: score.normalisedAccuracy, bytesAccuracy: score.bytesAccuracy,
            records: score.count)
    }

    func scoreNumbers(_ console: Console) throws -> Payload {
        let rule = NumericAnswer.Rule(rawValue: rules.rawValue) ?? .flexible
        let questions = try worked(data)
        let texts: [String]
        if let completions {
            texts = try JSONLines.read(completions, wanted: "completion") { $0["completion"]?.string }
            guard texts.count == questions.count else {
                throw CommandFailure(
                    .badInput, "it has \(texts.count) completions for \(questions.count) questions",
                    at: completions, hint: "give one completion per record, in the same order")
            }
        } else {
            let prompt = FewShotPrompt(try shots.map { Array(try worked($0).prefix(shotCount)) } ?? [])
            let (base, adapter) = try load(console)
            texts = try generate(questions.map { prompt.text($0.question) }, base, adapter, temperature: 0)
                .map { cut($0, at: FewShotPrompt.stops) }
        }
        let right = zip(questions, texts).count { question, text in
            NumericAnswer.agree(
                NumericAnswer.extract(text, rule), NumericAnswer.extract(question.answer, .strict))
        }
        return Payload(
            metric: metric.rawValue, exactMatch: Double(right) / Double(questions.count),
            records: questions.count)
    }

    /// Questions with worked answers that end in `#### number`.
    private func worked(_ path: String) throws -> [(question: String, answer: String)] {
        try JSONLines.read(path, wanted: "question and answer") { json in
            guard let question = json["question"]?.string ?? json["instruction"]?.string,
                let answer = json["answer"]?.string ?? json["output"]?.string
            else { return nil }
            return (question, answer)
        }
    }

    func scorePrograms(_ console: Console) throws -> Payload {
        let problems = try JSONLines.read(
            data, wanted: "task_id, prompt, entry_point and test", CodeProblem.init(json:))
        let sandbox: CodeSandbox
        do {
            sandbox = try CodeSandbox(
                nonce: String(UInt64.random(in: .min ... .max), radix: 16), seconds: timeout,
                allowsUnsandboxed: allowUnsandboxed)
        } catch let fault as CodeSandbox.Fault {
            throw CommandFailure(
                .state, "\(fault)", privacy: "no generated program was run",
                hint: "--allow-unsandboxed runs generated programs with your own rights")
        }
        if allowUnsandboxed { console.warn("generated programs run with your own rights") }
        let attempts = try completions.map { try givenCompletions($0) } ?? generated(problems, console)
        var results: [(samples: Int, correct: Int)] = []
        var late = 0
        for (index, problem) in problems.enumerated() {
            let texts = attempts[problem.taskID] ?? []
            let outcomes = texts.map { sandbox.run(problem.program(completion: $0)) }
            results.append((texts.count, outcomes.count { $0 == .passed }))
            late += outcomes.count { $0 == .timedOut }
            console.tick("problem \(index + 1) of \(problems.count)")
        }
        var shares: [String: Double] = [:]
        for k in k {
            guard let mean = PassAtK.mean(results, k: k) else {
                throw CommandFailure(
                    .badInput, "pass@\(k) needs at least \(k) completions of every problem",
                    at: completions ?? data, hint: "raise --samples, or lower --k")
            }
            shares["\(k)"] = mean
        }
        return Payload(
            metric: metric.rawValue, passAtK: shares, timedOut: late, records: problems.count)
    }

    private func givenCompletions(_ path: String) throws -> [String: [String]] {
        let lines = try JSONLines.read(path, wanted: "task_id and completion") { json in
            json["task_id"]?.string.flatMap { task in
                json["completion"]?.string.map { (task: task, text: $0) }
            }
        }
        return Dictionary(grouping: lines, by: \.task).mapValues { $0.map(\.text) }
    }

    private func generated(
        _ problems: [CodeProblem], _ console: Console
    ) throws -> [String: [String]] {
        let (base, adapter) = try load(console)
        let prompts = problems.flatMap { repeatElement($0.prompt, count: samples) }
        let texts = try generate(prompts, base, adapter, temperature: temperature)
            .map { cut($0, at: CodeProblem.stops) }
        var attempts: [String: [String]] = [:]
        for (index, problem) in problems.enumerated() {
            attempts[problem.taskID] = Array(texts[index * samples..<(index + 1) * samples])
        }
        return attempts
    }

    /// Continuations; a prompt that leaves no room for one loses its start.
    private func generate(
        _ prompts: [String], _ base: BaseModel, _ adapter: Adapter?, temperature: Float
    ) throws -> [String] {
        let window = base.model.configuration.sequenceLengthMax - (adapter?.virtualTokens ?? 0)
        let room = max(1, window - maxTokens)
        var generator = (seed.map(RunRandomness.seeded) ?? .system).generator("evaluate")
        let texts = try Evaluator(model: base.model, adapter: adapter).generate(
            prompts: prompts.map { Array(base.tokenizer.encode($0).suffix(room)) },
            sampling: Sampling(
                maxNewTokens: maxTokens, stopTokens: Set(base.endTokens), temperature: temperature),
            generator: &generator)
        return texts.map { base.tokenizer.decode($0, skipSpecialTokens: true) }
    }

    func exponential(_ loss: Double) -> Double { exp(loss) }
}
