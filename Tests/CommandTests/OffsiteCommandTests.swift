import Foundation
import Glibc
import Testing

@Suite("Offsite tuning as its owner and its sites meet it", .serialized)
struct OffsiteCommandTests {
    /// An emulator of the built-in model, made once for all tests: 1 + 1 of 2 + 1 blocks, barely taught.
    static let shared: (runner: CommandRunner, made: CommandRunner.Result) = {
        let runner = try! CommandRunner()
        let made = try! runner.run(
            "emulator", "make", "--output", runner.path("emulator"), "--keep", "1", "--steps", "20",
            "--seed", "3", "--json")
        return (runner, made)
    }()

    private var runner: CommandRunner { Self.shared.runner }
    private var emulator: String { runner.path("emulator") }

    private func file(_ name: String) throws -> Data {
        try Data(contentsOf: runner.directory.appendingPathComponent(name))
    }

    @Test("make writes what travels and keeps the owner's record beside it")
    func make() throws {
        let made = Self.shared.made
        #expect(made.status == 0, "\(made.errors)")
        #expect(made.data["sources"] as? [Int] == [0, 1, 3])
        #expect(made.data["adapterBlocks"] as? [Int] == [0, 2])
        let before = (made.data["before"] as? [String: Any])?["total"] as? Double ?? 0
        let after = (made.data["after"] as? [String: Any])?["total"] as? Double ?? 1
        #expect(after < before)
        let names = try FileManager.default.contentsOfDirectory(atPath: emulator).sorted()
        #expect(names.contains("emulator.json") && names.contains("model.safetensors"))
        #expect(!names.contains { $0.contains("owner") })
        #expect(FileManager.default.fileExists(atPath: emulator + ".owner.json"))
        // The notice tells a site which blocks to train, and not where the others came from.
        let notice = try JSONSerialization.jsonObject(with: file("emulator/emulator.json")) as? [String: Any]
        #expect(Set(notice?.keys.map { $0 } ?? []) == ["schema", "adapterBlocks"])
        // An existing directory is left alone.
        #expect(try runner.run("emulator", "make", "--output", emulator).status == 73)
    }

    @Test("the same command gives the same bytes")
    func reproducible() throws {
        let again = try runner.run(
            "emulator", "make", "--output", runner.path("again"), "--keep", "1", "--steps", "20",
            "--seed", "3")
        #expect(again.status == 0)
        #expect(try file("again/model.safetensors") == file("emulator/model.safetensors"))
    }

