/// An error as a person gets to read it: what happened, where, what it means for privacy, and one
/// next command.
struct CommandFailure: Error {
    let status: ExitStatus
    let message: String
    /// `file:line:column`, a file, a peer or a stage.
    var location: String?
    /// What was or was not revealed or spent.
    var privacy: String?
    /// One next command or action.
    var hint: String?

    init(
        _ status: ExitStatus, _ message: String, at location: String? = nil, privacy: String? = nil,
        hint: String? = nil
    ) {
        self.status = status
        self.message = message
        self.location = location
        self.privacy = privacy
        self.hint = hint
    }

    /// The lines for stderr.
    var text: String {
        var lines = [(location.map { "\($0): " } ?? "") + message]
        if let privacy { lines.append("privacy: \(privacy)") }
        if let hint { lines.append("next: \(hint)") }
        lines[lines.count - 1] += "  [\(status.code)]"
        return lines.joined(separator: "\n")
    }

    /// The same for a log in JSON.
    var logLine: LogLine {
        var fields: [String: LogLine.Value] = [
            "code": .text(status.code), "status": .integer(Int(status.rawValue)),
        ]
        fields["location"] = location.map { .text($0) }
        fields["privacy"] = privacy.map { .text($0) }
        fields["next"] = hint.map { .text($0) }
        return LogLine(level: .error, event: "failed", message: message, fields: fields)
    }
}
