import FedTrain
import Foundation
import Models
import Testing

/// Cells that train what an owner hands out instead of the base.
@Suite("Studies of offsite tuning", .serialized)
struct StudyEmulatorTests {
    static let emulators = #"""
        "emulators": {"base": {}, "whole": {"keep": 2, "steps": 0}, "half": {"keep": 1, "steps": 3},
                      "control": {"layers": 3, "steps": 3}}
        """#

    @Test("an emulator that drops nothing scores as its plug-in; a control and the base have no owner's side")
    func fourScores() throws {
        let definition = try StudyFixture.definition(Self.emulators)
        let directory = StudyFixture.directory("emulators")
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let outcome = try StudyFixture.run(definition, in: directory)
        let results = Dictionary(
            outcome.rows.map { ($0.cell.labels[.emulator] ?? "", $0.result) },
            uniquingKeysWith: { first, _ in first })
        #expect(results["base"]?.offsite == nil && results["control"]?.offsite == nil)

        let whole = try #require(results["whole"]), offsite = try #require(whole.offsite)
        #expect(offsite.plugInLoss == whole.trained.pooled)
        #expect(offsite.fullLoss == whole.base.pooled && offsite.fullLoss == results["base"]?.base.pooled)
        #expect(offsite.exactFraction == 1 && offsite.recovery == 1)

        let half = try #require(results["half"]), cut = try #require(half.offsite)
        #expect(cut.fullLoss == offsite.fullLoss && cut.exactFraction < 1)
        #expect(cut.plugInLoss != half.trained.pooled && half.base.pooled != whole.base.pooled)
        // Only the adapter blocks are trained: both blocks at the ends of an emulator, all four of the base.
        #expect(whole.coordinates == half.coordinates && half.coordinates < results["base"]!.coordinates)

        let csv = String(decoding: StudyFixture.results(directory)["results.csv"]!, as: UTF8.self)
        #expect(csv.hasPrefix("task,split,emulator,") && csv.contains("plug_in_loss"))

        // Everything in another directory again, the emulators too, comes to the same bytes.
        let run = StudyRun(try StudyMatrix(definition, root: ""), directory: directory, clock: { 0 })
        #expect(try run.repeated(half.key).differences.isEmpty)
        #expect(try run.repeated(results["control"]!.key).differences.isEmpty)
    }

    @Test("a making that died leaves nothing that is taken for an emulator")
    func tornMaking() throws {
        let definition = try StudyFixture.definition(#""emulators": {"half": {"keep": 1, "steps": 2}}"#)
        let (whole, torn) = (StudyFixture.directory("whole"), StudyFixture.directory("torn"))
        defer { for path in [whole, torn] { try? FileManager.default.removeItem(atPath: path) } }
        try StudyFixture.run(definition, in: whole)
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: "\(whole)/emulators")
                .first { !$0.contains(".") })
        for left in ["\(name).unfinished", "\(name).plan.unfinished"] {
            let path = "\(torn)/emulators/\(left)"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            try Data("torn".utf8).write(to: URL(fileURLWithPath: path + "/model.safetensors"))
            try Data("torn".utf8).write(to: URL(fileURLWithPath: path + ".owner.json"))
        }
        // A kill between the record and its emulator.
        try Data("torn".utf8).write(to: URL(fileURLWithPath: "\(torn)/emulators/\(name).owner.json"))
        try StudyFixture.run(definition, in: torn)
        #expect(StudyFixture.results(whole) == StudyFixture.results(torn))
        // The plan's stand-in is gone: it is a second emulator of the same model.
        let left = try FileManager.default.contentsOfDirectory(atPath: "\(torn)/emulators").sorted()
        #expect(left == [name, "\(name).owner.json"])

        // An emulator that somebody changed is not trained.
        try FileManager.default.removeItem(atPath: "\(torn)/cells")
        let weights = "\(torn)/emulators/\(name)/model.safetensors"
        var bytes = try Data(contentsOf: URL(fileURLWithPath: weights))
        bytes[bytes.count - 1] ^= 1
        try bytes.write(to: URL(fileURLWithPath: weights))
        #expect(throws: OffsiteError.self) { try StudyFixture.run(definition, in: torn) }
    }

    @Test("a search on one account hands out emulators too")
    func search() throws {
        let definition = try StudyFixture.definition(
            #"""
            "emulators": {"half": {"keep": 1, "steps": 1}}, "budget": {"epsilon": 60},
            "search": {"method": "random", "trials": 2, "space": {"training.server.learningRate": {"choices": [20, 50]}}}
            """#)
        let directory = StudyFixture.directory("search")
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let outcome = try StudyFixture.run(definition, in: directory)
        #expect(outcome.trials.count == 2 && outcome.trials.allSatisfy { $0.result.offsite != nil })
    }

    @Test(
        "a recipe that cannot be is refused before anything is trained",
        arguments: [
            #"{"keep": 1, "drop": 0.5}"#, #"{"keep": 1, "layers": 3}"#,
            #"{"keep": 1, "rule": "every-other"}"#,
            #"{"keep": 3}"#, #"{"steps": 5}"#, #"{"first": 2, "last": 2}"#, #"{"bits": 3}"#,
            #"{"drop": -0.5}"#, #"{"keep": 1, "first": 4}"#, #"{"layers": 3, "first": 2, "last": 2}"#,
            #"{"keeps": 1}"#,
        ])
    func refused(emulator: String) throws {
        let directory = StudyFixture.directory("refused")
        defer { try? FileManager.default.removeItem(atPath: directory) }
        #expect(throws: (any Error).self) {
            let definition = try StudyFixture.definition("\"emulators\": {\"bad\": \(emulator)}")
            _ = try StudyRun(try StudyMatrix(definition, root: ""), directory: directory, clock: { 0 }).plan()
        }
        #expect(!FileManager.default.fileExists(atPath: "\(directory)/cells"))
    }
}
