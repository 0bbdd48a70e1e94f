import DP
import Foundation
import GMP
import Sodium
import Testing

@Suite("Aggregation plans")
struct MechanismPlanTests {
    static func request(
        _ dimension: Int = 10_000, z: Rational = 1, clients: Int = 8, floor: Int = 6, colluders: Int = 1
    ) -> AggregationPlan.Request {
        AggregationPlan.Request(
            dimension: dimension, clipNorm: Rational(1, 10), noiseMultiplier: z, clients: clients,
            minSurvivors: floor, colluders: colluders)
    }

    @Test("Every plan keeps its promises: noise, inflation, local noise, modulus")
    func promises() throws {
        for dimension in [1, 37, 1000, 10_000, 50_000, 1 << 20] {
            for z: Rational in [Rational(1, 10), Rational(7, 10), 4] {
                for (clients, floor, colluders, units) in [
                    (8, 6, 1, 1), (8, 6, 0, 500), (100, 67, 10, 1), (1000, 700, 50, 20),
                ] {
                    var request = Self.request(
                        dimension, z: z, clients: clients, floor: floor, colluders: colluders)
                    request.unitsPerClientMax = units
                    request.hasClipIndicator = dimension % 2 == 0
                    let plan = try AggregationPlan.solve(request)
                    #expect(plan.noiseMultiplierSquared >= z * z)
                    // A variance above 15, rounded up to an integer, grows by at most a fifteenth.
                    #expect(plan.noiseMultiplierSquared <= z * z * Rational(16, 15))
                    #expect(plan.encoding.roundingInflation <= 1.005 + 1e-3)
                    #expect(plan.noise.localVariance >= 16 && plan.noise.localVariance.isInteger)
                    let window = Double(1 << (plan.modulusBits - 1)) - 1
                    #expect(plan.wrap.signalMax + plan.wrap.margin == window)
                    #expect(plan.wrap.failureLog2 <= -40 && (8...32).contains(plan.modulusBits))
                    #expect(DiscreteGaussianSampler(variance: plan.noise.localVariance).isFast)
                    #expect(plan.noise.sumTau * Double(plan.length) < 1e-50)
                    request.worstCaseOnly = true
                    let worst = try AggregationPlan.solve(request)
                    #expect(worst.modulusBits >= plan.modulusBits && worst.wrap.argument == .worstCase)
                }
            }
        }
    }

