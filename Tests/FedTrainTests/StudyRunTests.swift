import FedTrain
import Foundation
import GMP
import Models
import Testing

@Suite struct StudyRunTests {
    static let measured = """
        "measure": {"membership": 16, "canaries": 2},
        "privacy": {"weak": {"privacy.epsilon": 20}, "strong": {"privacy.epsilon": 2}}, "reference": null
        """.replacing(", \"reference\": null", with: "")

    @Test func twoRunsAndAStoppedOneLeaveTheSameFiles() throws {
        let definition = try StudyFixture.definition(Self.measured, seeds: "[1, 2]")
        let (first, second) = (StudyFixture.directory("a"), StudyFixture.directory("b"))
        defer { for path in [first, second] { try? FileManager.default.removeItem(atPath: path) } }
        let outcome = try StudyFixture.run(definition, in: first)
        #expect(outcome.isComplete && outcome.rows.count == 4)

        #expect(try !StudyFixture.run(definition, in: second, stopAfter: 1).isComplete)
        #expect(StudyFixture.results(second).isEmpty)
        // What a killed process leaves in the middle of a cell: a directory without a result.
        let torn = "\(second)/cells/\(outcome.rows[1].cell.key)"
        try FileManager.default.createDirectory(
            atPath: torn + "/runs/0001/clients", withIntermediateDirectories: true)
        try Data("torn".utf8).write(to: URL(fileURLWithPath: torn + "/runs/0001/ledger.jsonl"))
        #expect(try StudyFixture.run(definition, in: second).isComplete)
        let files = StudyFixture.results(first)
        #expect(files.count == 4 && files == StudyFixture.results(second))

        // Nothing in them tells when or where.
        for (name, data) in files {
            let text = String(decoding: data, as: UTF8.self)
            #expect(!text.contains(first) && !text.contains("seconds"), "\(name)")
        }
        // A third run makes nothing anew.
        let times = try Data(contentsOf: URL(fileURLWithPath: "\(first)/timings.jsonl"))
        try StudyFixture.run(definition, in: first)
        #expect(try Data(contentsOf: URL(fileURLWithPath: "\(first)/timings.jsonl")) == times)
    }

    @Test func aCellRunAgainGivesTheSameBytesAndAChangedOneIsNoticed() throws {
        let definition = try StudyFixture.definition()
        let directory = StudyFixture.directory("c")
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let outcome = try StudyFixture.run(definition, in: directory)
        let run = StudyRun(try StudyMatrix(definition, root: ""), directory: directory, clock: { 0 })
        let key = outcome.rows[0].cell.key
        #expect(try run.repeated(String(key.prefix(8))).differences.isEmpty)
        let adapter = "\(directory)/cells/\(key)/runs/0001/adapter/adapter_model.safetensors"
        var bytes = try Data(contentsOf: URL(fileURLWithPath: adapter))
        bytes[bytes.count - 1] ^= 1
        try bytes.write(to: URL(fileURLWithPath: adapter))
        #expect(try run.repeated(key).differences == ["runs/0001/adapter/adapter_model.safetensors"])
        #expect(throws: StudyError.self) { try run.repeated("zz") }
    }

    @Test func everythingThatDeterminesAResultIsInItsKey() throws {
        func keys(_ more: String = "", seeds: String = "[1]") throws -> Set<String> {
            Set(try StudyMatrix(try StudyFixture.definition(more, seeds: seeds), root: "").cells.map(\.key))
        }
        let plain = try keys()
        #expect(try keys() == plain)
        for more in [
            #""privacy": {"a": {"privacy.epsilon": 7}}"#,
            #""algorithms": {"a": {"training.server.momentum": 0.5}}"#,
            #""adapters": {"a": {"model.adapter.rank": 3}}"#, #""measure": {"membership": 10}"#,
            #""measure": {"canaries": 1}"#, #""dropouts": {"a": {"stage": "mask", "fraction": 0.34}}"#,
            #""budget": {"epsilon": 20}"#,
        ] {
            #expect(try keys(more).isDisjoint(with: plain), "\(more)")
        }
        #expect(try keys(seeds: "[2]").isDisjoint(with: plain))
        // A name alone changes nothing: the cell is not run again.
        #expect(try keys(#""algorithms": {"renamed": {}}"#) == plain)
    }

