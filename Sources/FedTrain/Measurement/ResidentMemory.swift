import Foundation

/// This process's memory as the system counts it (Linux's `/proc`).
enum ResidentMemory {
    /// The largest resident size since the start or the last reset; 0 where the system does not say.
    static var peakMiB: Double {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
            let kibibytes = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({
                Double($0)
            })
        else { return 0 }
        return kibibytes / 1024
    }

    /// Begins a new peak from here; without effect where the system does not allow it.
    static func resetPeak() {
        try? "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .utf8)
    }
}
