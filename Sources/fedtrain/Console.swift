import Foundation

/// Where a command talks: data on stdout, everything else on stderr.
///
/// On a terminal the current step rewrites itself; elsewhere each step is a line of its own, so that a
/// log file reads as a history. Commands that run for hours may write that history as JSON.
final class Console {
    let json: Bool
    let verbose: Bool
    private let quiet: Bool
    private let colour: Bool
    private let log: LogFormat
    /// Steps can replace themselves.
    let isLive: Bool
    private var liveLines = 0

    init(_ options: GlobalOptions, log: LogFormat = .text) {
        json = options.json
        quiet = options.quiet
        verbose = options.verbose
        self.log = log
        let environment = ProcessInfo.processInfo.environment
        isLive = log == .text && isatty(STDERR_FILENO) == 1 && environment["TERM"] != "dumb"
        colour = isLive && !options.noColor && environment["NO_COLOR"] == nil
    }

    /// A line that stays; `event` and `fields` are for logs in JSON.
    func say(
        _ line: String, event: String = "note", fields: [String: LogLine.Value] = [:],
        level: LogLine.Level = .info
    ) {
        guard !quiet else { return }
        switch log {
        case .text:
            clearLive()
            write((level == .warning ? paint("warning: ", "33") : "") + line + "\n", to: STDERR_FILENO)
        case .json:
            let entry = LogLine(level: level, event: event, message: line, fields: fields)
            if let text = try? encodeJSON(entry) { write(text + "\n", to: STDERR_FILENO) }
        }
    }

    /// A line for those who asked for more.
    func detail(_ line: String, event: String = "detail", fields: [String: LogLine.Value] = [:]) {
        if verbose { say(line, event: event, fields: fields, level: .debug) }
    }

    func warn(_ line: String) { say(line, event: "warning", level: .warning) }

    /// The step under way. On a terminal it replaces the step before it.
    func step(_ line: String, event: String = "step", fields: [String: LogLine.Value] = [:]) {
        guard isLive else { return say(line, event: event, fields: fields) }
        block([line])
    }

    /// Progress inside a step: only where it can replace itself.
    func tick(_ line: String) {
        if isLive { step(line) }
    }

    /// Several lines that replace the step or block before them; nothing where that cannot be.
    func block(_ lines: [String]) {
        guard !quiet, isLive, !lines.isEmpty else { return }
        clearLive()
        // Cut to the width: a line that wraps could not be taken back.
        let width = Self.terminalWidth()
        write(lines.map { Self.cut($0, to: width - 1) }.joined(separator: "\n"), to: STDERR_FILENO)
        liveLines = lines.count
    }

    /// Data for stdout.
    func output(_ text: String) {
        clearLive()
        write(text.hasSuffix("\n") ? text : text + "\n", to: STDOUT_FILENO)
    }

    func bold(_ text: String) -> String { paint(text, "1") }

    func paint(_ text: String, _ code: String) -> String {
        colour ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    private func clearLive() {
        guard liveLines > 0 else { return }
        let up = liveLines > 1 ? "\u{1B}[\(liveLines - 1)A" : ""
        write("\r\(up)\u{1B}[J", to: STDERR_FILENO)
        liveLines = 0
    }

    private static func terminalWidth() -> Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 20 else { return 80 }
        return Int(size.ws_col)
    }

    /// The first `width` visible characters; colours take no room.
    static func cut(_ line: String, to width: Int) -> String {
        var (result, seen, isEscape) = ("", 0, false)
        for character in line {
            if character == "\u{1B}" {
                isEscape = true
            } else if isEscape {
                isEscape = character != "m"
            } else {
                seen += 1
                if seen > width { continue }
            }
            result.append(character)
        }
        return result
    }

    private func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            // A closed pipe or full disk behind stdout leaves nobody to tell.
            guard written > 0 else { return }
            bytes = bytes.dropFirst(written)
        }
    }
}
