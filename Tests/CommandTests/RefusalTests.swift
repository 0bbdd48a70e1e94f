import Foundation
import Testing

/// Bad input gets a clear message, the right exit code, and leaves nothing half-written.
@Suite struct RefusalTests {
    let command: CommandRunner

    init() throws { command = try CommandRunner() }

    private func workspace(_ change: (String) -> String = { $0 }) throws -> String {
        let made = try command.run("init", "w")
        #expect(made.status == 0)
        let file = command.path("w/federation.yaml")
        let text = try String(contentsOfFile: file, encoding: .utf8)
        try Data(change(text).utf8).write(to: URL(fileURLWithPath: file))
        return file
    }

    private var runs: [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: command.path("w/runs"))) ?? []
    }

    @Test func aMissingFileIsNamedAndExits66() throws {
        let result = try command.run("plan", "nowhere.yaml", "--json")
        #expect(result.status == 66)
        #expect(result.error["code"] as? String == "FT0066")
        #expect(result.error["location"] as? String == "nowhere.yaml")
    }

    @Test func brokenYAMLIsPlacedByLineAndColumn() throws {
        let file = try command.write("schema: fedtrain/1\nname: [a, b\nrounds: 3\n", to: "broken.yaml")
        let result = try command.run("plan", file)
        #expect(result.status == 78)
        #expect(result.errors.contains("\(file):3:"))
    }

    @Test func anUnknownKeyIsPlacedAndASuggestionMade() throws {
        let file = try workspace { $0.replacingOccurrences(of: "minSurvivors:", with: "minSurvivor:") }
        let result = try command.run("simulate", file)
        #expect(result.status == 78)
        #expect(result.errors.contains("minSurvivor"))
        #expect(
            result.errors.contains("`rounds.minSurvivors` is missing")
                || result.errors.contains("did you mean"))
        let extra = try command.run("plan", command.path("w/federation.yaml"), "--set", "rounds.cuont=3")
        #expect(extra.status == 78)
        #expect(runs.isEmpty)
    }

    @Test func anUnknownKeyBesideTheRightOneSuggestsIt() throws {
        let file = try workspace { $0.replacingOccurrences(of: "  count: ", with: "  coumt: 3\n  count: ") }
        let result = try command.run("plan", file)
        #expect(result.status == 78)
        #expect(result.errors.contains("did you mean `count`?"))
        let line =
            try String(contentsOfFile: file, encoding: .utf8)
            .components(separatedBy: "\n").firstIndex { $0.contains("coumt") }! + 1
        #expect(result.errors.contains("\(file):\(line):3"))
    }

    @Test func aTruncatedCheckpointIsRefused() throws {
        let base = try copyOfBuiltInModel()
        let weights = base.appendingPathComponent("model.safetensors")
        let data = try Data(contentsOf: weights)
        try data.prefix(data.count / 2).write(to: weights)
        let result = try command.run("generate", "--base", base.path, "--prompt", "x")
        #expect(result.status == 65)
        #expect(result.errors.contains("model.safetensors"))
    }

    @Test func aTokenizerOfAnotherModelIsRefused() throws {
        let base = try copyOfBuiltInModel()
        let config = base.appendingPathComponent("config.json")
        let text = try String(contentsOf: config, encoding: .utf8)
        let weights = try String(contentsOf: base.appendingPathComponent("tokenizer.json"), encoding: .utf8)
        // One more token than the model has rows for.
        let size = text.components(separatedBy: "\"vocab_size\": ")[1].prefix { $0.isNumber }
        let wider = weights.replacingOccurrences(
            of: "\"vocab\": {", with: "\"vocab\": {\n      \"an extra token\": \(size),")
        try Data(wider.utf8).write(to: base.appendingPathComponent("tokenizer.json"))
        let result = try command.run("generate", "--base", base.path, "--prompt", "x")
        #expect(result.status == 65)
        #expect(result.errors.contains("tokenizer"))
    }

    @Test func aBadLineOfJSONLIsNumbered() throws {
        let file = try command.write(
            "{\"text\": \"fine\"}\n{\"text\": \n{\"text\": \"fine\"}\n", to: "bad.jsonl")
        let result = try command.run("evaluate", "--data", file)
        #expect(result.status == 65)
        #expect(result.errors.contains("bad.jsonl:2"))
        #expect(!result.errors.contains("fine"))
    }

    @Test func anAdapterForAnotherBaseIsRefused() throws {
        let adapter = command.directory.appendingPathComponent("adapter")
        try FileManager.default.createDirectory(at: adapter, withIntermediateDirectories: true)
        _ = try command.write(
            """
            {"lora_alpha": 4, "peft_type": "LORA", "r": 2, "target_modules": ["q_proj"]}
            """, to: "adapter/adapter_config.json")
        // A well-formed file for a base of width 8: zeros, A 2 × 8 and B 8 × 2.
        let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
        var header = "{\"\(name)A.weight\":{\"dtype\":\"F32\",\"shape\":[2,8],\"data_offsets\":[0,64]},"
        header += "\"\(name)B.weight\":{\"dtype\":\"F32\",\"shape\":[8,2],\"data_offsets\":[64,128]}}"
        while header.utf8.count % 8 != 0 { header += " " }
        var bytes = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) }
        bytes += Data(header.utf8) + Data(count: 128)
        try bytes.write(to: adapter.appendingPathComponent("adapter_model.safetensors"))
        let result = try command.run("generate", "--adapter", adapter.path, "--prompt", "x")
        #expect(result.status == 65)
        #expect(!result.errors.isEmpty)
    }

    @Test func wrongUsageExits64InTheSameEnvelope() throws {
        let result = try command.run("account", "--json")
        #expect(result.status == 64)
        #expect(result.json["ok"] as? Bool == false)
        #expect(result.error["code"] as? String == "FT0064")
    }

    @Test(arguments: [
        ["--clients", "2"], ["--dimension", "0"], ["--bits", "7"], ["--bits", "33"], ["--drop", "mask=2"],
        ["--drop", "mask"], ["--drop", "lunch=0.1"], ["--drop", "mask=0.7", "--drop", "share=0.7"],
        ["--drop", "mask=-0.1"], ["--faults", "gremlins"], ["--faults", "kill-server@lunch"],
        ["--faults", "swap-key", "--faults", "lie-share"],
        ["--faults", "flip", "--faults", "late-masked-input"], ["--faults", "flip,late-masked-input"],
        ["--faults", "flip,"], ["--drop", "mask=10%"],
        ["--faults", "flip", "--drop", "mask=1"], ["--seed", "-1"], ["--dropouts", "0.49"],
        ["--chunk-length", "63"], ["--clients", "200000"], ["--colluders", "two"], ["--min-survivors", "1"],
    ])
    func aDrillThatCannotBeRunIsRefusedAsUsage(arguments: [String]) throws {
        let result = try command.run(["drill", "--quiet"] + arguments)
        #expect(result.status == 64)
        #expect(result.output.isEmpty && !result.errors.isEmpty)
    }

    @Test(arguments: [
        [], ["runs/0001", "--transcript", "t"], ["runs/0001", "--sample", "3"],
        ["--transcript", "t", "--key", "00"], ["--transcript", "t", "--sample", "-1"],
        ["--transcript", "t", "--server-key", "xyz"],
    ])
    func anAuditOfNothingInParticularIsRefusedAsUsage(arguments: [String]) throws {
        #expect(try command.run(["audit"] + arguments).status == 64)
    }

    @Test func aDirectoryInUseIsNotOverwritten() throws {
        _ = try workspace()
        let result = try command.run("init", "w")
        #expect(result.status == 73)
    }

    private func copyOfBuiltInModel() throws -> URL {
        let source = CommandRunner.root.appendingPathComponent("Sources/FedTrain/Resources/built-in-base")
        let target = command.directory.appendingPathComponent("base")
        try FileManager.default.copyItem(at: source, to: target)
        return target
    }
}
