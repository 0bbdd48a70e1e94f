import ArgumentParser
import FedTrain
import Foundation
import Models

/// `fedtrain init`: a workspace from a template.
struct InitCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Make a workspace: a commented federation.yaml and its directories.",
        discussion: """
            Templates: `demo` (the built-in model and data), `cross-silo` (a few sites, each with a \
            JSONL file, privacy per record), `cross-device` (many clients, privacy per client), `offsite` \
            (sites tune an emulator; the full model stays with its owner).
            """)

    enum TemplateName: String, ExpressibleByArgument, CaseIterable {
        case demo
        case crossSilo = "cross-silo"
        case crossDevice = "cross-device"
        case offsite
    }

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The directory to make; it must not exist, or be empty.")
    var directory: String

    @Option(help: "demo, cross-silo, cross-device or offsite.")
    var template: TemplateName = .demo

    @Option(help: "Hugging Face directory of the base model (not for `demo`).")
    var base: String?

    @Option(help: "JSONL files, one per client; `*` stands for any run of characters. Quote it.")
    var clients: String?

    @Option(help: "Held-out JSONL files for scoring; `*` as above.")
    var heldOut: String?

    struct Payload: Encodable {
        let directory: String
        let template: String
        let file: String
        let next: String
    }

    func execute(_ console: Console) throws -> Payload {
        let contents = try? FileManager.default.contentsOfDirectory(atPath: directory)
        guard contents?.isEmpty ?? true else {
            throw CommandFailure(
                .cannotCreate, "the directory exists and is not empty; nothing was changed", at: directory,
                hint: "choose another name: fedtrain init \(directory)-2")
        }
        let text = try templateText()
        let workspace = Workspace(root: directory)
        try AtomicFile.makeDirectory(directory)
        try AtomicFile.makeDirectory(workspace.runsDirectory)
        let file = "\(directory)/federation.yaml"
        try AtomicFile.write(text, to: file)
        return Payload(
            directory: directory, template: template.rawValue, file: file,
            next: "fedtrain plan \(file)")
    }

    func describe(_ payload: Payload) -> String {
        """
        made \(payload.file) from the template `\(payload.template)`
        next: \(payload.next)
        """
    }

    private func templateText() throws -> String {
        switch template {
        case .demo:
            return FederationTemplates.demo()
        case .crossSilo, .crossDevice:
            let base = try absolute(base, option: "--base")
            let clients = try absolute(clients, option: "--clients")
            let heldOut = try heldOut.map { try absolute($0, option: "--held-out") }
            return template == .crossSilo
                ? FederationTemplates.crossSilo(base: base, clients: clients, heldOut: heldOut)
                : FederationTemplates.crossDevice(base: base, clients: clients, heldOut: heldOut)
        case .offsite:
            return FederationTemplates.offsite(
                emulator: try absolute(base, option: "--base"),
                clients: try clients.map { try absolute($0, option: "--clients") },
                heldOut: try heldOut.map { try absolute($0, option: "--held-out") })
        }
    }

    /// Paths in the file are absolute, so that the workspace works from any directory.
    private func absolute(_ path: String?, option: String) throws -> String {
        guard let path else {
            throw CommandFailure(
                .usage, "the template `\(template.rawValue)` needs \(option)",
                hint:
                    "fedtrain init DIR --template \(template.rawValue) --base MODEL-DIR --clients 'data/*.jsonl'"
            )
        }
        return path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }
}
