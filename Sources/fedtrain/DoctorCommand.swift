import ArgumentParser
import FedTrain
import Foundation

/// `fedtrain doctor`: is this installation, and this workspace, as it should be?
struct DoctorCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check the installation and a workspace; say one next command for whatever is wrong.",
        discussion: """
            Reads only. Exit 16 when a check fails; warnings do not count. Without federation.yaml in the \
            directory only the installation is checked.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The workspace.")
    var workspace: String = "."

    struct Payload: Encodable {
        struct Check: Encodable {
            let name: String
            let verdict: String
            let finding: String
            let next: String?
        }

        let workspace: String
        let failed: Int
        let warnings: Int
        let checks: [Check]
    }

    func execute(_ console: Console) throws -> Payload {
        let workspace = Workspace(root: self.workspace)
        var checks = SystemChecks.checks(workspace: workspace)
        if FileManager.default.fileExists(atPath: "\(workspace.root)/federation.yaml") {
            checks.append(configuration(workspace))
            checks += WorkspaceHealth.checks(workspace)
        } else {
            checks.append(
                .warn(
                    "workspace", "no federation.yaml in \(workspace.root); only the installation was checked",
                    next: "fedtrain doctor DIR, or fedtrain init DIR"))
        }
        return Payload(
            workspace: workspace.root, failed: checks.count { $0.verdict == .fail },
            warnings: checks.count { $0.verdict == .warn },
            checks: checks.map {
                Payload.Check(name: $0.name, verdict: $0.verdict.rawValue, finding: $0.finding, next: $0.next)
            })
    }

    private func configuration(_ workspace: Workspace) -> HealthCheck {
        let file = "\(workspace.root)/federation.yaml"
        do {
            let (configuration, _) = try YAMLFile.configuration(file, overrides: [])
            return .ok("configuration", "`\(configuration.name)` parses")
        } catch {
            let failure = CommandFailure(describing: error)
            return .fail(
                "configuration", (failure.location.map { "\($0): " } ?? "") + failure.message,
                next: "correct \(file), then: fedtrain plan \(file)")
        }
    }

    func describe(_ payload: Payload) -> String {
        let width = payload.checks.map(\.name.count).max() ?? 0
        let lines = payload.checks.map { check in
            let verdict = check.verdict == "ok" ? "ok  " : check.verdict == "warn" ? "warn" : "FAIL"
            let name = check.name + String(repeating: " ", count: width - check.name.count)
            return "\(verdict)  \(name)  \(check.finding)" + (check.next.map { "\n      → \($0)" } ?? "")
        }
        return lines.joined(separator: "\n")
    }

    func failure(in payload: Payload) -> CommandFailure? {
        guard let first = payload.checks.first(where: { $0.verdict == "fail" }) else { return nil }
        return CommandFailure(
            .state,
            "\(payload.failed) of \(payload.checks.count) checks failed: \(first.name): \(first.finding)",
            at: payload.workspace, privacy: "nothing was changed or spent", hint: first.next)
    }
}
