import DP
import FedTrain
import Foundation
import GMP
import Kernels
import Sodium

/// What the machine and the installation offer.
enum SystemChecks {
    static func checks(workspace: Workspace) -> [HealthCheck] {
        [
            libraries(), processor(), random(), memory(), lockedMemory(), clock(),
            disk(workspace), builtInModel(),
        ]
    }

    private static func libraries() -> HealthCheck {
        .ok(
            "libraries",
            "libsodium \(sodiumVersion), GMP \(gmpVersion), \(blasVersion.split(separator: " ").prefix(2).joined(separator: " "))"
        )
    }

    private static func processor() -> HealthCheck {
        let text = read("/proc/cpuinfo")
        let flags = Set(
            (text.split(separator: "\n").first { $0.hasPrefix("flags") } ?? "").split(separator: " ").map(
                String.init))
        let cores = ProcessInfo.processInfo.activeProcessorCount
        let found = ["avx2", "fma", "avx512f"].filter(flags.contains)
        let words =
            "\(cores) cores, " + (found.isEmpty ? "no vector extensions" : found.joined(separator: ", "))
        guard flags.isEmpty || (flags.contains("avx2") && flags.contains("fma")) else {
            return .warn(
                "processor", words + ": training works, several times slower than on a newer processor",
                next: "use a machine with AVX2 and FMA for large models")
        }
        return .ok("processor", words)
    }

    /// Two draws differ; a generator that repeats itself would give away every mask and all noise.
    private static func random() -> HealthCheck {
        var source = SystemRandom()
        guard source.bytes(32) != source.bytes(32) else {
            return .fail(
                "random numbers", "the system's generator repeated itself", next: "do not use this machine")
        }
        return .ok("random numbers", "the operating system's, through libsodium")
    }

    private static func memory() -> HealthCheck {
        let lines = read("/proc/meminfo").split(separator: "\n")
        func kilobytes(_ name: String) -> Int? {
            lines.first { $0.hasPrefix(name) }?.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
                .first
        }
        guard let total = kilobytes("MemTotal:"), let free = kilobytes("MemAvailable:") else {
            return .warn(
                "memory", "the system does not say how much is free", next: "fedtrain plan predicts the need")
        }
        let words = "\(bytes(free * 1024)) free of \(bytes(total * 1024))"
        return free > 512 << 10
            ? .ok("memory", words)
            : .warn("memory", words, next: "close other programs; fedtrain plan predicts the need")
    }

    /// Keys live in memory that is kept out of the swap file, as far as the limit goes.
    private static func lockedMemory() -> HealthCheck {
        let line =
            read("/proc/self/limits").split(separator: "\n").first { $0.hasPrefix("Max locked memory") } ?? ""
        guard let soft = line.dropFirst("Max locked memory".count).split(separator: " ").first else {
            return .warn("locked memory", "the limit is unknown", next: "ulimit -l")
        }
        guard let limit = Int(soft) else { return .ok("locked memory", "no limit") }
        let words = "\(bytes(limit)) may be locked"
        return limit >= 1 << 20
            ? .ok("locked memory", words)
            : .warn(
                "locked memory", words + ": with many clients in one process keys may reach the swap file",
                next: "ulimit -l 65536, or encrypt the swap space")
    }

    /// Manifests expire by the clock, and ledgers are dated by it.
    private static func clock() -> HealthCheck {
        let now = Date()
        let text = ISO8601DateFormatter().string(from: now)
        // 2025-01-01: no build of this program is older.
        guard now.timeIntervalSince1970 > 1_735_689_600 else {
            return .fail(
                "clock", "\(text) lies before this program was written", next: "set the clock: timedatectl")
        }
        return .ok("clock", text)
    }

    private static func disk(_ workspace: Workspace) -> HealthCheck {
        let path = FileManager.default.fileExists(atPath: workspace.root) ? workspace.root : "."
        var status = statvfs()
        guard statvfs(path, &status) == 0 else {
            return .fail("disk", "\(path) cannot be examined", next: "check the path")
        }
        let free = Int(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
        let words = "\(bytes(free)) free at \(path)"
        if free < 64 << 20 { return .fail("disk", words, next: "free some space before the next run") }
        return free < 1 << 30
            ? .warn("disk", words, next: "free some space; adapters of every round are kept")
            : .ok("disk", words)
    }

    private static func builtInModel() -> HealthCheck {
        do {
            let directory = try BuiltInModel.directory()
            _ = try BaseModel.load(directory: directory)
            return .ok("built-in model", "loads")
        } catch {
            return .fail(
                "built-in model", "\(error)",
                next: "install again: the files beside the executable are missing")
        }
    }

    private static func read(_ path: String) -> String {
        (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    }
}
