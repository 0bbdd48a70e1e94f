import Models

/// What one model scored on each record of a test: its score is the sum of `values` over the sum of
/// `weights`.
package struct RecordScores: Sendable, Equatable {
    /// 1 for a right answer, or the sum of a record's token losses.
    package let values: [Double]
    /// 1, or a record's predicted tokens.
    package let weights: [Double]

    package init(values: [Double], weights: [Double]) {
        precondition(values.count == weights.count, "a weight for each value")
        self.values = values
        self.weights = weights
    }

    package var score: Double { values.reduce(0, +) / weights.reduce(0, +) }

    fileprivate func score(of sample: [Int]) -> Double {
        sample.reduce(0.0) { $0 + values[$1] } / sample.reduce(0.0) { $0 + weights[$1] }
    }
}

/// A figure with its 95 % interval; a bound is nil where nothing bounds it.
public struct Estimate: Codable, Sendable, Equatable {
    public let value: Double
    public let lower: Double?
    public let upper: Double?
}

extension Estimate {
    /// A figure of several models' scores with the percentile interval of a paired bootstrap: all models are
    /// scored on the same resampled records [Efron 1979]. It covers the choice of test records and nothing
    /// else; tuning with other seeds varies more.
    ///
    /// - Parameter figure: of the models' scores, in order; may be infinite, must not be NaN.
    /// - Precondition: scores of one test, at least one record.
    package init(
        of models: [RecordScores], seed: UInt64 = 1, resamples: Int = 2000,
        figure: ([Double]) -> Double
    ) {
        let count = models[0].values.count
        precondition(count >= 1 && models.allSatisfy { $0.values.count == count }, "one test for all")
        var generator = SplitMix64(seed: seed)
        var figures = (0..<resamples).map { _ in
            let sample = (0..<count).map { _ in Int.random(in: 0..<count, using: &generator) }
            return figure(models.map { $0.score(of: sample) })
        }
        figures.sort()
        func bound(_ place: Int) -> Double? { figures[place].isFinite ? figures[place] : nil }
        value = figure(models.map(\.score))
        lower = bound(resamples / 40)
        upper = bound(resamples - 1 - resamples / 40)
    }
}
