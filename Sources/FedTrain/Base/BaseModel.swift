import Foundation
import Models
import Sodium

/// A base model as every party of a federation must hold it: weights, tokenizer, and one digest over
/// the files that define both.
public struct BaseModel: Sendable {
    public let directory: String
    public let model: LanguageModel
    public let tokenizer: Tokenizer
    /// Names and contents of every file that defines the model; the round plan binds it.
    public let digest: Digest

    /// Loads a Hugging Face directory.
    /// - Parameter store: how to keep the matrices; nil for as the files have them. The digest is of the files
    ///   either way.
    public static func load(directory: String, store: WeightStore? = nil) throws -> BaseModel {
        let checkpoint = try Checkpoint.load(directory: directory)
        let tokenizer = try Tokenizer(directory: directory)
        let model = try LanguageModel(checkpoint: checkpoint, store: store)
        guard tokenizer.vocabularySize <= checkpoint.configuration.vocabularySize else {
            throw CheckpointError(
                .mismatch, file: directory + "/tokenizer.json",
                "it has \(tokenizer.vocabularySize) tokens, but the model's vocabulary has "
                    + "\(checkpoint.configuration.vocabularySize): the tokenizer belongs to another model",
                hint: "Copy tokenizer.json from the model's own directory")
        }
        // The digest reads every byte in any case; after it the weights are in memory and quickly looked through.
        let digest = try digest(of: checkpoint.fileList, in: directory)
        if let tensor = model.tensorNotFinite {
            throw CheckpointError(
                .malformed, file: directory, "tensor \(tensor) holds a value that is not a finite number",
                hint: "The file may be damaged, or the training that made it diverged")
        }
        return BaseModel(directory: directory, model: model, tokenizer: tokenizer, digest: digest)
    }

    /// The tokens that end an answer: the configuration's, or else the tokenizer's.
    public var endTokens: [Int32] {
        model.configuration.endTokenIDs.map { Int32($0) }
    }

    /// TH over each file's name and the digest of its bytes, in the list's order.
    static func digest(of files: [String], in directory: String) throws -> Digest {
        var parts: [[UInt8]] = []
        for file in files {
            parts.append(Array(file.utf8))
            parts.append(try fileDigest(directory + "/" + file).bytes)
        }
        return Digest.labelled("fedtrain/v1/base-model", parts)
    }
}

/// BLAKE2b-256 of a file's bytes, read in pieces.
public func fileDigest(_ path: String) throws -> Digest {
    guard let handle = FileHandle(forReadingAtPath: path) else {
        throw CheckpointError(.missingFile, file: path, "there is no such file, or it cannot be read")
    }
    defer { try? handle.close() }
    var hasher = Hasher256()
    while let piece = try handle.read(upToCount: 1 << 20), !piece.isEmpty {
        piece.withUnsafeBytes { hasher.update($0) }
    }
    return hasher.finish()
}
