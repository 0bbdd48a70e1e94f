import Foundation
import Models

/// A distillation under way, on disk: a process that is stopped goes on where it was.
public struct DistillationFile {
    public let path: String
    /// What determines the distillation; a state of another one is not taken up.
    public let fingerprint: String

    /// - Parameter directory: the emulator's directory; the file lies beside it until it is finished.
    public init(beside directory: String, fingerprint: String) {
        path = directory + ".partial.safetensors"
        self.fingerprint = fingerprint
    }

    /// Writes the state whole: temporary name, sync, rename.
    public func save(_ state: DistillationState) throws {
        func tensor(_ name: String, _ values: [Float]) -> SafeTensor {
            SafeTensor(name: name, shape: [values.count], values: values)
        }
        try SafeTensorsFile.write(
            [
                tensor("values", state.values), tensor("first", state.first),
                tensor("second", state.second), tensor("best", state.best),
            ],
            metadata: [
                "fingerprint": fingerprint, "step": "\(state.step)",
                "bestLoss": "\(state.bestLoss.bitPattern)",
                "checksSinceBest": "\(state.checksSinceBest)",
            ], to: path)
    }

    /// The state of the same distillation, nil when there is none.
    /// - Throws: `CheckpointError` for a file that is damaged.
    public func load() throws -> DistillationState? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let file = try SafeTensorsFile(path: path)
        guard file.metadata["fingerprint"] == fingerprint else { return nil }
        guard let step = file.metadata["step"].flatMap({ Int($0) }),
            let loss = file.metadata["bestLoss"].flatMap({ UInt64($0) }),
            let checks = file.metadata["checksSinceBest"].flatMap({ Int($0) })
        else {
            throw CheckpointError(.malformed, file: path, "lacks its step; delete the file and start again")
        }
        func values(_ name: String) throws -> [Float] {
            guard let entry = file[name] else {
                throw CheckpointError(
                    .malformed, file: path, "lacks \(name); delete the file and start again")
            }
            return try file.floats(entry)
        }
        return DistillationState(
            values: try values("values"), first: try values("first"), second: try values("second"),
            step: step, best: try values("best"), bestLoss: Double(bitPattern: loss),
            checksSinceBest: checks)
    }

    public func remove() {
        try? FileManager.default.removeItem(atPath: path)
    }
}
