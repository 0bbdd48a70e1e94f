import DP
import Foundation
import GMP
import Sodium
import Testing

/// The one promise the accounting builds on: whatever comes in, one unit adds an integer vector of
/// squared norm at most Δ₂².
@Suite("One unit changes the integer sum by at most Δ₂")
struct EncodingSensitivityTests {
    static let seed = [UInt8](repeating: 3, count: 32)

    /// Σv², computed apart from the encoder.
    static func squaredNorm(_ v: [Int32]) -> BigInteger {
        v.reduce(BigInteger(0)) { $0 + BigInteger(Int($1)) * BigInteger(Int($1)) }
    }

    /// Inputs that have broken encoders elsewhere, for a clip norm of 1.
    static func adversarial(_ plan: EncodingPlan, _ rotation: Rotation) -> [(String, [Float])] {
        let d = plan.dimension
        let step = Float(1 / plan.scale.asDouble)
        func filled(_ value: Float) -> [Float] { [Float](repeating: value, count: d) }
        func spike(_ value: Float, at index: Int) -> [Float] {
            var x = filled(0)
            x[index] = value
            return x
        }
        /// The vector that the rotation turns into `target` steps.
        func aimed(_ target: [Float]) -> [Float] {
            var x = target.map { $0 * step }
            x.withUnsafeMutableBufferPointer { rotation.applyInverse(to: $0) }
            return x
        }
        var mixed = filled(0.1)
        mixed[0] = .nan
        var infinite = filled(0.1)
        infinite[d - 1] = -.infinity
        var huge = filled(0)
        for index in 0..<d {
            huge[index] = index % 2 == 0 ? .greatestFiniteMagnitude : -.greatestFiniteMagnitude
        }
        return [
            ("zero", filled(0)), ("NaN", mixed), ("infinity", infinite),
            ("signalling NaN", spike(.signalingNaN, at: 0)),
            ("all NaN", filled(.nan)), ("largest floats", huge),
            ("subnormals", filled(.leastNonzeroMagnitude)),
            ("subnormal and huge", spike(.greatestFiniteMagnitude, at: d / 2)),
            ("exactly at the clip norm", spike(1, at: 0)), ("just above", spike(Float(1).nextUp, at: d - 1)),
            ("spike of 1e30", spike(-1e30, at: d - 1)), ("flat, far too long", filled(1e6)),
            ("every coordinate at a half step", aimed(filled(0.5))),
            ("every coordinate at minus a half step", aimed(filled(-0.5))),
            ("just below a step", aimed(filled(0.999))), ("just above a step", aimed(filled(1.001))),
            ("the whole norm in one rotated coordinate", aimed(spike(Float(plan.clipSteps), at: d / 3))),
            ("longer than that", aimed(spike(Float(plan.clipSteps) * 3, at: 0))),
        ]
    }

