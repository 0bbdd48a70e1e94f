import ArgumentParser
import FedTrain
import Foundation
import Models

/// `fedtrain emulator assess`: the owner's disclosure report.
struct EmulatorAssessCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "assess",
        abstract: "Measure what an emulator gives away: shipped parameters, scores, attacks.",
        discussion: """
            Writes disclosure-report.html and .json. Scores need a federation.yaml with held-out data and \
            the adapter that was tuned on the emulator. A control is a public model of the emulator's size, \
            tuned the same way: without one nobody can say what the emulator gives beyond what is public.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "The emulator's directory.")
    var emulator: String

    @Option(help: "Hugging Face directory of the full model; the built-in one when not given.")
    var base: String?

    @Option(help: "The owner's record; EMULATOR.owner.json when not given.")
    var ownerRecord: String?

    @Option(help: "Directory for the two report files.")
    var output: String

    @Option(help: "federation.yaml whose held-out data scores the models.")
    var federation: String?

    @Option(help: "Adapter tuned on the emulator.")
    var adapter: String?

    @Option(help: "Adapter tuned on the full model, for comparison.")
    var fullAdapter: String?

    @Option(help: "A public model of the emulator's size.")
    var control: String?

    @Option(help: "Adapter tuned on the control.")
    var controlAdapter: String?

    @Option(help: "Another emulator of the same model (its owner's record beside it), for coalitions.")
    var second: String?

    @Option(help: "Public JSONL text to attack with; the built-in model's generated text when not given.")
    var data: String?

    @Option(
        help: "Training steps at which attacks are scored, ascending; 0 tries only those without training.")
    var attackSteps: String = "25,50,100,200"

    @Option(help: "Seed of held-out generated data, as given to `simulate`.")
    var seed: UInt64 = 1

    struct Payload: Encodable {
        let report: String
        let verdict: String
        let disclosure: Disclosure
        let scores: OffsiteScores?
        let attacks: [AttackLadder.Rung]
        let losses: PublicLosses
    }

    func validate() throws {
        guard (control == nil) == (controlAdapter == nil) || adapter == nil else {
            throw ValidationError("Scores of a control need both --control and --control-adapter.")
        }
        guard adapter == nil || federation != nil else {
            throw ValidationError("Scores need --federation, whose held-out data they are taken on.")
        }
        _ = try steps()
    }

    private func steps() throws -> [Int] {
        let steps = attackSteps.split(separator: ",").map { Int($0) }
        guard !steps.isEmpty, steps.allSatisfy({ $0 != nil }) else {
            throw ValidationError("--attack-steps is a list of whole numbers such as 25,50,100.")
        }
        let numbers = steps.compactMap { $0 }
        guard numbers == Set(numbers).sorted(), numbers[0] >= 0 else {
            throw ValidationError("--attack-steps must ascend.")
        }
        return numbers.filter { $0 > 0 }
    }

    func execute(_ console: Console) throws -> Payload {
        let full = try BaseModel.load(directory: try base ?? BuiltInModel.directory())
        let small = try BaseModel.load(directory: emulator)
        let recordFile = ownerRecord ?? EmulatorOwnerRecord.path(for: emulator)
        let record = try EmulatorOwnerRecord.read(recordFile)
        try record.check(full: full, emulator: small, file: recordFile)
        let shape = record.shape
        let text = try PublicText(file: data, base: full)
        let tuned = try adapter.map {
            try PlugIn.load(
                adapterDirectory: $0, full: full, emulator: small, ownerRecord: recordFile)
        }
        let scores = try scores(full, small, shape, console)
        let deployed = try tuned.map { try full.model.merging($0.adapter) } ?? full.model
        let controlModel = try control.map { try BaseModel.load(directory: $0) }
        let rungs = try climb(full, small, shape, deployed, text, console)
        let report = DisclosureReport(
            recipe: record.recipe, shape: shape,
            disclosure: Disclosure(full: full.model, emulator: small.model, middle: shape.withheld),
            scores: scores, rungs: rungs,
            losses: try PublicLosses(
                full: full, emulator: small, control: controlModel, heldOut: text.heldOut))
        try AtomicFile.makeDirectory(output)
        try AtomicFile.write(report.json(), to: "\(output)/disclosure-report.json")
        try AtomicFile.write(report.html(), to: "\(output)/disclosure-report.html")
        return Payload(
            report: "\(output)/disclosure-report.html", verdict: report.verdict,
            disclosure: report.disclosure, scores: scores, attacks: rungs, losses: report.losses)
    }

    private func scores(
        _ full: BaseModel, _ small: BaseModel, _ shape: EmulatorShape, _ console: Console
    ) throws -> OffsiteScores? {
        guard let adapter, let federation else { return nil }
        let (configuration, _) = try YAMLFile.configuration(federation, overrides: [])
        guard let test = try FederationData(configuration, base: small, seed: seed).heldOut else {
            throw CommandFailure(
                .badInput, "names no held-out data, so nothing can be scored", at: federation,
                hint: "add data.heldOut to it")
        }
        let rival = try control.map { try BaseModel.load(directory: $0) }
        let controlPair = try rival.flatMap { rival in
            try controlAdapter.map {
                (base: rival, adapter: try PeftAdapter.read($0, base: rival.model.configuration))
            }
        }
        return try OffsiteScores(
            test: test, full: full, emulator: small, shape: shape,
            adapter: try PeftAdapter.read(adapter, base: small.model.configuration),
            fullAdapter: try fullAdapter.map { try PeftAdapter.read($0, base: full.model.configuration) },
            control: controlPair,
            controlTest: try rival.flatMap {
                try FederationData(configuration, base: $0, seed: seed).heldOut
            },
            progress: { console.step("scoring: \($0)") })
    }

    private func climb(
        _ full: BaseModel, _ small: BaseModel, _ shape: EmulatorShape, _ deployed: LanguageModel,
        _ text: PublicText, _ console: Console
    ) throws -> [AttackLadder.Rung] {
        let steps = try steps()
        let other = try second.map { directory -> (model: LanguageModel, shape: EmulatorShape) in
            let record = try EmulatorOwnerRecord.read(EmulatorOwnerRecord.path(for: directory))
            let base = try BaseModel.load(directory: directory)
            try record.check(
                full: full, emulator: base, file: EmulatorOwnerRecord.path(for: directory))
            return (base.model, record.shape)
        }
        return try AttackLadder(
            full: full.model, emulator: small.model, shape: shape, deployed: deployed,
            text: text.training, heldOut: text.heldOut, budget: .init(steps: steps)
        ).climb(second: other) { console.step("attack \($0)") }
    }

    func describe(_ payload: Payload) -> String {
        var lines: [String] = []
        for row in payload.scores?.rows ?? [] {
            lines.append(
                "\(row.name): \(row.metric) \(decimal(row.value, 4)) (95 %: \(decimal(row.lower, 4)) to "
                    + "\(decimal(row.upper, 4)))")
        }
        for rung in payload.attacks {
            let points = rung.points.map { "\(decimal($0.recovery * 100, 1)) %" }.joined(separator: ", ")
            lines.append("\(rung.name) \(rung.what): recovers \(points)")
        }
        lines.append(payload.verdict)
        lines.append("report: \(payload.report)")
        return lines.joined(separator: "\n")
    }
}
