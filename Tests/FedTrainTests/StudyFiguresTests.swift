import FedTrain
import Foundation
import Models
import Testing

@Suite struct StudyFiguresTests {
    /// By hand: members 3, 5 against 1, 4: pairs won 1 + 0 + 1 + 1 of 4.
    @Test func theAreaCountsPairs() {
        #expect(MembershipTest.area([3, 5], [1, 4]).value == 0.75)
        #expect(MembershipTest.area([1, 1], [1, 1]).value == 0.5)
        let split = MembershipTest.area([3, 4, 5], [0, 1, 2])
        #expect(split.value == 1 && split.low == 1 && split.high == 1)
    }

    /// 300 draws of two normal samples a standard deviation apart, whose area is Φ(1/√2) = 0.76025: the 95 %
    /// interval must miss it in about 15. Seed 5; fewer than 30 with a false alarm below 10^-3.
    @Test func theAreasIntervalHoldsItsLevel() {
        var generator = SplitMix64(seed: 5)
        let missed = (0..<300).count { _ in
            let area = MembershipTest.area(
                (0..<60).map { _ in 1 + standardNormal(&generator) },
                (0..<80).map { _ in standardNormal(&generator) })
            return area.low > 0.76025 || area.high < 0.76025
        }
        #expect(missed < 30)
    }

    /// Values of R's qt(0.975, df).
    @Test(arguments: [
        (1, 12.7062), (5, 2.570582), (20, 2.085963), (21, 2.079614), (63, 1.998341), (1000, 1.962339),
    ])
    func quantilesOfStudentsDistribution(degrees: Int, expected: Double) {
        #expect(abs(MeanEstimate.quantile(degrees: degrees) - expected) < 1e-3 * expected)
    }

    @Test func aMeanOfOneValueHasNoInterval() throws {
        #expect(MeanEstimate([]) == nil)
        #expect(MeanEstimate([2])?.half == nil)
        let three = try #require(MeanEstimate([1, 2, 3]))
        #expect(three.mean == 2 && abs(three.half! - 4.303 / 3.0.squareRoot()) < 1e-9)
    }

    /// 100 canaries of random losses: mean exposure is log2 e minus little, for ranks are uniform.
    @Test func whatNobodyTrainedOnHasTheExposureOfChance() throws {
        var measures = StudyDefinition.Measures()
        measures.canaries = 100
        let canaries = StudyCanaries(measures, seed: 3)
        var generator = SplitMix64(seed: 9)
        let chance = canaries.exposures(
            canaries.controls, losses: { records, _ in records.map { _ in uniform(&generator) } }, clients: 4)
        // Standard deviation log2 e: within 4 standard errors, a false alarm in 16,000.
        let mean = chance.reduce(0, +) / 100
        #expect(abs(mean - 1.4427) < 4 * 0.14427)
        // A model that likes the right code best: log2 of 500 codes.
        let known = canaries.exposures(
            canaries.planted, losses: { records, _ in records.indices.map(Double.init) }, clients: 4)
        let bits = log2(500.0)
        #expect(known.allSatisfy { abs($0 - bits) < 1e-9 })
        #expect(Set(canaries.planted.map(\.holder)).isDisjoint(with: canaries.controls.map(\.holder)))
    }

    @Test func halvingAndHyperbandRunWhatTheirPapersSay() {
        var search = StudySearch(
            method: .halving, trials: 27, eta: 3, minRounds: 1, parameters: StudySearch.recipes["clip"]!,
            seed: 1)
        func rungs(_ rounds: Int) -> [[[Int]]] {
            search.brackets(roundsMax: rounds).map { bracket in bracket.rungs.map { [$0.trials, $0.rounds] } }
        }
        #expect(rungs(27) == [[[27, 1], [9, 3], [3, 9], [1, 27]]])
        search.method = .hyperband
        // Table 1 of [Li et al. 2018] is R = 81, η = 3; its smaller sibling R = 9.
        #expect(rungs(9) == [[[9, 1], [3, 3], [1, 9]], [[5, 3], [1, 9]], [[3, 9]]])
        search.method = .random
        #expect(rungs(5) == [[[27, 5]]])
        #expect(search.values(trial: 3).map(\.value) == search.values(trial: 3).map(\.value))
        let values = (0..<50).compactMap { Double(search.values(trial: $0)[0].value) }
        #expect(values.count == 50 && values.allSatisfy { $0 >= 0.02 && $0 <= 2 } && Set(values).count > 40)
    }
}
