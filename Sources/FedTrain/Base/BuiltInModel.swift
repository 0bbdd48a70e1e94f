import Foundation
import Models

/// The small base model that comes with the tool; `docs/builtin-model.md` tells how it was made.
public enum BuiltInModel {
    /// Its directory, in Hugging Face layout.
    public static func directory() throws -> String {
        guard let path = Bundle.module.path(forResource: "built-in-base", ofType: nil) else {
            throw CheckpointError(
                .missingFile, file: "built-in-base",
                "the built-in model is not beside the executable",
                hint: "Build again: scripts/fedtrain --version")
        }
        return path
    }
}
