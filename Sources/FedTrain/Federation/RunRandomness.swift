import Models
import Sodium

/// Where a whole run's random bits come from: one independent stream per purpose.
///
/// A real federation draws from the operating system. A simulation may be seeded so that it replays
/// bit for bit; whoever knows the seed can then also recompute its noise, and the report says so.
public enum RunRandomness: Sendable, Equatable {
    case system
    case seeded(UInt64)

    /// A fresh stream for `purpose`; seeded runs give the same stream for the same purpose.
    public func stream(_ purpose: String) -> StreamRandom {
        switch self {
        case .system:
            var source = SystemRandom()
            return StreamRandom(keyedBy: &source)
        case .seeded(let seed):
            return StreamRandom(seed: seed, label: "fedtrain/v1/run/\(purpose)")
        }
    }

    /// A generator for what is neither secret nor private: data order, initial weights.
    public func generator(_ purpose: String) -> SplitMix64 {
        SplitMix64(seed: stream(purpose).nextUInt64())
    }

    /// What the ledger and the report say about it.
    public var statement: String {
        switch self {
        case .system: "operating system"
        case .seeded(let seed): "simulation seed \(seed)"
        }
    }
}
