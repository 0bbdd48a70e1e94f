/// Why an external trainer's answer was not used. Carries no value of a record, a gradient or an adapter.
public enum ExternalTrainerError: Error, Equatable, Sendable, CustomStringConvertible {
    case cannotStart(command: String, reason: String)
    case tooLate(seconds: Int)
    /// It ended before it was done; the exit code, or minus the signal.
    case ended(status: Int)
    /// It printed something else than a message of the protocol.
    case garbage(String)
    /// It said itself that it failed.
    case failed(String)
    case missingAnswer(file: String)
    case oversizedAnswer(file: String, bytes: Int, bytesMax: Int)
    /// A file that is no safetensors, or whose tensors are not those of the adapter, or not finite.
    case wrongAnswer(String)

    /// For ledgers and logs.
    public var name: String {
        switch self {
        case .cannotStart: "the trainer cannot be started"
        case .tooLate: "the trainer was too late"
        case .ended: "the trainer ended early"
        case .garbage: "the trainer broke its protocol"
        case .failed: "the trainer failed"
        case .missingAnswer, .oversizedAnswer, .wrongAnswer: "the trainer's answer is unfit"
        }
    }

    public var description: String {
        switch self {
        case .cannotStart(let command, let reason): "the trainer `\(command)` cannot be started: \(reason)"
        case .tooLate(let seconds): "the trainer was not done after \(seconds) s and was ended"
        case .ended(let status):
            status < 0
                ? "the trainer was ended by signal \(-status) before it was done"
                : "the trainer ended with status \(status) before it was done"
        case .garbage(let what): "the trainer broke its protocol: \(what)"
        case .failed(let message): "the trainer says that it failed: \(message)"
        case .missingAnswer(let file): "the trainer did not write \(file)"
        case .oversizedAnswer(let file, let bytes, let bytesMax):
            "the trainer's \(file) has \(bytes) bytes, at most \(bytesMax) can be right"
        case .wrongAnswer(let reason): "the trainer's answer does not fit the adapter: \(reason)"
        }
    }
}
