import GMP
import SecureAgg
import Sodium

/// `bench unmask`: what opening the sum costs the server, beside libsodium's own ChaCha20 stream.
public enum UnmaskBenchmark {
    public static func run(_ stopwatch: Stopwatch) throws -> [Measurement] {
        [maskRemoval(stopwatch), reconstruction(stopwatch), try whole(stopwatch)]
    }

    /// One mask off a sum of 10^5 coordinates: what each survivor costs once, and each lost client once per
    /// surviving neighbour.
    private static func maskRemoval(_ stopwatch: Stopwatch) -> Measurement {
        let workload = MaskWorkload(maskCount: 2000, dimension: 100_000, modulusBits: 16)
        let raw = RawStream(bytes: workload.streamBytes)
        let times = pairedSeconds(
            repetitions: 7, stopwatch, { workload.run(threads: 1) }, { raw.run(threads: 1) })
        let perMask = 1e6 / Double(workload.maskCount)
        return Measurement(
            name: "one mask off 10^5 coordinates of 16 bits, one core, against raw ChaCha20",
            value: times.first * perMask, unit: "µs", limit: times.second * perMask)
    }

    /// One seed from t shares of a ring's neighbours, every dealer's weights computed afresh.
    private static func reconstruction(_ stopwatch: Stopwatch) -> Measurement {
        let workload = RecoveryWorkload(threshold: 150, holders: 208, seed: 1)
        var times: [Double] = []
        for repetition in 0..<7 {
            let start = stopwatch()
            precondition(workload.run(offset: repetition))
            times.append(stopwatch() - start)
        }
        return Measurement(
            name: "one seed from t=150 shares, check not counted", value: times.median * 1e3, unit: "ms")
    }

    /// The server's closing of stage 4 in a real round of 200 that lost a tenth after sharing: recovery of
    /// all seeds, key agreement for the lost, masks off, transcript. The limit is its mask stream alone.
    private static func whole(_ stopwatch: Stopwatch) throws -> Measurement {
        let dimension = 100_000
        let drill = Drill(
            clients: 200, dimension: dimension, drops: [.submitMaskedInput: Rational(1, 10)], seed: 1,
            threads: 2)
        let report = try drill.run(clock: { UInt64(stopwatch() * 1e9) })
        guard let sum = report.sum, let neighbours = report.topology?.neighbours else {
            preconditionFailure("a tenth is within what the drill's graph survives")
        }
        let survivors = sum.survivors.count
        let lost = sum.cohort.count - survivors
        let masks = survivors + lost * neighbours * survivors / (sum.cohort.count - 1)
        let raw = RawStream(bytes: masks * dimension * 2)
        let start = stopwatch()
        raw.run(threads: 2)
        let limit = stopwatch() - start
        return Measurement(
            name: "the server's unmasking, n=200 k=\(neighbours), \(lost) lost, d=\(dimension), two threads, "
                + "against the raw ChaCha20 of \(masks) masks",
            value: Double(report.stages[.unmask]!.closingNanoseconds) * 1e-9, unit: "s", limit: limit)
    }
}
