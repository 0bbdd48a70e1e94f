import GMP
import Models

/// Runs the trials of a search in one cell's place.
struct StudySearcher {
    let search: StudySearch
    let cell: StudyCell
    let run: StudyRun

    /// All trials in order; fewer than planned only if `shouldStop` said so.
    func trials(
        account: inout [String: Rational], shouldStop: () -> Bool,
        result: (StudyCell, inout [String: Rational]) throws -> StudyOutcome.Row
    ) throws -> [StudyOutcome.Row] {
        let subject = try CellRun(
            cell: cell, split: run.matrix.splits[cell.dataDirectory]!, root: run.directory
        ).prepare(rehearsed: true)
        // The noise of a round is the same in every rung, so that fewer rounds cost less.
        let noise =
            subject.plan.map { plan in
                [
                    ("privacy.noiseMultiplier", "\(plan.requestedMultiplier)"),
                    ("privacy.epsilon", "\(cell.budget ?? subject.configuration.privacy.epsilonMax)"),
                ]
            } ?? []
        var rows: [StudyOutcome.Row] = []
        var next = 0
        for (number, bracket) in search.brackets(roundsMax: subject.configuration.rounds.count).enumerated() {
            var alive = Array(next..<next + bracket.rungs[0].trials)
            next += alive.count
            for (index, rung) in bracket.rungs.enumerated() {
                alive = Array(alive.prefix(rung.trials))
                var scored: [(trial: Int, loss: Double)] = []
                for trial in alive {
                    if shouldStop() { return rows }
                    let values = search.values(trial: trial)
                    let name =
                        "trial \(trial + 1)"
                        + (search.method == .random ? "" : ", bracket \(number + 1), rung \(index + 1)")
                        + ": "
                        + values.map { "\($0.path) = \($0.value)" }.joined(separator: ", ")
                    let row = try result(
                        try cell.trial(name, values: noise + values, rounds: rung.rounds), &account)
                    rows.append(row)
                    scored.append((trial, row.result.validation ?? .infinity))
                }
                // Equal losses: the earlier trial.
                alive = scored.sorted { ($0.loss, $0.trial) < ($1.loss, $1.trial) }.map(\.trial)
            }
        }
        return rows
    }

    /// The trial with the lowest validation loss among those with all rounds; nil if a trial is missing.
    func best(_ rows: [StudyOutcome.Row]) -> StudyOutcome.Row? {
        guard let rounds = rows.map(\.result.rounds).max() else { return nil }
        let brackets = search.brackets(roundsMax: rounds)
        guard rows.count == brackets.flatMap(\.rungs).reduce(0, { $0 + $1.trials }) else { return nil }
        return rows.filter { $0.result.rounds == rounds }
            .min { ($0.result.validation ?? .infinity) < ($1.result.validation ?? .infinity) }
    }
}
