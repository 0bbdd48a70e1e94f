import DP
import Foundation
import GMP
import Testing

@Suite("Encoding plans")
struct EncodingPlanTests {
    @Test("B² equals an independent evaluation of the published formula")
    func normBound() throws {
        for entry in try NoiseVectors.load().normBoundSquared {
            let plan = try EncodingPlan(
                dimension: entry.dimension, clipNorm: 1, clipSteps: entry.clipSteps,
                roundingExponent: try #require(Rational(entry.roundingExponent)))
            #expect("\(plan.normBoundSquared)" == entry.value, "\(entry)")
        }
    }

    @Test("The published check value at d = 65536, c·s = 1000")
    func publishedValue() throws {
        let plan = try EncodingPlan(dimension: 65536, clipNorm: 1, clipSteps: 1000)
        #expect(abs(Double(plan.normBoundSquared).squareRoot() - 1008.72) < 0.005)
    }

    @Test("The clip norm changes the scale and not the sensitivity")
    func clipNormIndependence() throws {
        let small = try EncodingPlan(dimension: 100, clipNorm: Rational(1, 1000), clipSteps: 80)
        let large = try EncodingPlan(dimension: 100, clipNorm: 50, clipSteps: 80)
        #expect(small.sensitivitySquared == large.sensitivitySquared)
        #expect(small.scale == 80_000 && large.scale == Rational(8, 5))
    }

    @Test("The indicator is one more coordinate and enters the sensitivity")
    func indicator() throws {
        let plan = try EncodingPlan(dimension: 100, clipNorm: 1, clipSteps: 80, indicatorWeight: 5)
        #expect(plan.length == 101)
        #expect(plan.sensitivitySquared == plan.normBoundSquared + 25)
    }

    @Test("Numbers out of range are refused by name")
    func refusals() {
        func refuses(_ name: String, _ make: () throws -> EncodingPlan) {
            do {
                _ = try make()
                Issue.record("accepted a bad \(name)")
            } catch PlanError.outOfRange(let parameter, _, _) {
                #expect(parameter == name)
            } catch {
                Issue.record("\(error)")
            }
        }
        refuses("dimension") { try EncodingPlan(dimension: 0, clipNorm: 1, clipSteps: 8) }
        refuses("dimension") { try EncodingPlan(dimension: 1 << 28, clipNorm: 1, clipSteps: 8) }
        refuses("clipSteps") { try EncodingPlan(dimension: 1, clipNorm: 1, clipSteps: 3) }
        refuses("clipSteps") { try EncodingPlan(dimension: 1, clipNorm: 1, clipSteps: 1 << 22) }
        refuses("clipNorm") { try EncodingPlan(dimension: 1, clipNorm: 0, clipSteps: 8) }
        refuses("clipNorm") { try EncodingPlan(dimension: 1, clipNorm: -1, clipSteps: 8) }
        refuses("indicatorWeight") {
            try EncodingPlan(dimension: 1, clipNorm: 1, clipSteps: 8, indicatorWeight: 9)
        }
        refuses("roundingExponent") {
            try EncodingPlan(dimension: 1, clipNorm: 1, clipSteps: 8, roundingExponent: 0)
        }
    }
}