    @Test(
        "Adversarial vectors stay within the bound",
        arguments: [
            (1, 4), (1, 100), (2, 4), (3, 5), (16, 4), (17, 16), (100, 40), (1000, 4), (1000, 127),
            (5000, 400),
        ])
    func adversarialVectors(dimension: Int, clipSteps: Int) throws {
        let plan = try EncodingPlan(
            dimension: dimension, clipNorm: 1, clipSteps: clipSteps, indicatorWeight: min(2, clipSteps))
        let rotation = Rotation(dimension: dimension, seed: Self.seed)
        let random = StreamRandom(seed: 1, label: "adversarial")
        for attempts in [64, 1, 0] {
            let encoder = UpdateEncoder(plan: plan, rotation: rotation, roundingAttemptsMax: attempts)
            for (name, x) in Self.adversarial(plan, rotation) {
                for _ in 0..<10 {
                    var v = [Int32](repeating: 0, count: plan.length)
                    let outcome = encoder.encode(x, addingTo: &v, random: random)
                    #expect(Self.squaredNorm(v) <= BigInteger(plan.sensitivitySquared), "\(name)")
                    #expect(v.allSatisfy { UInt64($0.magnitude) <= plan.coordinateMax }, "\(name)")
                    let isFinite = x.allSatisfy(\.isFinite)
                    #expect((outcome == .zeroed) == !isFinite, "\(name)")
                    if !isFinite { #expect(v.allSatisfy { $0 == 0 }, "\(name)") }
                    #expect((v[dimension] != 0) == (outcome == .clipped), "\(name)")
                }
            }
        }
    }

    @Test("Brute force over small dimensions: every input on a grid, many roundings")
    func bruteForce() throws {
        let random = StreamRandom(seed: 2, label: "brute force")
        var largest = 0.0
        for dimension in 1...3 {
            let plan = try EncodingPlan(dimension: dimension, clipNorm: 1, clipSteps: 4)
            let rotation = Rotation(dimension: dimension, seed: Self.seed)
            let encoder = UpdateEncoder(plan: plan, rotation: rotation)
            let grid = stride(from: Float(-1.25), through: 1.25, by: 0.25)
            var inputs: [[Float]] = [[]]
            for _ in 0..<dimension { inputs = inputs.flatMap { x in grid.map { x + [$0] } } }
            for x in inputs {
                for _ in 0..<30 {
                    var v = [Int32](repeating: 0, count: dimension)
                    encoder.encode(x, addingTo: &v, random: random)
                    let squared = Self.squaredNorm(v)
                    #expect(squared <= BigInteger(plan.sensitivitySquared))
                    largest = max(largest, squared.asDouble / Double(plan.sensitivitySquared))
                }
            }
        }
        // The gate is not idle: some vectors come close to it.
        #expect(largest > 0.8)
    }

    @Test("Without one record the sum is smaller by exactly that record's vector")
    func recordAddsOneVector() throws {
        let plan = try EncodingPlan(dimension: 300, clipNorm: 1, clipSteps: 100)
        let rotation = Rotation(dimension: 300, seed: Self.seed)
        let random = StreamRandom(seed: 3, label: "records")
        let records = (0..<50).map { _ in EncodingRotationTests.gaussian(300, random) }
        // One coin stream per record, so that the two worlds share the coins of all other records.
        func sum(_ indices: [Int]) -> [Int32] {
            let encoder = UpdateEncoder(plan: plan, rotation: rotation)
            var total = [Int32](repeating: 0, count: plan.length)
            for index in indices {
                encoder.encode(
                    records[index], addingTo: &total, random: StreamRandom(seed: UInt64(index), label: "r"))
            }
            return total
        }
        let all = sum(Array(0..<50))
        #expect(sum(Array((0..<50).reversed())) == all)
        for left in [0, 17, 49] {
            let without = sum((0..<50).filter { $0 != left })
            let difference = zip(all, without).map { $0 &- $1 }
            #expect(difference == sum([left]))
            #expect(Self.squaredNorm(difference) <= BigInteger(plan.sensitivitySquared))
        }
    }

    @Test("Rounding the real total once would break the bound: the reason for encoding record by record")
    func roundingTotalsWouldLeak() {
        // 400 coordinates just below a half; a record of norm 0.02·√400 = 0.4 steps tips them all.
        let total = [Double](repeating: 0.49, count: 400)
        let record = [Double](repeating: 0.02, count: 400)
        let change = zip(total, record).map { ($0 + $1).rounded() - $0.rounded() }
        #expect(change.reduce(0) { $0 + $1 * $1 } == 400)
    }

    @Test("The norm gate is exact, also where 64-bit sums of squares would overflow")
    func normGate() {
        func fits(_ v: [Int32], _ bound: UInt64) -> Bool {
            v.withUnsafeBufferPointer {
                StochasticRounding.normFits($0.baseAddress!, count: v.count, boundSquared: bound)
            }
        }
        #expect(fits([3, -4], 25) && !fits([3, -4], 24))
        let largest = UInt64(1 << 44) - 1
        // Four squares of 2^31 are 2^64, which is 0 in 64 bits.
        for v in [Int32.min, 1 << 30, 1 << 22, -(1 << 22)] {
            for count in [1, 4, 16, 1024, 1 << 20] {
                #expect(!fits([Int32](repeating: v, count: count), largest), "\(count) of \(v)")
            }
        }
        // 2^22 coordinates of 2^11 have norm 2^44, across several chunks.
        let flat = [Int32](repeating: 1 << 11, count: 1 << 22)
        #expect(!fits(flat, largest))
        #expect(fits(Array(flat.dropLast()), largest))
        let random = StreamRandom(seed: 4, label: "gate")
        for _ in 0..<200 {
            let v = (0..<1 + Int(random.nextUInt64() % 70)).map { _ in
                Int32(truncatingIfNeeded: random.nextUInt64()) >> Int32(11 + random.nextUInt64() % 20)
            }
            let squared = Self.squaredNorm(v).asUInt64!
            #expect(fits(v, squared) && (squared == 0 || !fits(v, squared - 1)))
        }
    }

    @Test("An accumulator near the 32-bit border wraps and does not trap")
    func wraps() throws {
        let plan = try EncodingPlan(dimension: 8, clipNorm: 1, clipSteps: 8)
        let encoder = UpdateEncoder(plan: plan, rotation: Rotation(dimension: 8, seed: Self.seed))
        for start in [Int32.max, Int32.min] {
            var v = [Int32](repeating: start, count: 8)
            encoder.encode(
                [5, -5, 5, -5, 5, 5, 5, 5], addingTo: &v, random: StreamRandom(seed: 1, label: "w"))
            #expect(Self.squaredNorm(v.map { $0 &- start }) <= BigInteger(plan.sensitivitySquared))
        }
    }
}