    @Test("One bit less would break the bound, more of anything never needs fewer bits")
    func monotone() throws {
        var last = 0
        for units in [1, 10, 100, 1000, 10_000] {
            var request = Self.request()
            request.unitsPerClientMax = units
            let plan = try AggregationPlan.solve(request)
            #expect(plan.modulusBits >= last)
            last = plan.modulusBits
            request.modulusBitsMax = plan.modulusBits - 1
            #expect(
                throws: PlanError.modulusTooSmall(needed: plan.modulusBits, allowed: plan.modulusBits - 1)
            ) {
                try AggregationPlan.solve(request)
            }
        }
    }

    @Test("Impossible requests are refused with the reason")
    func refusals() {
        #expect(throws: PlanError.noHonestNoise(minSurvivors: 6, colluders: 6)) {
            try AggregationPlan.solve(Self.request(colluders: 6))
        }
        func refuses(_ name: String, _ change: (inout AggregationPlan.Request) -> Void) {
            var request = Self.request()
            change(&request)
            do {
                _ = try AggregationPlan.solve(request)
                Issue.record("accepted a bad \(name)")
            } catch PlanError.outOfRange(let parameter, _, _) {
                #expect(parameter == name)
            } catch {
                Issue.record("\(name): \(error)")
            }
        }
        refuses("noiseMultiplier") { $0.noiseMultiplier = 0 }
        refuses("noiseMultiplier") { $0.noiseMultiplier = Rational(1, .powerOfTwo(40)) }
        refuses("minSurvivors") { $0.minSurvivors = 9 }
        refuses("clients") { $0.clients = 0 }
        refuses("dimension") { $0.dimension = 0 }
        refuses("modulusBitsMax") { $0.modulusBitsMax = 33 }
        refuses("roundingInflationMax") { $0.roundingInflationMax = .nan }
    }

    @Test("At the planned modulus sums of aligned units come back unwrapped")
    func wrapping() throws {
        var request = Self.request(2000, z: Rational(1, 2))
        request.unitsPerClientMax = 30
        let plan = try AggregationPlan.solve(request)
        #expect(plan.wrap.argument == .rotation)
        // The worst case for the rotation argument: all 240 units point the same way.
        var random = StreamRandom(seed: 8, label: "wrap")
        let x = EncodingRotationTests.gaussian(2000, random)
        var largest = 0.0
        for round in 0..<20 {
            let rotation = Rotation(dimension: 2000, seed: random.bytes(32))
            let encoder = UpdateEncoder(plan: plan.encoding, rotation: rotation)
            var sum = [Int32](repeating: 0, count: plan.length)
            for _ in 0..<240 { encoder.encode(x, addingTo: &sum, random: random) }
            for client in 0..<8 {
                plan.noise.noiseShare(
                    count: plan.length, using: StreamRandom(seed: UInt64(round), label: "noise \(client)")
                ).add(to: &sum)
            }
            largest = max(largest, Double(sum.map { $0.magnitude }.max()!))
        }
        let window = Double(1 << (plan.modulusBits - 1))
        #expect(largest < window)
        // The proof is not idle either: what it assumes is near what is seen. (Blocks of 1024 stand for
        // 2000 coordinates, so it is too large by up to √2.)
        let deviation = (plan.wrap.signalStd * plan.wrap.signalStd + plan.wrap.noiseStd * plan.wrap.noiseStd)
            .squareRoot()
        #expect(largest > 2 * deviation && largest < 7 * deviation + plan.wrap.signalMax)
    }

    @Test("A whole round by hand: encode, noise, sum modulo 2^b, centre, decode")
    func wholeRound() throws {
        let plan = try AggregationPlan.solve(
            Self.request(500, z: Rational(1, 100), clients: 4, floor: 3, colluders: 0))
        let rotation = Rotation(dimension: 500, seed: [UInt8](repeating: 1, count: 32))
        let random = StreamRandom(seed: 9, label: "round")
        let bits = UInt32(plan.modulusBits)
        let mask = UInt32.max >> (32 - bits)
        var masked = [UInt32](repeating: 0, count: plan.length)
        var expected = [Float](repeating: 0, count: 500)
        for _ in 0..<4 {
            let share = plan.noise.noiseShare(count: plan.length, using: random)
            let x = EncodingRotationTests.gaussian(500, random).map { $0 * 0.003 }
            var v = [Int32](repeating: 0, count: plan.length)
            UpdateEncoder(plan: plan.encoding, rotation: rotation).encode(x, addingTo: &v, random: random)
            share.add(to: &v)
            for index in 0..<plan.length {
                masked[index] = masked[index] &+ UInt32(bitPattern: v[index]) & mask
            }
            for index in 0..<500 { expected[index] += x[index] }
        }
        let centred = masked.map { Int32(bitPattern: ($0 & mask) << (32 - bits)) >> Int32(32 - bits) }
        let decoded = SumDecoder(plan: plan.encoding, rotation: rotation).decode(centred)
        let error = zip(decoded.update, expected).map { $0 - $1 }
        let std = EncodingRotationTests.norm(error) / 500.0.squareRoot()
        let rounding = 4.0 / 6 / plan.encoding.scale.asDouble / plan.encoding.scale.asDouble
        let planned = (plan.noiseStd(survivors: 4) * plan.noiseStd(survivors: 4) + rounding).squareRoot()
        // 500 coordinates: six deviations of a sample deviation are 19 %.
        #expect(abs(std / planned - 1) < 0.19)
    }

    @Test("Poisson samples exceed the planned size no more often than stated")
    func sampleSize() {
        #expect(AggregationPlan.sampleSizeMax(records: 0, rate: 0.5, failureBits: 40) == 0)
        #expect(AggregationPlan.sampleSizeMax(records: 100, rate: 0, failureBits: 40) == 0)
        #expect(AggregationPlan.sampleSizeMax(records: 100, rate: 1, failureBits: 40) == 100)
        for (records, rate) in [(10, 0.9), (500, 0.1), (100_000, 0.01)] {
            for bits in [1, 10, 40] {
                let size = AggregationPlan.sampleSizeMax(records: records, rate: rate, failureBits: bits)
                #expect(size <= records && Double(size) >= Double(records) * rate)
                // The exact binomial tail beyond `size`.
                var tail = 0.0
                for k in stride(from: size + 1, through: records, by: 1) {
                    let ways =
                        lgamma(Double(records + 1)) - lgamma(Double(k + 1)) - lgamma(Double(records - k + 1))
                    tail += exp(ways + Double(k) * log(rate) + Double(records - k) * log(1 - rate))
                }
                #expect(tail <= pow(2, -Double(bits)) * (1 + 1e-6))
            }
        }
    }
}
