import ArgumentParser
import Foundation

/// How a long-running command talks on stderr: to people, or to whatever collects logs.
enum LogFormat: String, ExpressibleByArgument, CaseIterable {
    case text
    case json
}

/// For commands that run for hours.
struct LogOptions: ParsableArguments {
    @Option(help: "text or json; text on a terminal and json elsewhere when not given.")
    var logFormat: LogFormat?

    var chosen: LogFormat { logFormat ?? (isatty(STDERR_FILENO) == 1 ? .text : .json) }
}

/// One line of a JSON log: when, how serious, what, in words, and the figures.
struct LogLine: Encodable {
    enum Level: String, Encodable {
        case debug, info, warning, error
    }

    /// A figure or a name; never a key, a record or a loss.
    enum Value: Encodable {
        case integer(Int)
        case real(Double)
        case text(String)
        case flag(Bool)

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .integer(let value): try container.encode(value)
            case .real(let value): try container.encode(value)
            case .text(let value): try container.encode(value)
            case .flag(let value): try container.encode(value)
            }
        }
    }

    let level: Level
    let event: String
    let message: String
    var fields: [String: Value] = [:]

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.init(stringValue) }
        init?(intValue: Int) { nil }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        for (name, value) in fields { try container.encode(value, forKey: Key(name)) }
        try container.encode(
            Date().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)), forKey: Key("time"))
        try container.encode(level, forKey: Key("level"))
        try container.encode(event, forKey: Key("event"))
        try container.encode(message, forKey: Key("message"))
    }
}
