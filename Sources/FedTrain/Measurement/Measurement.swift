/// One figure of `fedtrain bench`: a speed or a size beside this machine's own limit for the same work,
/// both measured in this process.
public struct Measurement: Encodable, Equatable, Sendable {
    /// What was done, with its size: `mask one client, n=1000 k=150 d=1000000 b=16`.
    public let name: String
    public let value: Double
    /// Of `value` and `limit`: `GB/s`, `tokens/s`, `s`, `ns`, …
    public let unit: String
    /// What the machine, or a bar that the design names, allows; absent where there is none.
    public let limit: Double?
    /// value ÷ limit.
    public let ratio: Double?

    public init(name: String, value: Double, unit: String, limit: Double? = nil) {
        self.name = name
        self.value = value
        self.unit = unit
        self.limit = limit
        ratio = limit.map { value / $0 }
    }
}

/// Reads seconds from a clock that never goes back. The command line owns the clock.
public typealias Stopwatch = () -> Double

/// What can be measured.
public enum BenchmarkSuite: String, CaseIterable, Sendable {
    case mask, unmask, account, noise, train
}

extension Array where Element == Double {
    /// The middle value: what one slow repetition cannot move. The array must not be empty.
    package var median: Double {
        let sorted = sorted()
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }
}

/// Times two pieces of work in turns, so that a busy machine slows both, and takes the middle of each.
package func pairedSeconds(
    repetitions: Int, _ stopwatch: Stopwatch, _ first: () throws -> Void, _ second: () throws -> Void
) rethrows -> (first: Double, second: Double) {
    var firsts: [Double] = []
    var seconds: [Double] = []
    for _ in 0..<repetitions {
        let start = stopwatch()
        try first()
        let middle = stopwatch()
        try second()
        firsts.append(middle - start)
        seconds.append(stopwatch() - middle)
    }
    return (firsts.median, seconds.median)
}
