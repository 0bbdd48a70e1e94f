import ArgumentParser
import FedTrain
import Foundation
import Sodium

/// Seed and clock of a run: below the command line both are arguments.
struct RunOptions: ParsableArguments {
    @Option(
        help:
            "Replay seed. Without it randomness comes from the operating system; with it, whoever knows the seed can recompute the noise."
    )
    var seed: UInt64?

    var randomness: RunRandomness { seed.map(RunRandomness.seeded) ?? .system }
}

extension RunClock {
    /// The system's clocks. The calendar clock may be set back while a run is under way; a ledger's time
    /// may not, so it then stands still until the calendar has caught up.
    static var system: RunClock {
        var latest = 0
        return RunClock(
            epochSeconds: {
                latest = max(latest, Int(Date().timeIntervalSince1970))
                return latest
            }, monotonic: monotonicSeconds)
    }
}

/// The most memory this process ever held, in bytes.
func peakMemoryBytes() -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
    let kilobytes = line.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }.first ?? 0
    return kilobytes * 1024
}
