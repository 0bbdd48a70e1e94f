import Foundation
import Testing

/// Broken checkpoints and adapters, given to the built executable: exit 65, the tensor or field by name,
/// nothing written.
@Suite struct ModelRefusalTests {
    let command: CommandRunner

    init() throws {
        command = try CommandRunner()
        try Self.checkpoint.write(to: command.directory.appendingPathComponent("base"))
        _ = try command.write("{\"text\": \"abc abc\"}\n", to: "texts.jsonl")
    }

    /// Files of a tiny GPT-2: two layers of width 4 over the 256 bytes.
    struct Files {
        var configuration: [String: Any] = [
            "model_type": "gpt2", "n_embd": 4, "n_layer": 2, "n_head": 2, "n_positions": 16,
            "vocab_size": 257, "eos_token_id": 256,
        ]
        /// Shape and value of each tensor; a tensor is one number all over.
        var tensors: [String: (shape: [Int], value: Float)] = [:]
        var tokens = 256

        init() {
            tensors["transformer.wte.weight"] = ([257, 4], 0.1)
            tensors["transformer.wpe.weight"] = ([16, 4], 0.2)
            for layer in 0..<2 {
                let block = "transformer.h.\(layer)."
                for (name, inputs, outputs) in [
                    ("attn.c_attn", 4, 12), ("attn.c_proj", 4, 4), ("mlp.c_fc", 4, 16),
                    ("mlp.c_proj", 16, 4),
                ] {
                    tensors["\(block)\(name).weight"] = ([inputs, outputs], 0.1)
                    tensors["\(block)\(name).bias"] = ([outputs], 0)
                }
                for norm in ["ln_1", "ln_2"] {
                    tensors["\(block)\(norm).weight"] = ([4], 1)
                    tensors["\(block)\(norm).bias"] = ([4], 0)
                }
            }
            tensors["transformer.ln_f.weight"] = ([4], 1)
            tensors["transformer.ln_f.bias"] = ([4], 0)
        }

        /// The bytes of a safetensors file.
        var weights: Data {
            var header: [String: Any] = [:]
            var body = Data()
            for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
                let count = tensor.shape.reduce(1, *)
                header[name] = [
                    "dtype": "F32", "shape": tensor.shape,
                    "data_offsets": [body.count, body.count + 4 * count],
                ]
                let bits = withUnsafeBytes(of: tensor.value.bitPattern.littleEndian, Array.init)
                for _ in 0..<count { body += bits }
            }
            return Self.file(header, body)
        }

