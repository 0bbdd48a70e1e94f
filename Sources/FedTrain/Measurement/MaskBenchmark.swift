import GMP
import SecureAgg
import Sodium

/// `bench mask`: what masking costs one client, beside libsodium's own ChaCha20 stream on this machine.
public enum MaskBenchmark {
    /// The client of the bars: n = 1000 with the neighbours its graph needs, a million coordinates, 16 bits.
    static let clients = 1000
    static let dimension = 1_000_000
    static let modulusBits = 16

    public static func run(_ stopwatch: Stopwatch) throws -> [Measurement] {
        let parameters = try round(dimension: dimension)
        let neighbours = try parameters.topology(cohortSize: clients).neighbours
        return speed(stopwatch) + oneClient(neighbours: neighbours, stopwatch)
            + (try keyWork(stopwatch)) + [try upload(parameters)]
    }

    /// A malicious-server round of 1000 with γ = 1/10 and δ = 3/20, which a drill that loses a tenth plans.
    static func round(dimension: Int) throws(ParameterError) -> AggregationParameters {
        try AggregationParameters(
            task: "bench", round: 1, context: .of([]), vectorLength: dimension, modulusBits: modulusBits,
            cohort: clients...clients, minSurvivors: 116, colluderFraction: Rational(1, 10),
            dropoutFraction: Rational(3, 20))
    }

    /// Bytes per second of masks expanded and added to a vector that stays in the second cache level,
    /// against the raw stream over a buffer of the same size, on one core and on two.
    private static func speed(_ stopwatch: Stopwatch) -> [Measurement] {
        let laneCount = RawStream.bufferBytes / 2
        let workload = MaskWorkload(maskCount: 400, dimension: laneCount, modulusBits: modulusBits)
        let raw = RawStream(bytes: workload.streamBytes)
        let gigabytes = Double(workload.streamBytes) / 1e9
        let one = pairedSeconds(
            repetitions: 9, stopwatch, { workload.run(threads: 1) }, { raw.run(threads: 1) })
        let wide = MaskWorkload(maskCount: 40, dimension: dimension, modulusBits: modulusBits)
        let masks = pairedSeconds(
            repetitions: 9, stopwatch, { wide.run(threads: 1) }, { wide.run(threads: 2) })
        let raws = pairedSeconds(repetitions: 9, stopwatch, { raw.run(threads: 1) }, { raw.run(threads: 2) })
        return [
            Measurement(
                name: "masks, one core, \(RawStream.bufferBytes >> 10) KiB, against raw ChaCha20 (bar 0.90)",
                value: gigabytes / one.first, unit: "GB/s", limit: gigabytes / one.second),
            Measurement(
                name: "masks, two threads against one, d=\(dimension) (bar 1.8; limit: raw ChaCha20's own)",
                value: masks.first / masks.second, unit: "times", limit: raws.first / raws.second),
        ]
    }

    /// Lifting, masking and packing one vector, against the raw stream of k + 1 masks.
    private static func oneClient(neighbours: Int, _ stopwatch: Stopwatch) -> [Measurement] {
        let workload = MaskWorkload(
            maskCount: neighbours + 1, dimension: dimension, modulusBits: modulusBits)
        let raw = RawStream(bytes: workload.streamBytes)
        let values = [Int32](repeating: 7, count: dimension)
        let times = pairedSeconds(
            repetitions: 5, stopwatch, { _ = workload.masked(values, threads: 1) },
            { raw.run(threads: 1) })
        return [
            Measurement(
                name:
                    "one client's masked vector, n=\(clients) k=\(neighbours) d=\(dimension) b=\(modulusBits), "
                    + "one core, against (k+1)·2·d bytes of raw ChaCha20 (bar 1.20)",
                value: times.first, unit: "s", limit: times.second)
        ]
    }

    /// Everything else that a client computes: keys, shares, boxes and all signatures of the cohort.
    private static func keyWork(_ stopwatch: Stopwatch) throws -> [Measurement] {
        let workload = try KeyWorkload(try round(dimension: 64), seed: 1)
        var results: [Measurement] = []
        for threads in [1, 2] {
            let runs = try (0..<7).map { _ in try workload.seconds(threads: threads, stopwatch) }
            let total = runs.map { $0.values.reduce(0, +) }.median
            let suffix = threads == 1 ? "one core" : "two threads"
            results.append(
                Measurement(
                    name: "one client's key work, n=\(clients) k=\(workload.topology.neighbours), \(suffix) "
                        + "(bar 60 ms)", value: total * 1e3, unit: "ms", limit: 60))
            for stage in Stage.allCases {
                results.append(
                    Measurement(
                        name: "one client's key work, stage \(stage.name), \(suffix)",
                        value: runs.map { $0[stage]! }.median * 1e3, unit: "ms"))
            }
        }
        return results
    }

    private static func upload(_ parameters: AggregationParameters) throws(ParameterError) -> Measurement {
        let traffic = try Traffic(parameters, advertised: clients)
        return Measurement(
            name: "one client's upload in a round, all messages, against \(dimension) floats (bar 0.56)",
            value: Double(traffic.upPerClient), unit: "bytes", limit: Double(4 * dimension))
    }
}

/// The limit of all mask speeds: libsodium's ChaCha20 stream over a buffer of L2 size, again and again.
struct RawStream {
    /// Half of the smallest second-level cache in use on servers.
    static let bufferBytes = 256 << 10

    let bytes: Int

    /// Writes `bytes` bytes of key stream, shared among the threads.
    func run(threads: Int) {
        let rounds = max(1, bytes / Self.bufferBytes / threads)
        parallel(threads, threads: threads) { _ in
            withUnsafeTemporaryAllocation(byteCount: Self.bufferBytes, alignment: 64) { buffer in
                for _ in 0..<rounds { RawChaCha20.fill(buffer) }
            }
        }
    }
}
