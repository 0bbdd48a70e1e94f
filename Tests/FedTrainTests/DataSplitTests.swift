import FedTrain
import Models
import Testing

@Suite struct DataSplitTests {
    /// 600 records in 6 categories of 100.
    static let records = (0..<600).map { Record(.text("r\($0)"), category: "c\($0 % 6)") }

    @Test(arguments: [
        RecordSplit.identical, .byCategory, .dirichlet(concentration: 0.1), .dirichlet(concentration: 100),
    ])
    func everyRecordGoesToExactlyOneClientAndTheSeedDecides(split: RecordSplit) throws {
        let parts = try split.indices(of: Self.records, clients: 5, seed: 7)
        #expect(parts.count == 5 && parts.allSatisfy { !$0.isEmpty })
        #expect(parts.flatMap { $0 }.sorted() == Array(0..<600))
        #expect(try split.indices(of: Self.records, clients: 5, seed: 7) == parts)
        #expect(try split.indices(of: Self.records, clients: 5, seed: 8) != parts)
    }

    @Test func identicalPartsDifferInSizeByAtMostOne() throws {
        let sizes = try RecordSplit.identical.indices(of: Self.records, clients: 7, seed: 1).map(\.count)
        #expect(sizes.max()! - sizes.min()! <= 1)
    }

    @Test func byCategoryKeepsCategoriesWhole() throws {
        let parts = try RecordSplit.byCategory.indices(of: Self.records, clients: 4, seed: 1)
        let owners = parts.map { Set($0.map { Self.records[$0].category! }) }
        #expect(owners.map(\.count).sorted() == [1, 1, 2, 2])
        #expect(owners.reduce(Set()) { $0.union($1) }.count == 6)
    }

    @Test func concentrationSetsHowMuchClientsDiffer() throws {
        func spread(_ concentration: Double) throws -> Double {
            let parts = try RecordSplit.dirichlet(concentration: concentration)
                .indices(of: Self.records, clients: 5, seed: 3)
            // Largest share of one category that a client holds, averaged over clients.
            let shares = parts.map { part in
                let counts = Dictionary(grouping: part) { Self.records[$0].category! }.mapValues(\.count)
                return Double(counts.values.max()!) / Double(part.count)
            }
            return shares.reduce(0, +) / 5
        }
        #expect(try spread(1000) < 0.25)
        #expect(try spread(0.05) > 0.4)
    }

    /// Mean 1/k and variance (1/k)(1 − 1/k)/(kα + 1) of each proportion, within 5 standard errors;
    /// about 1 false alarm in 100,000 seeds. Seed 11.
    @Test(arguments: [0.3, 1, 4])
    func proportionsHaveTheMomentsOfTheDirichletDistribution(concentration: Double) {
        var generator = SplitMix64(seed: 11)
        let count = 4
        let draws = 20_000
        var sum = 0.0
        var squares = 0.0
        var fourths = 0.0
        for _ in 0..<draws {
            let share = dirichletProportions(concentration, count: count, &generator)[1]
            let deviation = share - 0.25
            sum += deviation
            squares += deviation * deviation
            fourths += deviation * deviation * deviation * deviation
        }
        let variance = 0.25 * 0.75 / (Double(count) * concentration + 1)
        let size = Double(draws)
        #expect(abs(sum / size) < 5 * (variance / size).squareRoot())
        let errorOfVariance = ((fourths / size - variance * variance) / size).squareRoot()
        #expect(abs(squares / size - variance) < 5 * errorOfVariance)
    }

    @Test func tinyConcentrationsDoNotUnderflow() {
        var generator = SplitMix64(seed: 12)
        for _ in 0..<100 {
            let shares = dirichletProportions(1e-4, count: 10, &generator)
            #expect(abs(shares.reduce(0, +) - 1) < 1e-12 && shares.allSatisfy { $0 >= 0 })
        }
    }

    @Test func impossibleSplitsAreRefused() {
        #expect(throws: RecordSplitError.tooFewRecords(records: 600, clients: 601)) {
            try RecordSplit.identical.indices(of: Self.records, clients: 601, seed: 1)
        }
        #expect(throws: RecordSplitError.tooFewCategories(categories: 6, clients: 7)) {
            try RecordSplit.byCategory.indices(of: Self.records, clients: 7, seed: 1)
        }
        #expect(throws: RecordSplitError.noCategory(record: 1)) {
            try RecordSplit.byCategory.indices(
                of: [Record(.text("a"), category: "x"), Record(.text("b"))], clients: 1, seed: 1)
        }
    }
}
