import DP
import Foundation
import GMP
import Sodium
import Testing

@Suite("Decoding returns what was encoded")
struct EncodingDecodingTests {
    static let seed = [UInt8](repeating: 5, count: 32)

    @Test(
        "A sum of encodings decodes to the sum of the clipped vectors, up to rounding",
        arguments: [1, 5, 64, 777, 5000])
    func roundTrip(dimension: Int) throws {
        let steps = max(16, Int(8 * Double(dimension).squareRoot()))
        let plan = try EncodingPlan(
            dimension: dimension, clipNorm: Rational(1, 2), clipSteps: steps, indicatorWeight: 3)
        let rotation = Rotation(dimension: dimension, seed: Self.seed)
        let encoder = UpdateEncoder(plan: plan, rotation: rotation)
        let random = StreamRandom(seed: 1, label: "round trip")
        var accumulator = [Int32](repeating: 0, count: plan.length)
        var expected = [Double](repeating: 0, count: dimension)
        let units = 40
        var clipped = 0
        for unit in 0..<units {
            // Norms from far below to far above the clip norm.
            let x = EncodingRotationTests.gaussian(dimension, random).map {
                $0 * Float(pow(2.0, Double(unit % 12) - 6)) / Float(dimension).squareRoot()
            }
            let norm = EncodingRotationTests.norm(x)
            let factor = min(1, 0.5 / norm)
            for index in 0..<dimension { expected[index] += Double(x[index]) * factor }
            let outcome = encoder.encode(x, addingTo: &accumulator, random: random)
            #expect(outcome == (norm > 0.5 ? .clipped : .kept))
            clipped += norm > 0.5 ? 1 : 0
        }
        let decoded = SumDecoder(plan: plan, rotation: rotation).decode(accumulator)
        #expect(decoded.clippedCount == Double(clipped))
        // Rounding errors are independent, below one step, with variance at most 1/4: the error's norm is
        // below 2·√(units·d/4) steps but for a probability far below 1e-6 (or 6σ for d = 1).
        let step = 1 / plan.scale.asDouble
        let error = zip(decoded.update, expected).map { Float(Double($0) - $1) }
        let limit =
            max(2, 6 / Double(dimension).squareRoot()) * (Double(units * dimension) / 4).squareRoot() * step
        #expect(EncodingRotationTests.norm(error) < limit)
    }

    @Test("Rounding is unbiased: the mean over many encodings meets the vector")
    func unbiased() throws {
        let dimension = 48
        let plan = try EncodingPlan(dimension: dimension, clipNorm: 1, clipSteps: 60)
        let rotation = Rotation(dimension: dimension, seed: Self.seed)
        let encoder = UpdateEncoder(plan: plan, rotation: rotation)
        let random = StreamRandom(seed: 2, label: "bias")
        // Shorter than the clip norm, so that the norm gate hardly conditions the rounding.
        let x = EncodingRotationTests.gaussian(dimension, random).map { $0 * 0.05 }
        var accumulator = [Int32](repeating: 0, count: dimension)
        let trials = 100_000
        for _ in 0..<trials { encoder.encode(x, addingTo: &accumulator, random: random) }
        let rotated = EncodingRotationTests.rotated(x.map { $0 * 60 }, rotation)
        for index in 0..<dimension {
            let mean = Double(accumulator[index]) / Double(trials)
            let fraction = Double(rotated[index]) - Double(rotated[index]).rounded(.down)
            let deviation = (fraction * (1 - fraction) / Double(trials)).squareRoot()
            // 48 tests at 1e-6/48 each: 5.6 deviations; 1e-5 for 16-bit coins and single precision.
            #expect(abs(mean - Double(rotated[index])) < 5.6 * deviation + 1e-5, "coordinate \(index)")
        }
    }

    @Test("The rounding gate accepts nearly always and the last resort is not needed")
    func acceptance() throws {
        let plan = try EncodingPlan(dimension: 4096, clipNorm: 1, clipSteps: 256)
        let encoder = UpdateEncoder(plan: plan, rotation: Rotation(dimension: 4096, seed: Self.seed))
        let random = StreamRandom(seed: 3, label: "acceptance")
        var accumulator = [Int32](repeating: 0, count: 4096)
        for _ in 0..<300 {
            let x = EncodingRotationTests.gaussian(4096, random)
            #expect(encoder.encode(x, addingTo: &accumulator, random: random) == .clipped)
        }
        #expect(encoder.unitCount == 300 && encoder.fallbackCount == 0)
    }
}
