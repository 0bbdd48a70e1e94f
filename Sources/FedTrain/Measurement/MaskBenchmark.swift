import SecureAgg
import Sodium

/// `bench mask`: how close the masks come to libsodium's own ChaCha20 stream on this machine.
public enum MaskBenchmark {
    public static func run(_ stopwatch: Stopwatch) -> [Measurement] {
        let workload = MaskWorkload(maskCount: 20, dimension: 1_000_000, modulusBits: 16)
        let masks = pairedSeconds(
            repetitions: 5, stopwatch, { workload.run(threads: 1) }, { workload.run(threads: 2) })
        let gigabytes = Double(workload.streamBytes) / 1e9
        return [
            Measurement(
                name: "mask stream, two threads against one", value: gigabytes / masks.second,
                unit: "GB/s", limit: gigabytes / masks.first)
        ]
    }
}
