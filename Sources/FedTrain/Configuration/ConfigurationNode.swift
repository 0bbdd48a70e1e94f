import Models

/// A parsed configuration file with the place of every value, whatever syntax it was written in.
///
/// The command line turns YAML into this tree; everything that decides what a key means works on
/// the tree, so that a test can reach it without a YAML library.
public struct ConfigurationNode: Sendable, Equatable {
    /// Where a value stands in its file, counted from 1; nil for values given on the command line.
    public struct Position: Sendable, Equatable {
        public let line: Int
        public let column: Int

        public init(line: Int, column: Int) {
            self.line = line
            self.column = column
        }
    }

    public struct Entry: Sendable, Equatable {
        public let key: String
        public let keyPosition: Position?
        public var value: ConfigurationNode

        public init(key: String, keyPosition: Position?, value: ConfigurationNode) {
            self.key = key
            self.keyPosition = keyPosition
            self.value = value
        }
    }

    public enum Content: Sendable, Equatable {
        case scalar(String)
        case list([ConfigurationNode])
        case map([Entry])
    }

    public var content: Content
    public let position: Position?

    public init(_ content: Content, at position: Position?) {
        self.content = content
        self.position = position
    }

    /// The tree with the value at a dotted path replaced (`rounds.count`), maps created as needed.
    /// Numbers address list elements (`data.clients.0`).
    public func setting(path: String, to value: ConfigurationNode) throws(ConfigurationError)
        -> ConfigurationNode
    {
        try setting(keys: path.split(separator: ".").map(String.init)[...], to: value, path: path)
    }

    private func setting(
        keys: ArraySlice<String>, to value: ConfigurationNode, path: String
    ) throws(ConfigurationError) -> ConfigurationNode {
        guard let key = keys.first else { return value }
        var copy = self
        switch content {
        case .map(var entries):
            if let index = entries.firstIndex(where: { $0.key == key }) {
                entries[index].value = try entries[index].value.setting(
                    keys: keys.dropFirst(), to: value, path: path)
            } else {
                let empty = ConfigurationNode(.map([]), at: nil)
                let child = try (keys.count == 1 ? value : empty).setting(
                    keys: keys.count == 1 ? [] : keys.dropFirst(), to: value, path: path)
                // Where the value was written is where its key is wrong, if it is.
                entries.append(Entry(key: key, keyPosition: value.position, value: child))
            }
            copy.content = .map(entries)
        case .list(var elements):
            guard let index = Int(key), elements.indices.contains(index) else {
                throw ConfigurationError(
                    position: nil, path: path,
                    message: "`\(key)` is not one of the \(elements.count) elements of this list")
            }
            elements[index] = try elements[index].setting(keys: keys.dropFirst(), to: value, path: path)
            copy.content = .list(elements)
        case .scalar:
            throw ConfigurationError(
                position: position, path: path, message: "there is a plain value where `\(key)` would go")
        }
        return copy
    }
}

extension ConfigurationNode {
    /// The tree as JSON, every value as it was written: the record of what a run was told.
    public var json: JSON {
        switch content {
        case .scalar(let text): .string(text)
        case .list(let elements): .array(elements.map(\.json))
        case .map(let entries): .object(entries.map { JSON.Member($0.key, $0.value.json) })
        }
    }
}

extension ConfigurationNode {
    /// The tree of a document that `json` made: maps, lists and strings, without positions.
    ///
    /// Returns nil for anything else in it, or for nesting beyond what a federation's file has.
    package init?(json: JSON, depthMax: Int = 8) {
        guard depthMax > 0 else { return nil }
        switch json {
        case .string(let text):
            self.init(.scalar(text), at: nil)
        case .array(let elements):
            let children = elements.compactMap { ConfigurationNode(json: $0, depthMax: depthMax - 1) }
            guard children.count == elements.count else { return nil }
            self.init(.list(children), at: nil)
        case .object(let members):
            let entries = members.compactMap { member in
                ConfigurationNode(json: member.value, depthMax: depthMax - 1).map {
                    Entry(key: member.key, keyPosition: nil, value: $0)
                }
            }
            guard entries.count == members.count else { return nil }
            self.init(.map(entries), at: nil)
        default:
            return nil
        }
    }
}

/// What is wrong with a configuration, and where.
public struct ConfigurationError: Error, Equatable, Sendable {
    public let position: ConfigurationNode.Position?
    /// Dotted path of the key, "" for the whole file.
    public let path: String
    public let message: String
    /// What was probably meant, or what to do.
    public let suggestion: String?

    public init(
        position: ConfigurationNode.Position?, path: String, message: String, suggestion: String? = nil
    ) {
        self.position = position
        self.path = path
        self.message = message
        self.suggestion = suggestion
    }
}
