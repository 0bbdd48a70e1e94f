import Foundation
import Models
import Sodium

/// `emulator.json`, inside the directory that travels: what a site must know, and nothing about the
/// withheld model but its depth.
public struct EmulatorNotice: Codable, Sendable, Equatable {
    public static let fileName = "emulator.json"
    public static let schema = "fedtrain/emulator/1"

    public var schema = EmulatorNotice.schema
    /// The emulator's blocks that sites train.
    public var adapterBlocks: [Int]

    public init(adapterBlocks: [Int]) {
        self.adapterBlocks = adapterBlocks
    }

    /// The notice of a model directory; nil when it is no emulator.
    /// - Throws: `OffsiteError.malformed` for a notice that does not fit the model.
    public static func read(directory: String, layers: Int) throws -> EmulatorNotice? {
        let file = "\(directory)/\(fileName)"
        guard FileManager.default.fileExists(atPath: file) else { return nil }
        let notice: EmulatorNotice = try readOffsiteFile(file)
        guard notice.schema == schema else {
            throw OffsiteError.malformed(
                file: file, "schema is \(notice.schema), this version reads \(schema)")
        }
        let blocks = notice.adapterBlocks
        guard !blocks.isEmpty, blocks == Set(blocks).sorted(), blocks.allSatisfy({ 0..<layers ~= $0 })
        else {
            throw OffsiteError.malformed(
                file: file, "adapterBlocks \(blocks) are not distinct blocks of a model of \(layers)")
        }
        return notice
    }
}

/// What the owner keeps beside the emulator and never sends: where each block came from, and digests of
/// both models, so that an adapter is plugged in by name into the right model or not at all.
public struct EmulatorOwnerRecord: Codable, Sendable, Equatable {
    public static let schema = "fedtrain/emulator-owner/1"

    public var schema = EmulatorOwnerRecord.schema
    /// Digest of the full model's files.
    public var fullModel: String
    /// Digest of the emulator's files.
    public var emulator: String
    /// For every block of the emulator, the full model's block that it came from.
    public var sources: [Int]
    /// The emulator's blocks between the adapter blocks at its ends: first, and one past the last.
    public var middle: [Int]
    /// Adapter blocks inside the middle; absent for none.
    public var inner: [Int]?
    public var fullLayers: Int
    /// The recipe in words.
    public var recipe: String

    public init(fullModel: Digest, emulator: Digest, shape: EmulatorShape, recipe: String) {
        self.fullModel = fullModel.hex
        self.emulator = emulator.hex
        sources = shape.sources
        middle = [shape.middle.lowerBound, shape.middle.upperBound]
        inner = shape.inner.isEmpty ? nil : shape.inner
        fullLayers = shape.fullCount
        self.recipe = recipe
    }

    /// The record's place for an emulator directory: beside it, so that copying the directory leaves it.
    public static func path(for directory: String) -> String {
        var directory = directory
        while directory.count > 1, directory.hasSuffix("/") { directory.removeLast() }
        return directory + ".owner.json"
    }

    public static func read(_ file: String) throws -> EmulatorOwnerRecord {
        let record: EmulatorOwnerRecord = try readOffsiteFile(file)
        guard record.schema == schema else {
            throw OffsiteError.malformed(
                file: file, "schema is \(record.schema), this version reads \(schema)")
        }
        guard record.isConsistent else {
            throw OffsiteError.malformed(
                file: file, "sources, middle, inner and fullLayers contradict one another")
        }
        return record
    }

    private var isConsistent: Bool {
        guard middle.count == 2, middle[0] >= 0, middle[0] < middle[1], middle[1] < sources.count else {
            return false
        }
        let above = sources.count - middle[1]
        let inner = inner ?? []
        guard inner.allSatisfy({ middle[0]..<middle[1] ~= $0 }), inner.count < middle[1] - middle[0],
            zip(inner, inner.dropFirst()).allSatisfy({ $0 < $1 && sources[$0] < sources[$1] })
        else { return false }
        return fullLayers >= middle[0] + above + 1
            && Array(sources[..<middle[0]]) == Array(0..<middle[0])
            && Array(sources[middle[1]...]) == Array(fullLayers - above..<fullLayers)
            && sources[middle[0]..<middle[1]].allSatisfy { middle[0]..<fullLayers - above ~= $0 }
    }

    public var shape: EmulatorShape {
        EmulatorShape(
            sources: sources, middle: middle[0]..<middle[1], inner: inner ?? [], fullCount: fullLayers)
    }

    /// Refuses models that the record was not made for.
    public func check(full: BaseModel, emulator: BaseModel?, file: String) throws(OffsiteError) {
        guard full.digest.hex == fullModel else {
            throw .mismatch(
                file: full.directory, "is not the model that this emulator was made from (by \(file))")
        }
        if let emulator, emulator.digest.hex != self.emulator {
            throw .mismatch(file: emulator.directory, "is not the emulator that \(file) describes")
        }
    }
}

private func readOffsiteFile<Value: Decodable>(_ file: String) throws -> Value {
    guard let data = FileManager.default.contents(atPath: file) else {
        throw CheckpointError(.missingFile, file: file, "there is no such file, or it cannot be read")
    }
    do {
        return try JSONDecoder().decode(Value.self, from: data)
    } catch {
        throw OffsiteError.malformed(file: file, "is not the JSON that `fedtrain emulator make` writes")
    }
}

/// Canonical text: keys sorted, one line each, a newline at the end.
func offsiteJSON(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
}
