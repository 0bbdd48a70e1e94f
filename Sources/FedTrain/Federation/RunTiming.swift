/// How long a simulated run will take on this machine, put together from what is measured now, in this process: the
/// run's own model on its own data, and a round of its own protocol, by as many clients at a time as in the run.
public struct RunTiming: Sendable, Equatable {
    /// Seconds of each round: all clients' training, noise and encoding; the protocol until the sum is open.
    public let trainingPerRound: Double
    public let protocolPerRound: Double
    /// Scores before and after.
    public let scoring: Double
    public let rounds: Int

    public var total: Double {
        Double(rounds) * (trainingPerRound + protocolPerRound) + scoring
    }

    /// Takes some seconds, more with many clients and long vectors: a round of up to 160 of them is played.
    ///
    /// - Parameter stopwatch: seconds of a clock that never jumps.
    public init(_ prepared: PreparedFederation, stopwatch: @escaping Stopwatch) throws {
        rounds = prepared.plan.rounds
        trainingPerRound = try TrainingRehearsal(prepared, stopwatch).secondsPerRound()
        protocolPerRound = try RoundRehearsal(prepared.plan).seconds(stopwatch)
        scoring = try Self.scoringSeconds(prepared, stopwatch)
    }

    /// Scores before and after, from those of a few records.
    private static func scoringSeconds(
        _ prepared: PreparedFederation, _ stopwatch: Stopwatch
    ) throws -> Double {
        guard let heldOut = prepared.data.heldOut else { return 0 }
        let few: HeldOutTest
        let share: Double
        switch heldOut {
        case .exactMatch(let prompts, let references):
            let count = min(48, prompts.count)
            few = .exactMatch(
                prompts: Array(prompts.prefix(count)), references: Array(references.prefix(count)))
            share = Double(prompts.count) / Double(max(1, count))
        case .loss(let examples):
            few = .loss(Array(examples.prefix(48)))
            share = Double(examples.count) / Double(min(48, examples.count))
        }
        let start = stopwatch()
        _ = try few.score(base: prepared.base, adapter: nil)
        return 2 * share * (stopwatch() - start)
    }
}
