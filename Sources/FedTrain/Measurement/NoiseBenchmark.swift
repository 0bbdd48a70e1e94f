import DP
import GMP
import Sodium

/// `bench noise`: what one coordinate of noise costs on one core, and how close the rotation comes to a
/// memory copy.
public enum NoiseBenchmark {
    /// Bars that the design names, in nanoseconds a sample.
    private static let exactBar = 1000.0
    private static let tableBar = 40.0

    public static func run(_ stopwatch: Stopwatch) -> [Measurement] {
        [
            discreteGaussian(stopwatch, variance: 1_048_576),
            discreteGaussian(stopwatch, variance: 1_099_511_627_776),
            table(stopwatch, .discreteGaussian(variance: 1_048_576)),
            table(stopwatch, .skellam(variance: 1_048_576)),
            seeded(stopwatch, .skellam(variance: 1_048_576)),
        ] + rotations(stopwatch, dimension: 1 << 20)
    }

    private static func discreteGaussian(_ stopwatch: Stopwatch, variance: Int) -> Measurement {
        let sampler = DiscreteGaussianSampler(variance: Rational(variance))
        let random = StreamRandom(seed: 1, label: "bench noise")
        var values = [Int32](repeating: 0, count: 100_000)
        let seconds = medianSeconds(stopwatch) {
            values.withUnsafeMutableBufferPointer { sampler.fill($0, using: random) }
        }
        return Measurement(
            name: "exact discrete Gaussian, σ² = \(variance), one core",
            value: seconds / Double(values.count) * 1e9, unit: "ns/sample", limit: exactBar)
    }

    private static func table(_ stopwatch: Stopwatch, _ law: IntegerLaw) -> Measurement {
        let sampler = TableSampler(law)
        let random = StreamRandom(seed: 2, label: "bench noise")
        var values = [Int32](repeating: 0, count: 1_000_000)
        let seconds = medianSeconds(stopwatch) {
            values.withUnsafeMutableBufferPointer { sampler.fill($0, using: random) }
        }
        return Measurement(
            name: "table sampler, \(law.description), one core",
            value: seconds / Double(values.count) * 1e9, unit: "ns/sample", limit: tableBar)
    }

    private static func seeded(_ stopwatch: Stopwatch, _ law: IntegerLaw) -> Measurement {
        let noise = SeededNoise(
            sampler: TableSampler(law), seed: SecretBytes(copying: [UInt8](repeating: 1, count: 31)),
            label: "bench")
        var values = [Int32](repeating: 0, count: 1_000_000)
        let seconds = medianSeconds(stopwatch) {
            values.withUnsafeMutableBufferPointer { noise.subtract(from: $0) }
        }
        return Measurement(
            name: "noise computed again from its seed and removed, \(law.description), one core",
            value: seconds / Double(values.count) * 1e9, unit: "ns/sample", limit: tableBar)
    }

    /// Bytes of the vector per second; a copy reads and writes them once, the rotation computes besides.
    private static func rotations(_ stopwatch: Stopwatch, dimension: Int) -> [Measurement] {
        let rotation = Rotation(
            dimension: dimension, seed: [UInt8](repeating: 1, count: Rotation.seedLength))
        var values = (0..<dimension).map { Float($0 % 17) }
        var copy = [Float](repeating: 0, count: dimension)
        let gigabytes = Double(4 * dimension) / 1e9
        return values.withUnsafeMutableBufferPointer { values in
            copy.withUnsafeMutableBufferPointer { copy in
                WalshHadamard.levels.flatMap { level in
                    [false, true].map { isInverse in
                        let seconds = pairedSeconds(repetitions: 41, stopwatch) {
                            if isInverse {
                                rotation.applyInverse(to: values, level: level)
                            } else {
                                rotation.apply(to: values, level: level)
                            }
                        } _: {
                            copy.baseAddress!.update(from: values.baseAddress!, count: values.count)
                        }
                        return Measurement(
                            name:
                                "\(isInverse ? "inverse rotation" : "rotation") of \(dimension) coordinates in "
                                + "Hadamard blocks of \(rotation.blockLength), "
                                + "\(WalshHadamard.name(ofLevel: level)), against a memory copy",
                            value: gigabytes / seconds.first, unit: "GB/s", limit: gigabytes / seconds.second)
                    }
                }
            }
        }
    }

    private static func medianSeconds(_ stopwatch: Stopwatch, _ body: () -> Void) -> Double {
        var seconds: [Double] = []
        for _ in 0..<9 {
            let start = stopwatch()
            body()
            seconds.append(stopwatch() - start)
        }
        return seconds.median
    }
}