    @Test(
        "a distillation killed at any moment goes on to the same bytes",
        .enabled(if: CrashPointTests.isSlow, "starts and kills many processes: minutes"))
    func killedDistillation() throws {
        let runner = try CommandRunner()
        let recipe = ["--keep", "1", "--steps", "200", "--quiet"]
        #expect(try runner.run(["emulator", "make", "--output", "whole"] + recipe).status == 0)
        let state = runner.path("torn.partial.safetensors")
        // Before the first state, and soon after each.
        var seen: Date?
        for delay in [1.0, 0.0, 0.4, 1.1] {
            let process = try runner.start(["emulator", "make", "--output", "torn"] + recipe)
            if delay < 1 || seen != nil {
                var written = seen
                while written == seen, process.finish(seconds: 0.02) == nil {
                    written =
                        (try? FileManager.default.attributesOfItem(atPath: state))?[.modificationDate]
                        as? Date
                }
                seen = written
            }
            #expect(process.finish(seconds: delay) == nil, "it came to its end before it was killed")
            process.kill()
        }
        #expect(seen != nil)
        let resumed = try runner.run(["emulator", "make", "--output", "torn"] + recipe)
        #expect(resumed.status == 0, "\(resumed.errors)")
        for name in ["model.safetensors", "config.json", "emulator.json"] {
            let torn = try Data(contentsOf: URL(fileURLWithPath: runner.path("torn/" + name)))
            #expect(
                try torn == Data(contentsOf: URL(fileURLWithPath: runner.path("whole/" + name))), "\(name)")
        }
        #expect(!FileManager.default.fileExists(atPath: state))
    }

    @Test("no withheld number travels: a dropped block's matrices occur in no file of the emulator")
    func nothingWithheldTravels() throws {
        let made = try runner.run(
            "emulator", "make", "--output", runner.path("thin"), "--keep", "1", "--steps", "0", "--json")
        #expect(made.data["sources"] as? [Int] == [0, 1, 3])
        // Block 2 is dropped. Its stored bytes, 64 at a time, are looked for in everything that travels.
        let withheld = try Withheld(
            model: CommandRunner.builtInBase.appendingPathComponent("model.safetensors"), block: 2)
        #expect(withheld.matrices.count == 7)
        let directory = runner.directory.appendingPathComponent("thin")
        for name in try FileManager.default.contentsOfDirectory(atPath: directory.path) {
            #expect(try withheld.found(in: Data(contentsOf: directory.appendingPathComponent(name))) == [])
        }
        // What is looked for is found where it is.
        let whole = CommandRunner.builtInBase.appendingPathComponent("model.safetensors")
        #expect(try withheld.found(in: Data(contentsOf: whole)).count == 7)
    }

    @Test("chosen adapter blocks travel as they are, wherever they stand, and plug into their own places")
    func chosenAdapterBlocks() throws {
        let chosen = runner.path("chosen")
        let made = try runner.run(
            "emulator", "make", "--output", chosen, "--adapter-blocks", "1,3", "--keep", "1", "--steps", "5",
            "--json")
        #expect(made.status == 0, "\(made.errors)")
        #expect(made.data["sources"] as? [Int] == [0, 1, 3])
        #expect(made.data["adapterBlocks"] as? [Int] == [1, 2])
        // Block 1 is an adapter block and stays, bit for bit, while block 0 before it is taught; block 2 is
        // dropped.
        let travels = try file("chosen/model.safetensors")
        let whole = CommandRunner.builtInBase.appendingPathComponent("model.safetensors")
        let kept = try Withheld(model: whole, block: 1).matrices.values
        #expect(kept.count == 7 && kept.allSatisfy { travels.range(of: $0) != nil })
        #expect(try Withheld(model: whole, block: 2).found(in: travels) == [])

        let workspace = runner.path("chosen-federation")
        _ = try runner.run("init", workspace, "--template", "offsite", "--base", chosen)
        let run = try runner.run(
            "simulate", workspace + "/federation.yaml", "--seed", "1", "--set", "rounds.count=1",
            "--set", "data.heldOutCount=8", "--set", "data.recordsPerSite=40")
        #expect(run.status == 0, "\(run.errors)")
        let plugged = try runner.run(
            "emulator", "plug-in", "--emulator", chosen, "--adapter", workspace + "/runs/0001/adapter",
            "--output", runner.path("chosen-plugged"), "--json")
        #expect(plugged.data["blocks"] as? [Int] == [1, 3], "\(plugged.errors)")

        for (blocks, reason) in [
            ("0,1", "must end with the last block, 3"), ("0,1,2,3", "leave no middle"), ("3,1", "ascending"),
        ] {
            let refused = try runner.run(
                "emulator", "make", "--output", runner.path("refused"), "--adapter-blocks", blocks)
            #expect(refused.status != 0 && refused.errors.contains(reason), "\(refused.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: runner.path("refused")))
    }

    @Test("tuning against the emulator opens no file of the full model")
    func neverOpensTheFullModel() throws {
        let full = runner.path("full")
        try FileManager.default.copyItem(
            atPath: CommandRunner.builtInBase.path, toPath: full)
        let watch = try OpenWatch(directory: full)
        // The watch sees what there is to see: the owner's own command opens the weights.
        let made = try runner.run(
            "emulator", "make", "--base", full, "--output", runner.path("watched"), "--keep", "1",
            "--steps", "0")
        #expect(made.status == 0, "\(made.errors)")
        #expect(watch.opened().contains("model.safetensors"))

        let workspace = runner.path("watched-federation")
        _ = try runner.run("init", workspace, "--template", "offsite", "--base", runner.path("watched"))
        let run = try runner.run(
            "simulate", workspace + "/federation.yaml", "--seed", "1", "--set", "rounds.count=1",
            "--set", "data.heldOutCount=8", "--set", "data.recordsPerSite=40")
        #expect(run.status == 0, "\(run.errors)")
        #expect(watch.opened() == [])
    }

    @Test("the tutorial's script runs from end to end")
    func tutorial() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = [
            CommandRunner.root.path + "/Examples/offsite/run", runner.path("tutorial"), "2", "10",
        ]
        process.environment = ProcessInfo.processInfo.environment.merging([
            "FEDTRAIN": CommandRunner.executable.path
        ]) { $1 }
        let said = try runner.write("", to: "tutorial.log")
        process.standardOutput = FileHandle(forWritingAtPath: said)
        process.standardError = FileHandle(forWritingAtPath: said)
        try process.run()
        process.waitUntilExit()
        let log = try String(contentsOfFile: said, encoding: .utf8)
        #expect(process.terminationStatus == 0, "\(log)")
        let report = try String(
            contentsOfFile: runner.path("tutorial/assessment/disclosure-report.html"), encoding: .utf8)
        for budget in ["tokens", "queries", "FLOPs"] {
            #expect(report.contains("What attackers recover, by \(budget)"))
        }
        // The report can be put beside others.
        let compared = try runner.run(
            "emulator", "compare", runner.path("tutorial/assessment/disclosure-report.json"), "--output",
            runner.path("comparison"), "--json")
        #expect(compared.status == 0, "\(compared.errors)")
        #expect((compared.data["rows"] as? [Any])?.count == 1)
    }

    @Test("sites tune it, the owner plugs in and assesses; only adapter blocks move")
    func wholeRoad() throws {
        let workspace = runner.path("federation")
        #expect(try runner.run("init", workspace, "--template", "offsite", "--base", emulator).status == 0)
        let run = try runner.run(
            "simulate", workspace + "/federation.yaml", "--seed", "1", "--set", "rounds.count=2",
            "--set", "data.heldOutCount=20", "--json")
        #expect(run.status == 0, "\(run.errors)")
        let adapter = workspace + "/runs/0001/adapter"
        let weights = try tensors(
            of: Data(contentsOf: URL(fileURLWithPath: adapter + "/adapter_model.safetensors")))
        #expect(!weights.isEmpty)
        #expect(weights.keys.allSatisfy { $0.contains(".layers.0.") || $0.contains(".layers.2.") })

        let plugged = try runner.run(
            "emulator", "plug-in", "--emulator", emulator, "--adapter", adapter, "--output",
            runner.path("plugged-in"), "--json")
        #expect(plugged.status == 0, "\(plugged.errors)")
        #expect(plugged.data["blocks"] as? [Int] == [0, 3])
        // The numbers are the site's, under the full model's names.
        let full = try tensors(of: file("plugged-in/adapter_model.safetensors"))
        for (name, bytes) in weights {
            #expect(full[name.replacingOccurrences(of: ".layers.2.", with: ".layers.3.")] == bytes)
        }
        let assessed = try runner.run(
            "emulator", "assess", "--emulator", emulator, "--federation", workspace + "/federation.yaml",
            "--adapter", adapter, "--attack-steps", "2", "--output", runner.path("assessment"), "--json")
        #expect(assessed.status == 0, "\(assessed.errors)")
        let attacks = assessed.data["attacks"] as? [[String: Any]] ?? []
        #expect(attacks.compactMap { $0["name"] as? String } == ["A0", "A1", "A2", "A3", "A4", "A5"])
        let verdict = assessed.data["verdict"] as? String ?? ""
        #expect(verdict.contains("no cryptographic and no differential-privacy guarantee"))
        #expect(try file("assessment/disclosure-report.html").count > 4000)

        try refusals(adapter: adapter)
    }

    /// Everything that does not belong together is refused by name, and nothing is written.
    private func refusals(adapter: String) throws {
        func plugIn(_ extra: String..., adapter: String, emulator: String? = nil) throws
            -> CommandRunner.Result
        {
            let result = try runner.run(
                [
                    "emulator", "plug-in", "--emulator", emulator ?? self.emulator, "--adapter", adapter,
                    "--output", runner.path("never"), "--json",
                ] + extra)
            #expect(!FileManager.default.fileExists(atPath: runner.path("never")))
            return result
        }
        // Another base: the emulator itself is not the model that it was made from.
        let otherBase = try plugIn("--base", emulator, adapter: adapter)
        #expect(otherBase.status == 65)
        #expect((otherBase.error["message"] as? String ?? "").contains("not the model"))
        // Another emulator with this one's record.
        let thin = try runner.run(
            "emulator", "make", "--output", runner.path("other"), "--keep", "2", "--steps", "0")
        #expect(thin.status == 0)
        let otherEmulator = try plugIn(
            "--owner-record", emulator + ".owner.json", adapter: adapter, emulator: runner.path("other"))
        #expect(otherEmulator.status == 65)
        // Another layer map: the record's sources were edited.
        var record = String(decoding: try file("emulator.owner.json"), as: UTF8.self)
        record = record.replacingOccurrences(of: "\"fullLayers\" : 4", with: "\"fullLayers\" : 5")
        let edited = try runner.write(record, to: "edited.owner.json")
        let otherMap = try plugIn("--owner-record", edited, adapter: adapter)
        #expect(otherMap.status == 65)
        #expect((otherMap.error["message"] as? String ?? "").contains("contradict"))
        // No record at all.
        #expect(try plugIn("--owner-record", runner.path("absent.json"), adapter: adapter).status == 66)
        // A missing and an extra tensor.
        for (name, change) in [("missing", { $0.removeFirst() }), ("extra", { $0.append($0[0]) })]
            as [(String, (inout [(String, Data)]) -> Void)]
        {
            let damaged = runner.directory.appendingPathComponent(name)
            try? FileManager.default.removeItem(at: damaged)
            try FileManager.default.copyItem(at: URL(fileURLWithPath: adapter), to: damaged)
            let weights = damaged.appendingPathComponent("adapter_model.safetensors")
            var list = try tensors(of: Data(contentsOf: weights)).sorted { $0.key < $1.key }
                .map { ($0.key, $0.value) }
            change(&list)
            if name == "extra" {
                list[list.count - 1].0 = "base_model.model.model.layers.1.mlp.down_proj.lora_A.weight"
            }
            try safetensors(list, like: Data(contentsOf: weights)).write(to: weights)
            let result = try plugIn(adapter: damaged.path)
            #expect(result.status == 65, "\(name): \(result.output)")
        }
    }

    /// A file with these tensors, their shapes taken from `original` by length.
    private func safetensors(_ list: [(String, Data)], like original: Data) throws -> Data {
        let length = original.prefix(8).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
        let header =
            try JSONSerialization.jsonObject(with: original[8..<8 + length]) as? [String: [String: Any]]
            ?? [:]
        var entries: [String: Any] = [:]
        var body = Data()
        for (name, bytes) in list {
            let like =
                header[name]
                ?? header.values.first {
                    ($0["data_offsets"] as? [Int]).map { $0[1] - $0[0] == bytes.count } ?? false
                }
            entries[name] = [
                "dtype": "F32", "shape": like?["shape"] ?? [bytes.count / 4],
                "data_offsets": [body.count, body.count + bytes.count],
            ]
            body.append(bytes)
        }
        var text = try JSONSerialization.data(withJSONObject: entries)
        while text.count % 8 != 0 { text.append(0x20) }
        var file = Data()
        withUnsafeBytes(of: UInt64(text.count).littleEndian) { file.append(contentsOf: $0) }
        return file + text + body
    }
}
