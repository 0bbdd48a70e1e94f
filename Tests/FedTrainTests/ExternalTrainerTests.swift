import DP
import FedTrain
import Foundation
import Models
import Sodium
import Testing

/// Conversations with trainers that are small shell programs: good ones, and every way to be bad.
@Suite struct ExternalTrainerTests {
    let base: BaseModel
    let adapter: LoRAAdapter
    let directory: String

    init() throws {
        base = try BaseModel.load(directory: BuiltInModel.directory())
        training = try DropoutNoiseTests.configuration([("training.localSteps", "5")]).training
        var generator = SplitMix64(seed: 3)
        adapter = LoRAAdapter(
            configuration: LoRAConfiguration(rank: 2, alpha: 4, targetModules: [.query, .down]),
            base: base.model.configuration, generator: &generator)
        directory = NSTemporaryDirectory() + "fedtrain-test-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    private static let examples = [
        TokenizedExample(tokens: [1, 5, 9, 30, 31], targetStart: 2),
        TokenizedExample(tokens: [1, 6, 9, 40], targetStart: 1),
    ]
    private let training: FederationConfiguration.Training

    /// Reads the request and has the paths in $adapter, $examples and $answer.
    private static let prologue = #"""
        read -r request
        field() { printf '%s' "$request" | sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }
        adapter=$(field adapter); examples=$(field examples); answer=$(field answer); want=$(field want)
        """#

    private func trainer(_ script: String, seconds: Int = 20) -> ExternalTrainer {
        ExternalTrainer(
            .init(arguments: ["/bin/sh", "-c", Self.prologue + "\n" + script], timeoutSeconds: seconds),
            base: base, monotonic: { ProcessInfo.processInfo.systemUptime })
    }

    private func update(_ script: String, seconds: Int = 20) throws -> [Float] {
        try trainer(script, seconds: seconds).update(
            of: adapter, part: .bOnly, on: Self.examples, training: training, seed: 1)
    }

    private func fault(_ script: String, seconds: Int = 20) -> ExternalTrainerError? {
        #expect(throws: ExternalTrainerError.self) { try update(script, seconds: seconds) }
    }

    /// A weights file of another adapter of the same shape.
    private func weights(_ name: String, _ values: [Float]) throws -> String {
        let folder = directory + "/" + name
        try PeftAdapter.write(
            LoRAAdapter(
                configuration: adapter.configuration, base: base.model.configuration, values: values),
            to: folder)
        return folder + "/" + PeftAdapter.weightsFile
    }

    private static let done = #"echo '{"type":"progress","step":1}'; echo '{"type":"done"}'"#

    @Test func anUpdateIsTheTrainedPartLessTheOldOne() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let moved = adapter.values.enumerated().map { $1 + Float($0 % 7) / 8 }
        let file = try weights("moved", moved)
        let update = try update("cp \(file) $answer/adapter_model.safetensors; \(Self.done)")
        let expected = LoRAAdapter(
            configuration: adapter.configuration, base: base.model.configuration, values: moved
        ).extract(.bOnly)
        #expect(update == zip(expected, adapter.extract(.bOnly)).map { $0 - $1 })
        #expect(update.contains { $0 != 0 })
    }

    @Test func itGetsTheAdapterTheRecordsAndWhatIsWanted() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let copy = directory + "/seen"
        _ = try update(
            "mkdir \(copy); cp -r $adapter $examples \(copy)/; printf '%s' \"$request\" > \(copy)/request;"
                + "cp $adapter/adapter_model.safetensors $answer/; \(Self.done)")
        let seen = try PeftAdapter.read(copy + "/adapter", base: base.model.configuration)
        #expect(seen == adapter)
        let lines = try String(contentsOfFile: copy + "/examples.jsonl", encoding: .utf8)
        #expect(
            lines
                == "{\"tokens\":[1,5,9,30,31],\"targetStart\":2}\n{\"tokens\":[1,6,9,40],\"targetStart\":1}\n"
        )
        let request = try JSON.parse(Array(Data(contentsOf: URL(fileURLWithPath: copy + "/request"))))
        #expect(request["fedtrain"]?.string == "fedtrain-trainer/1")
        #expect(request["want"]?.string == "update")
        #expect(request["steps"]?.integer == training.localSteps)
        #expect(request["base"]?.string == base.directory)
    }

    @Test func gradientsComeRecordByRecordInOrder() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let values = (0..<2).map { record in
            adapter.values.indices.map { Float($0 % 5 + 100 * record) }
        }
        let (first, second) = (try weights("first", values[0]), try weights("second", values[1]))
        var seen: [[Float]] = []
        try trainer(
            "test $want = gradients && cp \(first) $answer/gradient-000000.safetensors && "
                + "cp \(second) $answer/gradient-000001.safetensors && \(Self.done)"
        ).perRecordGradients(of: Self.examples, adapter: adapter, part: .bOnly) { seen.append($0) }
        let expected = values.map {
            LoRAAdapter(
                configuration: adapter.configuration, base: base.model.configuration, values: $0
            ).extract(.bOnly)
        }
        #expect(seen == expected)
    }

    /// No gradient is used before all of them are known to be fit.
    @Test func oneUnfitGradientUsesNone() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let file = try weights("fit", adapter.values)
        var used = 0
        #expect(throws: ExternalTrainerError.missingAnswer(file: "gradient-000001.safetensors")) {
            try trainer("cp \(file) $answer/gradient-000000.safetensors; \(Self.done)")
                .perRecordGradients(of: Self.examples, adapter: adapter, part: .bOnly) { _ in used += 1 }
        }
        #expect(used == 0)
    }

    @Test func everyWayToFailIsNamed() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        #expect(fault("exit 3") == .ended(status: 3))
        #expect(fault("kill -SEGV $$") == .ended(status: -11))
        #expect(fault("echo hello") == .garbage("a line of 5 bytes is no message"))
        #expect(fault(#"echo '{"type":"party"}'"#) == .garbage("a message of type party"))
        #expect(fault(#"echo '{"type":"error","message":"no GPU"}'; sleep 5"#) == .failed("no GPU"))
        #expect(
            fault(#"printf '%s\n' '{"type":"error","message":"a\u001b[31m\nb"}'"#)
                == .failed("a\u{FFFD}[31m\u{FFFD}b")
        )
        #expect(
            fault("mkfifo $answer/adapter_model.safetensors; \(Self.done)")
                == .missingAnswer(file: "adapter_model.safetensors"))
        #expect(
            fault("mkdir $answer/adapter_model.safetensors; \(Self.done)")
                == .missingAnswer(file: "adapter_model.safetensors"))
        #expect(fault("i=0; while :; do echo '{\"type\":\"progress\"}'; done", seconds: 1) != nil)
        #expect(fault("exec >&-; sleep 60") == .ended(status: -9))
        #expect(
            fault("head -c 100000 /dev/zero | tr '\\0' x; sleep 5")
                == .garbage("a line of more than 65536 bytes"))
        #expect(fault(Self.done) == .missingAnswer(file: "adapter_model.safetensors"))
        #expect(
            fault("ln -s /etc/passwd $answer/adapter_model.safetensors; \(Self.done)")
                == .missingAnswer(file: "adapter_model.safetensors"))
        #expect(
            fault("head -c 9000000 /dev/zero > $answer/adapter_model.safetensors; \(Self.done)")
                == .oversizedAnswer(
                    file: "adapter_model.safetensors", bytes: 9_000_000,
                    bytesMax: 4 * adapter.values.count + (1 << 20)))
        let gone = ExternalTrainer(
            .init(arguments: ["/no/such/program"]), base: base, monotonic: { 0 })
        #expect(throws: ExternalTrainerError.self) {
            try gone.update(of: adapter, part: .bOnly, on: Self.examples, training: training, seed: 1)
        }
    }

    @Test func unfitTensorsAreNamed() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var values = adapter.values
        values[values.count - 1] = .nan
        let cases = [
            (try weights("nan", values), "not a number"),
            (
                try {
                    let other = LoRAConfiguration(rank: 3, alpha: 4, targetModules: [.query, .down])
                    var generator = SplitMix64(seed: 1)
                    try PeftAdapter.write(
                        LoRAAdapter(
                            configuration: other, base: base.model.configuration, generator: &generator),
                        to: directory + "/rank")
                    return directory + "/rank/" + PeftAdapter.weightsFile
                }(), "has shape"
            ),
        ]
        for (file, words) in cases {
            let fault = fault("cp \(file) $answer/adapter_model.safetensors; \(Self.done)")
            #expect(fault?.description.contains(words) == true, "\(String(describing: fault))")
        }
        let damaged = fault(
            "head -c 500 $adapter/adapter_model.safetensors > $answer/adapter_model.safetensors; \(Self.done)"
        )
        #expect(damaged?.description.contains("does not fit") == true)
    }

    /// A trainer that hangs is ended with everything it started.
    @Test func aTrainerThatHangsIsEndedWithItsChildren() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let mark = directory + "/pid"
        #expect(fault("sleep 300 & echo $! > \(mark); wait", seconds: 1) == .tooLate(seconds: 1))
        let child = try #require(
            Int32(
                try String(contentsOfFile: mark, encoding: .utf8).trimmingCharacters(
                    in: .whitespacesAndNewlines)))
        var isGone = false
        for _ in 0..<100 where !isGone {
            isGone = kill(child, 0) != 0 || isZombie(child)
            if !isGone { usleep(20_000) }
        }
        #expect(isGone)
    }

    /// Of this process's open files the program has its three streams and no other.
    @Test func aTrainerInheritsNoOpenFile() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let secret = directory + "/secret"
        try Data("key".utf8).write(to: URL(fileURLWithPath: secret))
        // Without the flag that would close it.
        let descriptor = open(secret, O_RDONLY)
        #expect(descriptor > 2)
        defer { close(descriptor) }
        let seen = directory + "/open"
        _ = fault("ls -l /proc/$$/fd > \(seen); exit 1")
        let lines = try String(contentsOfFile: seen, encoding: .utf8)
        #expect(lines.contains("pipe:") && !lines.contains("secret"))
    }

    /// An update whose norm no float could hold is clipped to the plan's integers like any other.
    @Test func aHugeUpdateMovesTheSumNoFurtherThanTheBound() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let file = try weights("huge", adapter.values.indices.map { $0.isMultiple(of: 2) ? 3e38 : -3e38 })
        let update = try update("cp \(file) $answer/adapter_model.safetensors; \(Self.done)")
        let plan = try EncodingPlan(dimension: update.count, clipNorm: 1, clipSteps: 4096)
        let encoder = UpdateEncoder(
            plan: plan, rotation: Rotation(dimension: update.count, seed: [UInt8](repeating: 1, count: 32)))
        var sum = [Int32](repeating: 0, count: plan.length)
        let outcome = encoder.encode(update, addingTo: &sum, random: StreamRandom(seed: 1, label: "huge"))
        let square = sum.reduce(0) { $0 + Int64($1) * Int64($1) }
        #expect(outcome == .clipped && square > 0)
        #expect(square <= Int64(plan.sensitivitySquared))
    }

    private func isZombie(_ process: Int32) -> Bool {
        let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        return text?.split(separator: ")").last?.hasPrefix(" Z") ?? true
    }
}
