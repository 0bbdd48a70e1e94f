import Glibc
import Models

/// A score with its 95 % interval.
public struct ScoredModel: Codable, Sendable, Equatable {
    public let name: String
    public let metric: String
    public let value: Double
    public let lower: Double
    public let upper: Double
    public let count: Int
    public let higherIsBetter: Bool
}

/// The four scores of offsite tuning on one held-out test, and the control that the papers lack.
public struct OffsiteScores: Codable, Sendable, Equatable {
    public let fullZeroShot: ScoredModel
    public let emulatorZeroShot: ScoredModel
    public let emulatorTuned: ScoredModel
    public let plugIn: ScoredModel
    /// Nil unless an adapter tuned on the full model is given.
    public let fullTuned: ScoredModel?
    /// A public model of the emulator's size, as it is and tuned the same way.
    public let control: ScoredModel?
    public let controlTuned: ScoredModel?

    /// Plug-in less tuned emulator, in the direction of better.
    public let gap: Estimate
    /// R: the part of the plug-in's gain over the untuned full model that the tuned emulator has by
    /// itself. Nil where the plug-in gains nothing.
    public let retained: Estimate?
    /// The same of the tuned control: what anybody can have without the owner.
    public let retainedByControl: Estimate?
    /// R less the control's: what the emulator gives away beyond what is public.
    public let retainedBeyondControl: Estimate?

    public init(
        test: HeldOutTest, full: BaseModel, emulator: BaseModel, shape: EmulatorShape,
        adapter: LoRAAdapter, fullAdapter: LoRAAdapter?, control: (base: BaseModel, adapter: LoRAAdapter)?,
        controlTest: HeldOutTest?, progress: (String) -> Void
    ) throws {
        typealias Scored = (row: ScoredModel, records: RecordScores)
        func score(
            _ name: String, _ base: BaseModel, _ adapter: LoRAAdapter?, on test: HeldOutTest
        ) throws -> Scored {
            progress(name)
            return try test.scored(name, base: base, adapter: adapter)
        }
        let zeroShot = try score("full model, zero-shot", full, nil, on: test)
        let small = try score("emulator, zero-shot", emulator, nil, on: test)
        let tuned = try score("emulator, tuned", emulator, adapter, on: test)
        let plugged = try score(
            "plug-in", full, try shape.plugIn(adapter, into: full.model.configuration), on: test)
        fullTuned = try fullAdapter.map { try score("full model, tuned", full, $0, on: test).row }
        var rival: Scored?
        if let control, let controlTest {
            self.control = try score("control, zero-shot", control.base, nil, on: controlTest).row
            rival = try score("control, tuned", control.base, control.adapter, on: controlTest)
        } else {
            self.control = nil
        }
        (fullZeroShot, emulatorZeroShot, emulatorTuned) = (zeroShot.row, small.row, tuned.row)
        (plugIn, controlTuned) = (plugged.row, rival?.row)

        let sign = plugged.row.higherIsBetter ? 1.0 : -1.0
        gap = Estimate(of: [tuned.records, plugged.records]) { sign * ($0[1] - $0[0]) }
        func retained(_ models: [Scored], _ figure: ([Double]) -> Double) -> Estimate? {
            guard sign * (plugged.row.value - zeroShot.row.value) > 0 else { return nil }
            return Estimate(of: ([zeroShot, plugged] + models).map(\.records)) { scores in
                let gain = sign * (scores[1] - scores[0])
                // A resample without a gain says nothing about its parts: it widens the interval.
                return gain > 0
                    ? figure(scores.dropFirst(2).map { sign * ($0 - scores[0]) / gain }) : .infinity
            }
        }
        self.retained = retained([tuned]) { $0[0] }
        retainedByControl = rival.flatMap { rival in retained([rival]) { $0[0] } }
        // Pairing needs the control's test to be of the same records.
        retainedBeyondControl = rival.flatMap { rival in
            rival.records.values.count == tuned.records.values.count
                ? retained([tuned, rival]) { $0[0] - $0[1] } : nil
        }
    }

    public var rows: [ScoredModel] {
        [fullZeroShot, emulatorZeroShot, emulatorTuned, plugIn]
            + [fullTuned, control, controlTuned].compactMap { $0 }
    }
}

extension HeldOutTest {
    /// The score with a 95 % interval: Wilson's for a share of answers, the ratio estimator's normal
    /// interval for a mean loss over tokens.
    func scored(
        _ name: String, base: BaseModel, adapter: LoRAAdapter?
    ) throws -> (row: ScoredModel, records: RecordScores) {
        let adapter = adapter.map(Adapter.lora)
        let records: RecordScores
        let interval: (Double, Double)
        switch self {
        case .exactMatch(_, let references):
            let answers = try answers(base: base, adapter: adapter)
            records = RecordScores(
                values: zip(answers, references).map {
                    NoteScore.score(answers: [$0], references: [$1]).accuracy
                }, weights: answers.map { _ in 1 })
            interval = wilson(records.score, Double(references.count))
        case .loss(let examples):
            records = RecordScores(try Evaluator(model: base.model, adapter: adapter).losses(examples))
            interval = records.normalInterval
        }
        let isLoss = if case .loss = self { true } else { false }
        return (
            ScoredModel(
                name: name, metric: isLoss ? "loss" : "exact match", value: records.score,
                lower: interval.0, upper: interval.1,
                count: Int(records.weights.reduce(0, +)), higherIsBetter: !isLoss),
            records
        )
    }
}

extension RecordScores {
    /// Of each record's mean loss and number of predicted tokens.
    init(_ losses: [(loss: Double, tokens: Int)]) {
        self.init(
            values: losses.map { $0.loss * Double($0.tokens) }, weights: losses.map { Double($0.tokens) })
    }

    /// The ratio estimator's.
    fileprivate var normalInterval: (Double, Double) {
        let count = Double(values.count)
        guard count > 1 else { return (-.infinity, .infinity) }
        let mean = score
        let squares = zip(values, weights).reduce(0.0) { $0 + pow($1.0 - $1.1 * mean, 2) }
        let error = (squares * count / (count - 1)).squareRoot() / weights.reduce(0, +)
        return (mean - normalQuantile * error, mean + normalQuantile * error)
    }
}

/// 97.5 % point of the standard normal distribution.
private let normalQuantile = 1.959963984540054

/// Wilson's interval for a share.
private func wilson(_ share: Double, _ count: Double) -> (Double, Double) {
    let z = normalQuantile
    let centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    let half =
        z / (1 + z * z / count) * (share * (1 - share) / count + z * z / (4 * count * count)).squareRoot()
    return (max(0, centre - half), min(1, centre + half))
}
