import DP
import GMP
import Sodium
import Testing

/// Clip norms and records at the edges of what floats can hold, and planner requests at the edges of what
/// can be asked for.
@Suite("Extremes of encoder and planner")
struct EncodingExtremesTests {
    @Test("At the smallest and largest clip norms every adversarial vector stays within the bound")
    func clipNorms() throws {
        let seed = EncodingSensitivityTests.seed
        for exponent in [-100, -60, 60, 100] {
            let clip =
                exponent < 0 ? Rational(1, .powerOfTwo(-exponent)) : Rational(.powerOfTwo(exponent))
            let plan = try EncodingPlan(dimension: 100, clipNorm: clip, clipSteps: 200)
            let rotation = Rotation(dimension: 100, seed: seed)
            let encoder = UpdateEncoder(plan: plan, rotation: rotation)
            let random = StreamRandom(seed: 21, label: "extremes")
            let unit = try EncodingPlan(dimension: 100, clipNorm: 1, clipSteps: 200)
            for (name, x) in EncodingSensitivityTests.adversarial(unit, rotation) {
                // As they are, and scaled to this clip norm as far as floats reach.
                for vector in [x, x.map { Float(Double($0) * clip.asDouble) }] {
                    var v = [Int32](repeating: 0, count: plan.length)
                    encoder.encode(vector, addingTo: &v, random: random)
                    #expect(
                        EncodingSensitivityTests.squaredNorm(v) <= BigInteger(plan.sensitivitySquared),
                        "\(name) at 2^\(exponent)")
                }
            }
        }
    }

    @Test("Unit record: beside any adversarial record the sum moves by that record's bounded vector alone")
    func adversarialRecords() throws {
        let plan = try EncodingPlan(dimension: 60, clipNorm: 1, clipSteps: 50, indicatorWeight: 3)
        let rotation = Rotation(dimension: 60, seed: EncodingSensitivityTests.seed)
        let honest = EncodingRotationTests.gaussian(60, StreamRandom(seed: 22, label: "honest"))
        func sum(_ records: [(Int, [Float])]) -> [Int32] {
            let encoder = UpdateEncoder(plan: plan, rotation: rotation)
            var total = [Int32](repeating: .max - 7, count: plan.length)
            for (number, record) in records {
                encoder.encode(
                    record, addingTo: &total, random: StreamRandom(seed: UInt64(number), label: "record"))
            }
            return total
        }
        let adversarial = EncodingSensitivityTests.adversarial(plan, rotation)
        let others = (0..<5).map { ($0, honest.map { $0 * 2 }) }
        // All of them at once, too: each is bounded by itself, whatever the others are.
        let crowd = others + adversarial.enumerated().map { (100 + $0.offset, $0.element.1) }
        for (number, (name, record)) in adversarial.enumerated() {
            for rest in [others, crowd.filter { $0.0 != 100 + number }] {
                let with = sum(rest + [(100 + number, record)])
                let change = zip(with, sum(rest)).map { $0 &- $1 }
                #expect(
                    EncodingSensitivityTests.squaredNorm(change) <= BigInteger(plan.sensitivitySquared),
                    "\(name)")
            }
        }
    }

    @Test("Any request is solved with its promises kept, or refused by name; seed printed")
    func randomRequests() {
        let seed: UInt64 = 23
        let random = StreamRandom(seed: seed, label: "requests")
        func pick<T>(_ values: [T]) -> T { values[Int(random.nextUInt64() % UInt64(values.count))] }
        var solved = 0
        for _ in 0..<60 {
            let clients = pick([1, 3, 8, 40, 1000, 1 << 20])
            var request = AggregationPlan.Request(
                dimension: pick([0, 1, 7, 1000, 1 << 17, 1 << 27, (1 << 27) + 1]),
                clipNorm: pick([0, 1, Rational(1, 1000), Rational(.powerOfTwo(100)), -1]),
                noiseMultiplier: pick([0, Rational(1, 1000), 1, 8, 100_000, -3]),
                clients: clients, minSurvivors: max(1, clients * pick([1, 2, 3]) / 3),
                colluders: pick([0, 1, clients]))
            request.mechanism = pick([.discreteGaussian, .skellam])
            request.dropoutNoise = pick([.floor, .exact])
            request.unitsPerClientMax = pick([1, 500])
            request.hasClipIndicator = pick([true, false])
            do throws(PlanError) {
                let plan = try AggregationPlan.solve(request)
                solved += 1
                let z = request.noiseMultiplier
                #expect(plan.noiseMultiplierSquared >= z * z)
                #expect(plan.noise.localVariance >= 16)
                #expect(plan.wrap.failureLog2 <= -Double(request.failureBits))
                #expect(plan.wrap.margin > 0 && (8...32).contains(plan.modulusBits))
                for survivors in Set([request.minSurvivors, (request.minSurvivors + clients) / 2, clients]) {
                    #expect(
                        plan.noise.deliveredVariance(survivors: survivors)
                            * Rational(BigInteger(survivors - request.colluders), BigInteger(survivors))
                            >= plan.noise.guaranteedVariance)
                }
            } catch {
                #expect(!error.description.isEmpty)
            }
        }
        #expect(solved >= 3, "seed \(seed): \(solved) of 60")
    }
}
