import Foundation
import Models

/// A program of the user's that trains in this client's place: `trainer` in `federation.yaml`.
///
/// The program gets the adapter, the records as token ids and what is wanted, and gives an updated adapter or one
/// gradient for each record. It never sees a key, a ledger, a mask or the noise. What it gives is checked (files,
/// names, shapes, finite) and then clipped, rounded, noised and masked here like this client's own.
///
/// One process serves one contribution, so nothing that it holds in memory passes from client to client or from
/// round to round. `docs/external-trainer.md` tells the protocol and what the program is trusted with.
public struct ExternalTrainer {
    /// What `federation.yaml` says.
    public struct Command: Sendable, Equatable {
        /// A path, or a name on PATH, and its arguments.
        public var arguments: [String]
        /// For one contribution, from start to end.
        public var timeoutSeconds: Int

        /// A week at most.
        public static let timeoutSecondsRange = 1...604_800

        /// - Precondition: a program is named, and the time is in its range.
        public init(arguments: [String], timeoutSeconds: Int = 3600) {
            precondition(arguments.first?.isEmpty == false)
            precondition(Self.timeoutSecondsRange.contains(timeoutSeconds))
            self.arguments = arguments
            self.timeoutSeconds = timeoutSeconds
        }
    }

    static let version = "fedtrain-trainer/1"
    /// Lines of progress that a program may print for one request.
    static let progressLinesMax = 100_000

    let command: Command
    /// The base model's directory, which the program reads itself.
    let baseDirectory: String
    let base: ModelConfiguration
    /// Seconds of a clock that never jumps.
    let monotonic: () -> Double

    public init(_ command: Command, base: BaseModel, monotonic: @escaping () -> Double) {
        self.command = command
        baseDirectory = base.directory
        self.base = base.model.configuration
        self.monotonic = monotonic
    }

    /// What local training changed in `part`.
    package func update(
        of adapter: LoRAAdapter, part: TrainablePart, on examples: [TokenizedExample],
        training: FederationConfiguration.Training, seed: UInt64
    ) throws -> [Float] {
        try inWorkspace { workspace in
            try workspace.write(adapter: adapter, examples: examples)
            try converse(
                in: workspace,
                request: [
                    .init("want", .string("update")), .init("trains", .string(part.factors)),
                    .init("steps", .integer(training.localSteps)),
                    .init("batchSize", .integer(training.batchSize)),
                    .init("learningRate", .real(training.learningRate)),
                    .init("optimizer", .string(training.optimizer.rawValue)),
                    .init("momentum", .real(training.momentum)),
                    // Whole numbers that every JSON reader keeps exactly.
                    .init("seed", .integer(Int(seed >> 12))),
                ])
            let trained = try workspace.answer(PeftAdapter.weightsFile, like: adapter)
            return zip(trained.extract(part), adapter.extract(part)).map { $0 - $1 }
        }
    }

    /// Calls `body` with the gradient of each record's mean loss with respect to `part`, in the records' order.
    ///
    /// All answers are checked before the first is used: a record's gradient leaves only if every one is fit.
    package func perRecordGradients(
        of examples: [TokenizedExample], adapter: LoRAAdapter, part: TrainablePart,
        body: ([Float]) throws -> Void
    ) throws {
        guard !examples.isEmpty else { return }
        try inWorkspace { workspace in
            try workspace.write(adapter: adapter, examples: examples)
            try converse(
                in: workspace,
                request: [.init("want", .string("gradients")), .init("trains", .string(part.factors))])
            for index in examples.indices {
                _ = try workspace.answer(Self.gradientFile(index), like: adapter)
            }
            for index in examples.indices {
                try body(try workspace.answer(Self.gradientFile(index), like: adapter).extract(part))
            }
        }
    }

    /// `gradient-000000.safetensors` belongs to the first line of `examples.jsonl`.
    static func gradientFile(_ index: Int) -> String {
        let digits = "\(index)"
        return "gradient-\(String(repeating: "0", count: max(0, 6 - digits.count)))\(digits).safetensors"
    }

    private func inWorkspace<Result>(_ body: (TrainerWorkspace) throws -> Result) throws -> Result {
        let workspace = try TrainerWorkspace(base: base)
        defer { workspace.remove() }
        do {
            return try body(workspace)
        } catch let fault as ChildProcess.Fault {
            throw error(fault)
        }
    }

    /// Starts the program, asks once, and waits until it is done.
    private func converse(in workspace: TrainerWorkspace, request: [JSON.Member]) throws {
        let child = try ChildProcess(
            command.arguments, deadline: monotonic() + Double(command.timeoutSeconds), monotonic: monotonic)
        let message = JSON.object(
            [
                .init("fedtrain", .string(Self.version)),
                .init("base", .string(URL(fileURLWithPath: baseDirectory).path)),
                .init("adapter", .string(workspace.adapterDirectory)),
                .init("examples", .string(workspace.examplesFile)),
                .init("answer", .string(workspace.answerDirectory)),
            ] + request)
        try child.write(message.text())
        for _ in 0...Self.progressLinesMax {
            let line = try child.readLine()
            guard let reply = try? JSON.parse(Array(line.utf8)), let type = reply["type"]?.string else {
                throw ExternalTrainerError.garbage("a line of \(line.utf8.count) bytes is no message")
            }
            switch type {
            case "progress": continue
            case "done": return
            case "error":
                // At most a line of its own words; it may not be trusted with more.
                throw ExternalTrainerError.failed(printable(reply["message"]?.string ?? "no reason", 200))
            default: throw ExternalTrainerError.garbage("a message of type \(printable(type, 40))")
            }
        }
        throw ExternalTrainerError.garbage("more than \(Self.progressLinesMax) lines of progress")
    }

    private func error(_ fault: ChildProcess.Fault) -> ExternalTrainerError {
        switch fault {
        case .cannotStart(let reason): .cannotStart(command: command.arguments[0], reason: reason)
        case .tooLate: .tooLate(seconds: command.timeoutSeconds)
        case .ended(let status): .ended(status: Int(status))
        case .lineTooLong: .garbage("a line of more than \(ChildProcess.lineMax) bytes")
        }
    }
}

/// A program's words as one line that cannot steer a terminal.
private func printable(_ text: String, _ lengthMax: Int) -> String {
    var line = String.UnicodeScalarView()
    for scalar in text.unicodeScalars.prefix(lengthMax) {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
            line.append("\u{FFFD}")
        default: line.append(scalar)
        }
    }
    return String(line)
}

extension FederationConfiguration {
    /// Why no other program can train under these terms; nil if one can.
    var trainerRefusal: String? {
        if privacy.isInClear { return "another program trains private federations; privacy.unit is none" }
        guard training.algorithm == .fedAvg || training.algorithm == .dpFedSGD else {
            return "another program trains under fedavg or dp-fedsgd; this is \(training.algorithm.rawValue)"
        }
        guard case .lora = model.adapter else {
            return "another program trains lora; this adapter is \(model.adapter.kind)"
        }
        return nil
    }
}

extension TrainablePart {
    /// Which factors of LoRA a round trains, as the request says it.
    fileprivate var factors: String {
        switch self {
        case .aOnly: "lora_A"
        case .bOnly: "lora_B"
        case .aAndB: "lora_A lora_B"
        }
    }
}
