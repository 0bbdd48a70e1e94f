import Foundation
import Models
import Sodium

/// What a cell trains instead of the federation's base: an emulator that is made of it, or a public model of an
/// emulator's size.
///
/// Either is made when the first cell needs it, kept under the study's `emulators`, and named after everything that
/// determines it.
public struct StudyEmulator: Sendable, Equatable {
    public enum Origin: Sendable, Equatable {
        /// Made of the base; nothing else of the base reaches the sites.
        case compressed(rule: String, keep: Int?, drop: Double?, bits: Int?, learningRate: Float)
        /// Trained from nothing on the generated public text: what anybody has without the owner.
        case control(layers: Int)
    }

    public var origin: Origin
    /// Adapter blocks at the start and at the end.
    public var first: Int
    public var last: Int
    /// Of distillation, or of the control's training.
    public var steps: Int

    /// - Returns: nil for a variant that names neither: the base itself.
    static func read(_ section: inout ConfigurationSection) throws(ConfigurationError) -> StudyEmulator? {
        let layers = try section.optionalInteger("layers", in: 2...1000)
        let keep = try section.optionalInteger("keep", in: 1...1000)
        let drop = section.has("drop") ? try section.double("drop", above: 0, upTo: 0.999, default: 0.5) : nil
        let isBase = !["layers", "keep", "drop", "first", "last", "steps", "rule", "bits", "learningRate"]
            .contains { section.has($0) }
        let first = try section.integer("first", in: 0...1000, default: 1)
        let last = try section.integer("last", in: 1...1000, default: 1)
        let steps = try section.integer("steps", in: 0...10_000_000, default: 200)
        if let layers {
            guard keep == nil, drop == nil else {
                throw section.error("layers", "is a control's; `keep` and `drop` are an emulator's")
            }
            guard first + last < layers else {
                throw section.error("layers", "must be more than the adapter blocks, \(first) + \(last)")
            }
            return StudyEmulator(origin: .control(layers: layers), first: first, last: last, steps: steps)
        }
        if isBase { return nil }
        guard keep != nil || drop != nil else {
            throw section.error(
                "keep", "is missing: `keep` or `drop` make an emulator, `layers` a control, {} is the base")
        }
        guard keep == nil || drop == nil else {
            throw section.error("keep", "and `drop` say the same; give one of them")
        }
        let rule = try section.optionalString("rule") ?? LayerRule.uniformRounded.rawValue
        guard EmulatorRecipe.ruleNames.contains(rule) else {
            throw section.error(
                "rule", "is `\(rule)`; it must be one of \(EmulatorRecipe.ruleNames.joined(separator: ", "))")
        }
        return StudyEmulator(
            origin: .compressed(
                rule: rule, keep: keep, drop: drop,
                bits: try section.optionalInteger("bits", in: 1...16),
                learningRate: Float(
                    try section.double("learningRate", above: 0, upTo: 1, default: 1e-3))),
            first: first, last: last, steps: steps)
    }

    /// Where it lies in the study's directory.
    func directory(base: Digest) -> String {
        let name = Digest.labelled(
            "fedtrain/v1/study-emulator", [base.bytes, Array("\(FedTrainVersion.text) \(terms)".utf8)])
        return "\(Self.parent)/\(name.hex.prefix(24))"
    }

    static let parent = "emulators"

    /// Everything that determines it, but for the base.
    private var terms: String {
        let ends = "first \(first) last \(last) steps \(steps)"
        switch origin {
        case .control(let layers): return "control layers \(layers) \(ends)"
        case .compressed(let rule, let keep, let drop, let bits, let rate):
            return "rule \(rule) keep \(keep ?? 0) drop \(drop ?? 0) bits \(bits ?? 0) rate \(rate) \(ends)"
        }
    }

    /// Whether the owner's model has a part in it.
    var isOfTheBase: Bool { if case .compressed = origin { true } else { false } }

    /// Refuses what cannot be made of a base.
    func check(_ model: ModelConfiguration) throws(OffsiteError) {
        if isOfTheBase { try recipe(layers: model.layerCount).check(model) }
    }

    // MARK: Making

    /// Makes it unless it is there; a process that dies here leaves nothing under the final name.
    ///
    /// - Parameters:
    ///   - stepsMax: fewer steps than asked for, to learn what one takes.
    ///   - clock: seconds of a clock that never jumps.
    /// - Returns: the seconds that a step took; nil where nothing was made or taught.
    /// - Throws: `OffsiteError` for a recipe that does not fit the base.
    @discardableResult
    func make(
        at path: String, of base: BaseModel, stepsMax: Int = .max, clock: () -> Double = { 0 }
    ) throws -> Double? {
        guard !FileManager.default.fileExists(atPath: path) else { return nil }
        let unfinished = path + ".unfinished"
        let owner = EmulatorOwnerRecord.path(for: unfinished)
        for left in [unfinished, owner, EmulatorOwnerRecord.path(for: path)] {
            try? FileManager.default.removeItem(atPath: left)
        }
        try AtomicFile.makeDirectory((path as NSString).deletingLastPathComponent)
        var times: [Double] = []
        let steps = min(steps, stepsMax)
        switch origin {
        case .compressed:
            var recipe = recipe(layers: base.model.configuration.layerCount)
            recipe.distillation?.steps = steps
            let text = try PublicText(file: nil, base: base)
            let maker = try EmulatorMaker(
                full: base, recipe: recipe, text: text.training, heldOut: text.heldOut)
            let made = try maker.make { _ in
                times.append(clock())
                return true
            }
            _ = try made.write(to: unfinished, full: base, recipe: recipe.statement)
            try FileManager.default.moveItem(atPath: owner, toPath: EmulatorOwnerRecord.path(for: path))
        case .control(let layers):
            var recipe = BaseModelRecipe.builtIn
            recipe.layers = layers
            recipe.seed = Self.controlSeed
            recipe.training.steps = steps
            let contents = try recipe.make { stage in
                if case .training = stage { times.append(clock()) }
                return true
            }
            try Checkpoint.write(contents, to: unfinished)
            // Tuned in the same places as an emulator.
            try AtomicFile.write(
                offsiteJSON(
                    EmulatorNotice(adapterBlocks: Array(0..<first) + Array((layers - last)..<layers))),
                to: "\(unfinished)/\(EmulatorNotice.fileName)")
        }
        try FileManager.default.moveItem(atPath: unfinished, toPath: path)
        // The median leaves out the steps that also look at held-out text.
        let intervals = zip(times.dropFirst(), times).map { $0 - $1 }.sorted()
        return intervals.isEmpty ? nil : intervals[intervals.count / 2]
    }

    /// The most that making it holds: models, their optimiser and a batch's states; the generated text of a control.
    /// The constants were measured on the built-in model.
    func memory(base: BaseModel) -> Int {
        switch origin {
        case .compressed: 56 << 20 + 16 * base.model.parameterCount
        case .control: 136 << 20 + 16 * base.model.parameterCount
        }
    }

    /// Other first weights than the built-in model's.
    private static let controlSeed: UInt64 = 2

    private func recipe(layers: Int) -> EmulatorRecipe {
        guard case .compressed(let rule, let keep, let drop, let bits, let rate) = origin else {
            preconditionFailure("a control is not made of the base")
        }
        return EmulatorRecipe(
            first: first, last: last,
            middle: .init(rule: rule, keep: keep, drop: drop, of: layers - first - last), bits: bits,
            distillation: steps == 0 ? nil : Distillation(steps: steps, learningRate: rate), seed: 1)
    }
}
