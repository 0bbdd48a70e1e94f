import ArgumentParser
import FedTrain
import Foundation
import Models

/// `fedtrain adapter`: look at an adapter, write it again, or multiply it into its base.
struct AdapterCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "adapter", abstract: "Inspect, export or merge an adapter.",
        subcommands: [AdapterInspectCommand.self, AdapterExportCommand.self, AdapterMergeCommand.self])
}

/// The base and the adapter that the three commands work on.
struct AdapterOptions: ParsableArguments {
    @Option(help: "Hugging Face directory of the base model; the built-in one when not given.")
    var base: String?

    @Argument(help: "Adapter directory.", completion: .directory)
    var adapter: String

    func load(_ console: Console) throws -> (base: Checkpoint, adapter: Adapter) {
        let directory = try base ?? BuiltInModel.directory()
        console.detail("reading \(adapter) for \(directory)")
        let checkpoint = try Checkpoint.load(directory: directory)
        return (checkpoint, try PeftAdapter.readAny(adapter, base: checkpoint.configuration))
    }
}

/// What is known of an adapter without running it.
struct AdapterPayload: Encodable {
    let kind: String
    let parameters: Int
    let bytes: Int
    let virtualTokens: Int
    let rank: Int?
    let alpha: Double?
    let rslora: Bool?
    let targets: [String]?
    /// √Σ of squares of all numbers.
    let norm: Double
    let largest: Double
    let digest: String
    var directory: String?

    init(_ adapter: Adapter, directory: String? = nil) {
        kind = adapter.kind
        parameters = adapter.values.count
        bytes = 4 * adapter.values.count
        virtualTokens = adapter.virtualTokens
        if case .lora(let lora) = adapter {
            rank = lora.configuration.rank
            alpha = lora.configuration.alpha
            rslora = lora.configuration.useRSLoRA
            targets = adapter.base.targetNames(of: lora.configuration)
        } else {
            (rank, alpha, rslora, targets) = (nil, nil, nil, nil)
        }
        norm = adapter.values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
        largest = Double(adapter.values.map(abs).max() ?? 0)
        digest = adapter.digest.hex
        self.directory = directory
    }

    var text: String {
        var lines = ["\(kind), \(parameters) parameters, \(bytes) bytes"]
        if let rank, let alpha, let targets {
            lines.append("rank \(rank), alpha \(decimal(alpha, 3)), on \(targets.joined(separator: ", "))")
        }
        if virtualTokens > 0 { lines.append("\(virtualTokens) virtual tokens before every sequence") }
        lines.append("norm \(decimal(norm, 6)), largest \(decimal(largest, 6))")
        lines.append("digest \(digest)")
        if let directory { lines.append("written to \(directory)") }
        return lines.joined(separator: "\n")
    }
}

struct AdapterInspectCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Check an adapter against its base and say what it is.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var source: AdapterOptions

    func execute(_ console: Console) throws -> AdapterPayload {
        AdapterPayload(try source.load(console).adapter)
    }

    func describe(_ payload: AdapterPayload) -> String { payload.text }
}

struct AdapterExportCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write an adapter again, as peft (or, for a bottleneck, adapters) lays it out.",
        discussion: "The new directory holds every number as F32 and only fields that are understood.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var source: AdapterOptions

    @Option(help: "Directory to write; must not exist.")
    var to: String

    @Option(help: "Name of the base, noted in the adapter's configuration.")
    var baseName: String?

    func execute(_ console: Console) throws -> AdapterPayload {
        let adapter = try source.load(console).adapter
        try requireFresh(to)
        try PeftAdapter.write(adapter, to: to, baseModelName: baseName)
        return AdapterPayload(adapter, directory: to)
    }

    func describe(_ payload: AdapterPayload) -> String { payload.text }
}

struct AdapterMergeCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge", abstract: "Write the base with the adapter multiplied into its weights.",
        discussion: "LoRA and IA3 can be merged. The result is a Hugging Face directory with F32 weights.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var source: AdapterOptions

    @Option(help: "Directory to write; must not exist.")
    var to: String

    func execute(_ console: Console) throws -> AdapterPayload {
        let (checkpoint, adapter) = try source.load(console)
        try requireFresh(to)
        let model = try LanguageModel(checkpoint: checkpoint).merged(with: adapter)
        try checkpoint.write(model, to: to)
        return AdapterPayload(adapter, directory: to)
    }

    func describe(_ payload: AdapterPayload) -> String { payload.text }
}

/// Nothing is written over: a directory that exists may be somebody's only copy.
private func requireFresh(_ directory: String) throws {
    guard !FileManager.default.fileExists(atPath: directory) else {
        throw CommandFailure(
            .cannotCreate, "it exists already", at: directory, privacy: "nothing was written",
            hint: "give --to a directory that does not exist")
    }
}
