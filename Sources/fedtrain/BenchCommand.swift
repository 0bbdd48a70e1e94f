import ArgumentParser
import FedTrain

/// `fedtrain bench`: speeds of this build beside this machine's own limits.
struct BenchCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure this build against this machine's own limits.",
        discussion: """
            The limit of each figure is measured in the same process: raw ChaCha20, the matrix \
            product's peak, a memory copy. Close other programs first.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "What to measure: \(BenchmarkSuite.allCases.map(\.rawValue).joined(separator: ", ")).")
    var suite: BenchmarkSuite

    @Option(
        help:
            "With train, measure this alone: \(TrainBenchmark.Part.allCases.map(\.rawValue).joined(separator: ", "))."
    )
    var part: [TrainBenchmark.Part] = []

    @Option(help: "With --part soak, train for so long instead of 1,000 steps.")
    var minutes: Double?

    struct Payload: Encodable {
        let suite: String
        let results: [Measurement]
    }

    func execute(_ console: Console) throws -> Payload {
        guard part.isEmpty || suite == .train else {
            throw CommandFailure(.usage, "--part belongs to bench train")
        }
        guard minutes == nil || part == [.soak] else {
            throw CommandFailure(.usage, "--minutes belongs to --part soak alone")
        }
        guard minutes.map({ $0 > 0 && $0.isFinite }) ?? true else {
            throw CommandFailure(.usage, "--minutes takes a number above 0")
        }
        let clock = ContinuousClock()
        let start = clock.now
        let stopwatch: Stopwatch = { (clock.now - start) / .seconds(1) }
        let results: [Measurement] =
            switch suite {
            case .train:
                try TrainBenchmark.run(
                    stopwatch, parts: part.isEmpty ? TrainBenchmark.Part.allCases : part,
                    soakSeconds: minutes.map { $0 * 60 })
            case .mask: try MaskBenchmark.run(stopwatch)
            case .unmask: try UnmaskBenchmark.run(stopwatch)
            case .noise: NoiseBenchmark.run(stopwatch)
            case .account: try AccountBenchmark.run(stopwatch)
            }
        return Payload(suite: suite.rawValue, results: results)
    }

    func describe(_ payload: Payload) -> String {
        payload.results.map { result in
            let limit =
                result.limit.map { " of \(decimal($0, 4)) (\(decimal(result.ratio! * 100, 1)) %)" } ?? ""
            return "\(result.name): \(decimal(result.value, 4)) \(result.unit)\(limit)"
        }.joined(separator: "\n")
    }
}

extension BenchmarkSuite: ExpressibleByArgument {}
extension TrainBenchmark.Part: ExpressibleByArgument {}
