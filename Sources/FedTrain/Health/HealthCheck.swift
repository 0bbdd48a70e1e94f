/// One thing that `doctor` looked at.
public struct HealthCheck: Sendable, Equatable {
    public enum Verdict: String, Sendable {
        case ok
        /// Works, but somebody should know.
        case warn
        /// Something will not work, or a promise does not hold.
        case fail
    }

    /// What was looked at, in one or two words.
    public let name: String
    public let verdict: Verdict
    /// What was found.
    public let finding: String
    /// One next command or action; nil when all is well.
    public let next: String?

    public static func ok(_ name: String, _ finding: String) -> HealthCheck {
        HealthCheck(name: name, verdict: .ok, finding: finding, next: nil)
    }

    public static func warn(_ name: String, _ finding: String, next: String) -> HealthCheck {
        HealthCheck(name: name, verdict: .warn, finding: finding, next: next)
    }

    public static func fail(_ name: String, _ finding: String, next: String) -> HealthCheck {
        HealthCheck(name: name, verdict: .fail, finding: finding, next: next)
    }
}
