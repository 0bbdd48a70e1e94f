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

    public init(
        test: HeldOutTest, full: BaseModel, emulator: BaseModel, shape: EmulatorShape,
        adapter: LoRAAdapter, fullAdapter: LoRAAdapter?, control: (base: BaseModel, adapter: LoRAAdapter)?,
        controlTest: HeldOutTest?, progress: (String) -> Void
    ) throws {
        func score(_ name: String, _ base: BaseModel, _ adapter: LoRAAdapter?) throws -> ScoredModel {
            progress(name)
            return try test.scored(name, base: base, adapter: adapter)
        }
        fullZeroShot = try score("full model, zero-shot", full, nil)
        emulatorZeroShot = try score("emulator, zero-shot", emulator, nil)
        emulatorTuned = try score("emulator, tuned", emulator, adapter)
        let plugged = try shape.plugIn(adapter, into: full.model.configuration)
        plugIn = try score("plug-in", full, plugged)
        fullTuned = try fullAdapter.map { try score("full model, tuned", full, $0) }
        if let control, let controlTest {
            progress("control")
            self.control = try controlTest.scored("control, zero-shot", base: control.base, adapter: nil)
            controlTuned = try controlTest.scored(
                "control, tuned", base: control.base, adapter: control.adapter)
        } else {
            (self.control, controlTuned) = (nil, nil)
        }
    }

    public var rows: [ScoredModel] {
        [fullZeroShot, emulatorZeroShot, emulatorTuned, plugIn]
            + [fullTuned, control, controlTuned].compactMap { $0 }
    }

    /// R: the part of the plug-in's gain over the untuned full model that the tuned emulator has by
    /// itself. Nil where the plug-in gains nothing.
    public var retained: Double? { share(of: emulatorTuned) }

    /// The same of the tuned control: what anybody can have without the owner.
    public var retainedByControl: Double? { controlTuned.flatMap(share) }

    private func share(of model: ScoredModel) -> Double? {
        let gain = plugIn.value - fullZeroShot.value
        let isGain = plugIn.higherIsBetter ? gain > 0 : gain < 0
        return isGain ? (model.value - fullZeroShot.value) / gain : nil
    }
}

extension HeldOutTest {
    /// The score with a 95 % interval: Wilson's for a share of answers, the ratio estimator's normal
    /// interval for a mean loss over tokens.
    public func scored(_ name: String, base: BaseModel, adapter: LoRAAdapter?) throws -> ScoredModel {
        let adapter = adapter.map(Adapter.lora)
        let score = try score(base: base, adapter: adapter)
        let interval: (Double, Double)
        switch self {
        case .exactMatch: interval = wilson(score.value, Double(score.count))
        case .loss(let examples):
            let each = try Evaluator(model: base.model, adapter: adapter).losses(examples)
            interval = Self.interval(of: each, mean: score.value)
        }
        return ScoredModel(
            name: name, metric: score.metric, value: score.value, lower: interval.0, upper: interval.1,
            count: score.count, higherIsBetter: score.higherIsBetter)
    }

    private static func interval(
        of each: [(loss: Double, tokens: Int)], mean: Double
    ) -> (Double, Double) {
        guard each.count > 1 else { return (-.infinity, .infinity) }
        let tokens = each.reduce(0.0) { $0 + Double($1.tokens) }
        let squares = each.reduce(0.0) {
            $0 + pow(Double($1.tokens) * ($1.loss - mean), 2)
        }
        let count = Double(each.count)
        let error = (squares * count / (count - 1)).squareRoot() / tokens
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