    @Test func lostClientsAreLostInEveryRound() throws {
        let definition = try StudyFixture.definition(
            #""dropouts": {"none": {}, "third": {"stage": "advertise", "fraction": 0.34}}"#)
        let cells = try StudyMatrix(definition, root: "").cells
        #expect(try FederationConfiguration(reading: cells[0].source).simulation.lose.isEmpty)
        let losses = try FederationConfiguration(reading: cells[1].source).simulation.lose
        #expect(losses.map(\.round) == [1, 2] && losses.allSatisfy { $0.clients == 1 })
        #expect(throws: ConfigurationError.self) {
            try StudyMatrix(
                try StudyFixture.definition(#""dropouts": {"few": {"fraction": 0.1}}"#), root: "")
        }
    }

    @Test func aBudgetIsOneAccountForAllCellsOfATask() throws {
        let three = #""privacy": {"a": {"privacy.epsilon": 2}, "b": {"privacy.epsilon": 3}}, "#
        let directory = StudyFixture.directory("d")
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let small = try StudyFixture.definition(three + #""budget": {"epsilon": 4}"#)
        #expect(throws: StudyError.self) { try StudyFixture.run(small, in: directory) }
        #expect(!FileManager.default.fileExists(atPath: "\(directory)/cells"))
        let outcome = try StudyFixture.run(
            try StudyFixture.definition(three + #""budget": {"epsilon": 6}"#), in: directory)
        let spent = try #require(outcome.rows[0].result.epsilon)
        #expect(outcome.rows[0].cell.prior == 0 && spent > 1.9 && spent <= 2)
        #expect(abs(outcome.rows[1].cell.prior!.asDouble - spent) < 1e-5)
        // The second cell's own ledger says what was spent before it.
        let ledger = try String(
            contentsOfFile: "\(directory)/cells/\(outcome.rows[1].cell.key)/runs/0001/ledger.jsonl",
            encoding: .utf8)
        #expect(ledger.contains("\"budgetEpsilon\":\"\(Rational(6) - outcome.rows[1].cell.prior!)\""))
        let total = outcome.accounts[0]
        #expect(total.runs == 2 && total.sum > 4.8 && total.sum <= 5)
        #expect(try #require(total.together) < total.sum)
    }

    @Test func aSearchChargesEveryTrialAndChoosesByValidation() throws {
        let definition = try StudyFixture.definition(
            #""search": {"method": "halving", "trials": 3, "eta": 3, "minRounds": 1, "space": {"training.server.learningRate": {"log": [1, 100]}}}, "budget": {"epsilon": 60}"#
        )
        let directory = StudyFixture.directory("e")
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let outcome = try StudyFixture.run(definition, in: directory)
        // Three trials of one round, one of two.
        #expect(outcome.trials.map(\.result.rounds) == [1, 1, 1, 2] && outcome.rows.count == 1)
        let rung = outcome.trials.prefix(3)
        let best = rung.min { $0.result.validation! < $1.result.validation! }!
        #expect(outcome.rows[0].cell.trial?.prefix(7) == best.cell.trial?.prefix(7))
        let priors = outcome.trials.map { $0.cell.prior!.asDouble }
        #expect(priors == priors.sorted() && Set(priors).count == 4 && priors[0] == 0)
        #expect(outcome.accounts[0].runs == 4)
        let charged = outcome.trials.reduce(0) { $0 + $1.result.epsilon! }
        #expect(abs(outcome.accounts[0].sum - charged) < 1e-3)
    }

    @Test func dataThatWouldSpoilAResultIsRefused() throws {
        let directory = StudyFixture.directory("f")
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let lines = (0..<40).map {
            #"{"instruction": "q\#($0)", "output": "a\#($0)", "category": "c\#($0 % 4)"}"#
        }
        try lines.joined(separator: "\n").write(
            toFile: "\(directory)/train.jsonl", atomically: true, encoding: .utf8)
        try lines.suffix(8).joined(separator: "\n")
            .write(toFile: "\(directory)/test.jsonl", atomically: true, encoding: .utf8)
        func matrix(_ task: String, _ split: String) throws -> StudyMatrix {
            try StudyMatrix(
                try StudyDefinition(
                    reading: try StudyFixture.node(
                        """
                        {"schema": "fedtrain-study/1", "name": "t", "federation": \(StudyFixture.federation),
                         "tasks": {"x": \(task)}, "splits": {"s": \(split)}}
                        """)), root: directory)
        }
        let even = #"{"kind": "iid", "clients": 3}"#
        #expect(throws: StudyDataError.overlap(task: "x", records: 8, of: 8)) {
            try matrix(#"{"train": "train.jsonl", "test": "test.jsonl", "validationShare": 0}"#, even)
        }
        _ = try matrix(#"{"train": "train.jsonl", "test": "test.jsonl", "allowOverlap": true}"#, even)
        _ = try matrix(#"{"train": "train.jsonl"}"#, even)
        #expect(throws: StudyDataError.self) {
            try matrix(#"{"train": "train.jsonl", "testShare": 0.02}"#, #"{"kind": "iid", "clients": 8}"#)
        }
        #expect(throws: RecordFileError.self) { try matrix(#"{"train": "nothing.jsonl"}"#, even) }
    }

    @Test func aResultReadsBackAsItWasWritten() throws {
        let definition = try StudyFixture.definition(Self.measured)
        let directory = StudyFixture.directory("g")
        defer { try? FileManager.default.removeItem(atPath: directory) }
        for row in try StudyFixture.run(definition, in: directory).rows {
            let text = row.result.json.text()
            #expect(CellResult(json: try JSON.parse(Array(text.utf8))) == row.result)
            #expect(row.result.membership?.members == 16 && row.result.canaries?.controls.count == 2)
        }
        #expect(CellResult(json: .object([])) == nil)
    }
}
