import FedTrain
import Foundation
import Yams

/// Reads a YAML file into a configuration tree that remembers lines and columns.
enum YAMLFile {
    static func read(_ path: String, overrides: [String]) throws -> ConfigurationNode {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandFailure(
                .missingInput, "there is no such file, or it cannot be read", at: path,
                hint: "fedtrain init DIR writes a commented example")
        }
        guard let text = String(data: data, encoding: .utf8) else {
            throw CommandFailure(.badInput, "the file is not UTF-8 text", at: path)
        }
        var node = try parse(text, file: path)
        for override in overrides {
            guard let equals = override.firstIndex(of: "="), equals != override.startIndex else {
                throw CommandFailure(
                    .usage, "`--set \(override)` is not of the form path=value",
                    hint: "for example: --set rounds.count=20")
            }
            let value = try parse(
                String(override[override.index(after: equals)...]), file: "--set \(override)")
            do {
                node = try node.setting(
                    path: String(override[..<equals]), to: value.withoutPositions)
            } catch {
                throw CommandFailure(.configuration, error.message, at: "--set \(override)")
            }
        }
        return node
    }

    /// The configuration of a file, with every error placed at file:line:column, and the tree it came from.
    static func configuration(
        _ path: String, overrides: [String]
    ) throws -> (FederationConfiguration, source: ConfigurationNode) {
        try placing(path, overrides: overrides) { (try FederationConfiguration(reading: $0), $0) }
    }

    /// What `body` makes of a file's tree, with every error of the tree placed at file:line:column.
    static func placing<Result>(
        _ path: String, overrides: [String], _ body: (ConfigurationNode) throws -> Result
    ) throws -> Result {
        let node = try read(path, overrides: overrides)
        do {
            return try body(node)
        } catch let error as ConfigurationError {
            let place =
                error.position.map { "\(path):\($0.line):\($0.column)" }
                ?? (overrides.isEmpty ? path : "--set")
            throw CommandFailure(
                .configuration, error.message + (error.suggestion.map { " — \($0)" } ?? ""), at: place,
                privacy: "nothing was read, trained or spent")
        }
    }

    private static func parse(_ text: String, file: String) throws -> ConfigurationNode {
        do {
            guard let node = try Yams.compose(yaml: text) else {
                throw CommandFailure(.configuration, "the file is empty", at: file)
            }
            return try convert(node, file: file)
        } catch let error as YamlError {
            throw failure(error, file: file)
        }
    }

    private static func convert(_ node: Node, file: String) throws -> ConfigurationNode {
        let position = node.mark.map {
            ConfigurationNode.Position(line: $0.line, column: $0.column)
        }
        switch node {
        case .scalar(let scalar):
            return ConfigurationNode(.scalar(scalar.string), at: position)
        case .sequence(let sequence):
            return ConfigurationNode(.list(try sequence.map { try convert($0, file: file) }), at: position)
        case .mapping(let mapping):
            let entries = try mapping.map { key, value in
                ConfigurationNode.Entry(
                    key: key.scalar?.string ?? "?",
                    keyPosition: key.mark.map { .init(line: $0.line, column: $0.column) },
                    value: try convert(value, file: file))
            }
            return ConfigurationNode(.map(entries), at: position)
        case .alias:
            throw CommandFailure(
                .configuration, "aliases are not part of this file format",
                at: position.map { "\(file):\($0.line):\($0.column)" } ?? file)
        }
    }

    private static func failure(_ error: YamlError, file: String) -> CommandFailure {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return CommandFailure(
                .configuration, "not valid YAML: \(problem)", at: "\(file):\(mark.line):\(mark.column)",
                privacy: "nothing was read, trained or spent")
        case .duplicatedKeysInMapping(let duplicates, let context):
            return CommandFailure(
                .configuration, "the key `\(duplicates.first ?? "?")` appears twice",
                at: "\(file):\(context.mark.line):\(context.mark.column)")
        default:
            return CommandFailure(.configuration, "not valid YAML: \(error)", at: file)
        }
    }
}

extension ConfigurationNode {
    /// Values from the command line stand in no file.
    var withoutPositions: ConfigurationNode {
        switch content {
        case .scalar: ConfigurationNode(content, at: nil)
        case .list(let elements): ConfigurationNode(.list(elements.map(\.withoutPositions)), at: nil)
        case .map(let entries):
            ConfigurationNode(
                .map(
                    entries.map {
                        Entry(key: $0.key, keyPosition: nil, value: $0.value.withoutPositions)
                    }), at: nil)
        }
    }
}
