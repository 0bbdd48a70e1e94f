import Foundation

/// Where a command talks: data on stdout, everything else on stderr.
///
/// On a terminal the current step is one line that rewrites itself; elsewhere each step is a line of
/// its own, so that a log file reads as a history.
final class Console {
    let json: Bool
    let verbose: Bool
    private let quiet: Bool
    private let colour: Bool
    private let terminal: Bool
    private var liveLineLength = 0

    init(_ options: GlobalOptions) {
        json = options.json
        quiet = options.quiet
        verbose = options.verbose
        let environment = ProcessInfo.processInfo.environment
        terminal = isatty(STDERR_FILENO) == 1 && environment["TERM"] != "dumb"
        colour = terminal && !options.noColor && environment["NO_COLOR"] == nil
    }

    /// A line that stays.
    func say(_ line: String) {
        guard !quiet else { return }
        clearLiveLine()
        write(line + "\n", to: STDERR_FILENO)
    }

    /// A line for those who asked for more.
    func detail(_ line: String) {
        if verbose { say(line) }
    }

    func warn(_ line: String) {
        say(paint("warning: ", "33") + line)
    }

    /// The step under way. On a terminal it replaces the step before it.
    func step(_ line: String) {
        guard !quiet else { return }
        guard terminal else { return say(line) }
        clearLiveLine()
        write(line, to: STDERR_FILENO)
        liveLineLength = line.unicodeScalars.count
    }

    /// Progress inside a step: only where it can replace itself.
    func tick(_ line: String) {
        if terminal { step(line) }
    }

    /// Data for stdout.
    func output(_ text: String) {
        clearLiveLine()
        write(text.hasSuffix("\n") ? text : text + "\n", to: STDOUT_FILENO)
    }

    func bold(_ text: String) -> String { paint(text, "1") }

    private func paint(_ text: String, _ code: String) -> String {
        colour ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    private func clearLiveLine() {
        guard liveLineLength > 0 else { return }
        write("\r\u{1B}[K", to: STDERR_FILENO)
        liveLineLength = 0
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
