import Foundation

/// The studies that come with the tool, by name; `docs/studies.md` has what to expect of each.
public enum ShippedStudies {
    public static let names = [
        "smoke", "fs-llm", "privacy", "dropout", "aggregation", "personal", "search", "offsite",
    ]

    /// The file of a shipped study; nil for an unknown name.
    public static func path(of name: String) -> String? {
        guard names.contains(name) else { return nil }
        return Bundle.module.path(forResource: name, ofType: "yaml", inDirectory: "studies")
    }
}
