/// Why a model, tokenizer or adapter file could not be read or written.
///
/// The message names the file, what is wrong with it, and one thing to do next.
public struct CheckpointError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable {
        /// A file that must exist does not.
        case missingFile
        /// The file exists but the system would not let us read it.
        case unreadable
        /// The bytes break the rules of the file's format.
        case malformed
        /// The file is well formed and asks for something this version does not do.
        case unsupported
        /// Well formed, supported, but it does not fit the model it is used with.
        case mismatch
        /// Writing failed; the previous file, if any, is untouched.
        case cannotWrite
    }

    public let kind: Kind
    /// Path of the file or directory at fault.
    public let file: String
    public let reason: String
    /// One next step, as an imperative sentence. Empty if there is none.
    public let hint: String

    public init(_ kind: Kind, file: String, _ reason: String, hint: String = "") {
        self.kind = kind
        self.file = file
        self.reason = reason
        self.hint = hint
    }

    public var description: String {
        hint.isEmpty ? "\(file): \(reason)" : "\(file): \(reason). \(hint)"
    }
}
