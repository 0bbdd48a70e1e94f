import DP
import Foundation
import Sodium
import Testing

@Suite("The rotation is public, orthogonal and spreads")
struct EncodingRotationTests {
    static func seed(_ value: UInt8) -> [UInt8] { [UInt8](repeating: value, count: 32) }

    static func rotated(_ x: [Float], _ rotation: Rotation) -> [Float] {
        var y = x
        y.withUnsafeMutableBufferPointer { rotation.apply(to: $0) }
        return y
    }

    static func norm(_ x: [Float]) -> Double {
        x.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    }

    static func gaussian(_ count: Int, _ random: StreamRandom) -> [Float] {
        (0..<count).map { _ in
            let u = (Double(random.nextUInt64() >> 11) + 0.5) * 0x1p-53
            let v = Double(random.nextUInt64() >> 11) * 0x1p-53
            return Float((-2 * log(u)).squareRoot() * cos(2 * .pi * v))
        }
    }

    @Test("It equals dense matrices with signs from an independent ChaCha20")
    func vectors() throws {
        for entry in try NoiseVectors.load().rotation {
            let rotation = Rotation(
                dimension: entry.input.count, seed: try #require(bytesFromHex(entry.seed)))
            for (ours, theirs) in zip(Self.rotated(entry.input, rotation), entry.output) {
                #expect(abs(Double(ours) - theirs) < 1e-4, "d = \(entry.input.count)")
            }
        }
    }

    @Test("It keeps norms and its inverse undoes it, for every dimension near block borders")
    func orthogonal() {
        let random = StreamRandom(seed: 1, label: "rotation")
        for dimension in Array(1...70) + [127, 128, 129, 4095, 4096, 4097, 10_000, 65_537, 200_000] {
            let rotation = Rotation(dimension: dimension, seed: Self.seed(9))
            let x = Self.gaussian(dimension, random)
            var y = Self.rotated(x, rotation)
            #expect(abs(Self.norm(y) / Self.norm(x) - 1) < 1e-5, "d = \(dimension)")
            y.withUnsafeMutableBufferPointer { rotation.applyInverse(to: $0) }
            // 2·17 additions deep, each off by 2^−24 of the block's largest value.
            let worst = zip(x, y).map { abs($0 - $1) }.max()!
            #expect(worst < 3e-5, "d = \(dimension): \(worst)")
        }
    }

    @Test("Another seed is another rotation; the same seed the same bytes")
    func seeds() {
        let x = (0..<100).map { Float($0) }
        let a = Self.rotated(x, Rotation(dimension: 100, seed: Self.seed(1)))
        #expect(a == Self.rotated(x, Rotation(dimension: 100, seed: Self.seed(1))))
        #expect(a != Self.rotated(x, Rotation(dimension: 100, seed: Self.seed(2))))
    }

    @Test("No coordinate exceeds its sub-Gaussian bound, even for a spike in the block overlap")
    func spreads() {
        // P[any of d coordinates of any of 2 × 200 rotations exceeds] ≤ 2·d·400·e^{−t²/2} = 1e-6.
        let dimension = 3000
        let block = Double(Rotation.blockLength(for: dimension))
        let limit = (2 * log(2 * Double(dimension) * 400 / 1e-6) / block).squareRoot()
        let hot = Array(repeating: Float(1 / Double(dimension).squareRoot()), count: dimension)
        var spike = [Float](repeating: 0, count: dimension)
        spike[1500] = 1
        for seed in 0..<200 {
            let rotation = Rotation(dimension: dimension, seed: Self.seed(UInt8(seed)))
            for x in [hot, spike] {
                #expect(Self.rotated(x, rotation).map { Double(abs($0)) }.max()! < limit)
            }
        }
    }
}