        static func file(_ header: [String: Any], _ body: Data) -> Data {
            let text = (try? JSONSerialization.data(withJSONObject: header)) ?? Data()
            return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) } + text + body
        }

        func write(to directory: URL) throws {
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            try JSONSerialization.data(withJSONObject: configuration)
                .write(to: directory.appendingPathComponent("config.json"))
            try weights.write(to: directory.appendingPathComponent("model.safetensors"))
            // The bytes' letters: printable Latin stand for themselves, the others from U+0100 on.
            var letters: [String: Int] = [:]
            var next: UInt32 = 256
            for byte in UInt32(0)..<256 {
                let isPlain = (33...126).contains(byte) || (161...172).contains(byte) || byte >= 174
                letters[String(Unicode.Scalar(isPlain ? byte : next)!)] = Int(byte)
                if !isPlain { next += 1 }
            }
            let tokenizer: [String: Any] = [
                "version": "1.0",
                "added_tokens": [
                    [
                        "id": tokens, "content": "<end>", "single_word": false, "lstrip": false,
                        "rstrip": false, "normalized": false, "special": true,
                    ]
                ],
                "pre_tokenizer": [
                    "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
                ],
                "decoder": ["type": "ByteLevel"],
                "model": ["type": "BPE", "vocab": letters, "merges": [String]()],
            ]
            try JSONSerialization.data(withJSONObject: tokenizer)
                .write(to: directory.appendingPathComponent("tokenizer.json"))
        }
    }

    static var checkpoint: Files { Files() }

    private func evaluate(_ base: String, _ extra: [String] = []) throws -> CommandRunner.Result {
        try command.run(["evaluate", "--base", base, "--data", "texts.jsonl", "--json"] + extra)
    }

    private func expectRefusal(
        _ result: CommandRunner.Result, naming word: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(result.status == 65, "\(result.errors)", sourceLocation: sourceLocation)
        #expect(result.errors.contains(word), "\(result.errors)", sourceLocation: sourceLocation)
    }

    @Test func theWholeCheckpointIsScored() throws {
        let result = try evaluate("base")
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.data["tokens"] as? Int == 6)
    }

    @Test func tensorsThatDoNotFitAreNamed() throws {
        let name = "transformer.h.1.mlp.c_fc.weight"
        let changes: [(String, (inout Files) -> Void)] = [
            (name, { $0.tensors[name] = nil }),
            ("transformer.h.2.x", { $0.tensors["transformer.h.2.x"] = ([1], 0) }),
            (name, { $0.tensors[name] = ([16, 4], 0.1) }),
            (name, { $0.tensors[name] = ([4, 16], .nan) }),
            ("transformer.wpe.weight", { $0.configuration["n_positions"] = 17 }),
            ("model_type bert", { $0.configuration["model_type"] = "bert" }),
            ("activation_function", { $0.configuration["activation_function"] = "relu" }),
            ("tokenizer.json", { $0.tokens = 300 }),
        ]
        for (index, (word, change)) in changes.enumerated() {
            var files = Self.checkpoint
            change(&files)
            try files.write(to: command.directory.appendingPathComponent("base\(index)"))
            expectRefusal(try evaluate("base\(index)"), naming: word)
        }
    }

    @Test func malformedHeadersAreRefused() throws {
        let good = Self.checkpoint.weights
        let length = Int(good.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
        let header = try #require(
            try JSONSerialization.jsonObject(with: good[8..<8 + length]) as? [String: Any])
        let body = good[(8 + length)...]
        let first = try #require(header.keys.min())
        func changed(_ key: String, _ value: Any) -> Data {
            var header = header
            var entry = header[first] as? [String: Any] ?? [:]
            entry[key] = value
            header[first] = entry
            return Files.file(header, Data(body))
        }
        func prefixed(_ count: UInt64, _ rest: Data) -> Data {
            withUnsafeBytes(of: count.littleEndian) { Data($0) } + rest
        }
        let text = String(decoding: good[8..<8 + length], as: UTF8.self)
        let twice = Data("\(text.dropLast()), \"\(first)\": 1}".utf8)
        let cases: [Data] = [
            Data("1234".utf8), prefixed(1 << 40, good[8...]), Data(good.prefix(8 + length / 2)),
            prefixed(2, Data("[]".utf8) + body), prefixed(3, Data("{x}".utf8) + body),
            prefixed(UInt64(twice.count), twice + body), changed("dtype", "Q9"), changed("shape", [1]),
            changed("shape", [-1]), changed("shape", [1 << 40, 1 << 40]), changed("data_offsets", [4, 20]),
            good + Data("0000".utf8), good.dropLast(4),
        ]
        for (index, bytes) in cases.enumerated() {
            let url = command.directory.appendingPathComponent("base/model.safetensors")
            try bytes.write(to: url)
            let result = try evaluate("base")
            #expect(result.status == 65, "case \(index): \(result.errors)")
            #expect(result.errors.contains("model.safetensors"))
        }
        try good.write(to: command.directory.appendingPathComponent("base/model.safetensors"))
    }

    @Test func recordsLongerThanThePositionsAreRefusedUnlessCutOrDropped() throws {
        let long = String(repeating: "abcd ", count: 5)
        _ = try command.write("{\"text\": \"abc\"}\n{\"text\": \"\(long)\"}\n", to: "texts.jsonl")
        expectRefusal(try evaluate("base"), naming: "record 2")
        #expect(try evaluate("base", ["--overlong", "truncate"]).data["tokens"] as? Int == 17)
        #expect(try evaluate("base", ["--overlong", "drop"]).data["tokens"] as? Int == 2)
        let prompt = try command.run("generate", "--base", "base", "--prompt", long)
        expectRefusal(prompt, naming: "16")
    }

    @Test func anAdapterIsInspectedExportedMergedOrRefused() throws {
        let folder = command.directory.appendingPathComponent("adapter")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        var files = Files()
        files.tensors = [:]
        for layer in 0..<2 {
            let key = "base_model.model.transformer.h.\(layer).attn.c_attn"
            files.tensors["\(key).lora_A.weight"] = ([1, 4], 0.5)
            files.tensors["\(key).lora_B.weight"] = ([12, 1], 0.25)
        }
        try files.weights.write(to: folder.appendingPathComponent("adapter_model.safetensors"))
        _ = try command.write(
            "{\"peft_type\": \"LORA\", \"r\": 1, \"lora_alpha\": 2, \"target_modules\": [\"c_attn\"]}",
            to: "adapter/adapter_config.json")

        let inspected = try command.run("adapter", "inspect", "adapter", "--base", "base", "--json")
        #expect(inspected.status == 0, "\(inspected.errors)")
        #expect(inspected.data["kind"] as? String == "lora")
        #expect(inspected.data["parameters"] as? Int == 32)
        let exported = try command.run(
            "adapter", "export", "adapter", "--base", "base", "--to", "again", "--json")
        #expect(exported.data["digest"] as? String == inspected.data["digest"] as? String)
        // What is there is not written over.
        #expect(
            try command.run("adapter", "export", "adapter", "--base", "base", "--to", "again").status == 73)
        let merged = try command.run("adapter", "merge", "adapter", "--base", "base", "--to", "merged")
        #expect(merged.status == 0, "\(merged.errors)")
        let adapted = try #require(try evaluate("base", ["--adapter", "again"]).data["loss"] as? Double)
        let whole = try #require(try evaluate("merged").data["loss"] as? Double)
        #expect(abs(adapted - whole) < 2e-5)

        var other = Self.checkpoint
        other.configuration["n_layer"] = 1
        other.tensors = other.tensors.filter { !$0.key.contains(".h.1.") }
        try other.write(to: command.directory.appendingPathComponent("other"))
        expectRefusal(
            try command.run("adapter", "merge", "adapter", "--base", "other", "--to", "never"),
            naming: "another base")
        #expect(!FileManager.default.fileExists(atPath: command.path("never")))
    }

    @Test func choicesAnswersAndProgramsAreScored() throws {
        _ = try command.write(
            "{\"context\": \"abc\", \"choices\": [\"a\", \"bc\"], \"answer\": 0}\n", to: "choices.jsonl")
        let choices = try command.run(
            "evaluate", "--base", "base", "--data", "choices.jsonl", "--metric", "accuracy", "--json")
        #expect(choices.data["accuracy"] as? Double != nil, "\(choices.errors)")

        _ = try command.write(
            "{\"question\": \"1+1?\", \"answer\": \"1+1=2\\n#### 2\"}\n{\"question\": \"?\", \"answer\": \"#### 3\"}\n",
            to: "gsm.jsonl")
        _ = try command.write(
            "{\"completion\": \"so The answer is 2.\"}\n{\"completion\": \"5\"}\n", to: "texts-gsm.jsonl")
        let numbers = try command.run(
            "evaluate", "--data", "gsm.jsonl", "--metric", "exact-match", "--rules", "sentence",
            "--completions", "texts-gsm.jsonl", "--json")
        #expect(numbers.data["exactMatch"] as? Double == 0.5, "\(numbers.errors)")

        _ = try command.write(
            #"{"task_id": "t", "prompt": "def f():\n", "entry_point": "f", "test": "def check(g):\n    assert g() == 1\n"}"#,
            to: "problems.jsonl")
        _ = try command.write(
            #"{"task_id": "t", "completion": "    return 1\n"}"# + "\n"
                + #"{"task_id": "t", "completion": "    return 2\n"}"# + "\n", to: "programs.jsonl")
        let programs = try command.run(
            "evaluate", "--data", "problems.jsonl", "--metric", "pass@k", "--completions",
            "programs.jsonl", "--k", "1", "--k", "2", "--json")
        // Where there is no sandbox nothing is run, and the command says how to insist.
        if programs.status == 16 {
            #expect(programs.errors.contains("--allow-unsandboxed"))
        } else {
            #expect(programs.data["passAtK"] as? [String: Double] == ["1": 0.5, "2": 1])
        }
    }
}
