import GMP
import SecureAgg
import Sodium
import Testing

@Suite struct NeighbourSelectionTests {
    private struct Table: Decodable {
        let published: [Row]
        let own: [Row]
    }

    /// Mixed arrays of numbers and names.
    private struct Row: Decodable {
        let cohortSize: Int
        let colluders, dropouts: Rational
        let profile: SecurityProfile
        let numbers: [Int]

        init(from decoder: any Decoder) throws {
            var values = try decoder.unkeyedContainer()
            cohortSize = try values.decode(Int.self)
            colluders = Rational(try values.decode(String.self))!
            dropouts = Rational(try values.decode(String.self))!
            let name = try values.decode(String.self)
            profile = SecurityProfile.allCases.first { $0.name == name }!
            var rest: [Int] = []
            while !values.isAtEnd { rest.append(try values.decode(Int.self)) }
            numbers = rest
        }
    }

    @Test("Our table of neighbours and thresholds, computed elsewhere, is reproduced")
    func ownTable() throws {
        for row in try VectorFile.load("neighbour_parameters.json", as: Table.self).own {
            let selection = NeighbourSelection(
                cohortSize: row.cohortSize, colluderFraction: row.colluders,
                dropoutFraction: row.dropouts, securityBits: row.numbers[0], correctnessBits: 30,
                profile: row.profile)
            let found = selection.select(largest: row.cohortSize)
            #expect(
                found?.neighbours == row.numbers[1] && found?.threshold == row.numbers[2],
                "n=\(row.cohortSize) γ=\(row.colluders) δ=\(row.dropouts) \(row.profile.name): \(String(describing: found))"
            )
        }
    }

    @Test("In FCP's model the published parameters come out", .timeLimit(.minutes(2)))
    func published() throws {
        for row in try VectorFile.load("neighbour_parameters.json", as: Table.self).published
        where row.cohortSize <= 10_000 {
            let selection = NeighbourSelection(
                cohortSize: row.cohortSize, colluderFraction: row.colluders,
                dropoutFraction: row.dropouts, securityBits: 40, correctnessBits: 20,
                profile: row.profile, population: .everyone)
            let found = selection.select(largest: row.cohortSize)
            #expect(
                found?.neighbours == row.numbers[0] && found?.threshold == row.numbers[1],
                "n=\(row.cohortSize) γ=\(row.colluders) δ=\(row.dropouts) \(row.profile.name): \(String(describing: found))"
            )
        }
    }

    @Test("The largest published parameters come out as well, and two neighbours fewer are too few")
    func publishedLarge() throws {
        let rows = try VectorFile.load("neighbour_parameters.json", as: Table.self).published
            .filter { $0.cohortSize > 10_000 }
        #expect(rows.count == 3)
        for row in rows {
            let selection = NeighbourSelection(
                cohortSize: row.cohortSize, colluderFraction: row.colluders, dropoutFraction: row.dropouts,
                securityBits: 40, correctnessBits: 20, profile: row.profile, population: .everyone)
            #expect(selection.threshold(neighbours: row.numbers[0]) == row.numbers[1], "n=\(row.cohortSize)")
            #expect(selection.threshold(neighbours: row.numbers[0] - 2) == nil, "n=\(row.cohortSize)")
        }
    }

    /// A server that hides neighbours from each other in stage 2 cuts the ring without listing anyone as
    /// lost (decision 0021). Each of the two cuts silences all honest clients of k/2 places, and k − t
    /// may be silent around anyone who is to be opened, so each needs t − k/2 corrupt ones.
    @Test(
        "Cutting the ring by hiding neighbours needs corrupt clients that are there with probability < 2^-98",
        arguments: [(500, "0.1", "0.1"), (1000, "0.1", "0.15"), (1000, "0.2", "0.1"), (2000, "0.1", "0.1")])
    func cutByHiding(size: Int, colluders: String, dropouts: String) throws {
        let selection = NeighbourSelection(
            cohortSize: size, colluderFraction: Rational(colluders)!, dropoutFraction: Rational(dropouts)!,
            securityBits: 40 + Topology.grindingBits, correctnessBits: 30, profile: .maliciousServer)
        let (neighbours, threshold) = try #require(selection.select(largest: size))
        let corrupt = try #require((Rational(colluders)! * Rational(size)).floor.asInt)
        let half = neighbours / 2
        let needed = threshold - half
        // Pairs of windows, n²/2, times the chance that both hold what is needed.
        var weight = BigInteger(0)
        for first in needed...half {
            for second in needed...half where first + second <= corrupt {
                weight =
                    weight
                    + .binomial(UInt(half), UInt(first)) * .binomial(UInt(half), UInt(second))
                    * .binomial(UInt(size - neighbours), UInt(corrupt - first - second))
            }
        }
        let scaled = weight * BigInteger(size) * BigInteger(size) * .powerOfTwo(98)
        #expect(scaled < BigInteger(2) * .binomial(UInt(size), UInt(corrupt)))
    }

    @Test("Bisection finds the same least k as trying every even k")
    func leastNeighbours() {
        for profile in SecurityProfile.allCases {
            for size in [40, 101, 150, 260] {
                for (colluders, dropouts) in [("0.05", "0.1"), ("0.1", "0.2"), ("0.2", "0.05"), ("0", "0.3")]
                {
                    let selection = NeighbourSelection(
                        cohortSize: size, colluderFraction: Rational(colluders)!,
                        dropoutFraction: Rational(dropouts)!, securityBits: 40, correctnessBits: 30,
                        profile: profile)
                    let least = stride(from: 2, to: size - 1, by: 2)
                        .first { selection.threshold(neighbours: $0) != nil }
                    #expect(selection.select(largest: size)?.neighbours == least)
                }
            }
        }
    }

    @Test("The two-gap bound of the notes: 67 corrupt clients in two windows, 82 drops allowed")
    func twoGapBound() {
        func corrupt(_ size: Int, _ neighbours: Int) -> Int {
            NeighbourSelection(
                cohortSize: size, colluderFraction: Rational("0.1")!, dropoutFraction: Rational("0.1")!,
                securityBits: 104, correctnessBits: 30, profile: .maliciousServer
            ).corruptInTwoWindows(neighbours)
        }
        #expect(150 - 1 - corrupt(1000, 150) == 82)
        #expect(60 - 1 - corrupt(200, 60) == 39)
        #expect(200 - 1 - corrupt(10_000, 200) == 108)
    }

    private func parameters(_ cohort: ClosedRange<Int>, colluders: String, dropouts: String) throws
        -> AggregationParameters
    {
        try AggregationParameters(
            task: "t", round: 1, context: .of([]), vectorLength: 10, modulusBits: 16, cohort: cohort,
            minSurvivors: 3, colluderFraction: Rational(colluders)!, dropoutFraction: Rational(dropouts)!,
            allowTinyCohort: true)
    }

    @Test("Small cohorts and nearly complete rings are complete, with t = ⌊(n + C)/2⌋ + 1")
    func complete() throws {
        for (size, colluders, dropouts) in [
            (3, "0", "0.3"), (8, "0.125", "0.25"), (99, "0.1", "0.1"), (100, "0.1", "1/3"),
        ] {
            let topology = try parameters(3...200, colluders: colluders, dropouts: dropouts)
                .topology(cohortSize: size)
            #expect(topology.shape == .complete)
            #expect(topology.neighbours == size - 1)
            #expect(topology.threshold == (size + topology.colluders) / 2 + 1)
        }
        let sparse = try parameters(3...200, colluders: "0.1", dropouts: "0.1").topology(cohortSize: 100)
        #expect(sparse.shape == .ring)
        #expect(sparse.neighbours == 32 && sparse.threshold == 22)
    }

    @Test("A cohort that cannot survive its promised dropouts is refused")
    func impossible() throws {
        let semiHonest = try AggregationParameters(
            task: "t", round: 1, context: .of([]), vectorLength: 10, modulusBits: 16, cohort: 3...20,
            minSurvivors: 3, profile: .semiHonest, colluderFraction: Rational("0.5")!,
            dropoutFraction: Rational("0.4")!, allowTinyCohort: true)
        #expect(throws: ParameterError.dropoutsBeyondThreshold(cohortSize: 10, threshold: 8, dropouts: 4)) {
            try semiHonest.topology(cohortSize: 10)
        }
        #expect(throws: ParameterError.self) {
            try self.parameters(3...20, colluders: "0.5", dropouts: "0.3")
        }
    }
}

@Suite struct NeighbourGraphTests {
    @Test(
        "Holding shares is mutual, and slots name each holder once",
        arguments: [(10, 4), (11, 4), (11, 8), (100, 32), (101, 98)])
    func symmetric(size: Int, neighbours: Int) {
        let topology = Topology(
            shape: .ring, cohortSize: size, neighbours: neighbours, threshold: 2, colluders: 0,
            windowDropLimit: nil)
        let graph = Neighbours(topology: topology, seed: .of([UInt8(size)]))
        for member in 0..<size {
            let holders = graph.holders(of: member)
            #expect(Set(holders).count == neighbours && !holders.contains(member))
            for (slot, holder) in holders.enumerated() {
                #expect(graph.slot(of: holder, amongHoldersOf: member) == slot)
                #expect(graph.slot(of: member, amongHoldersOf: holder) != nil)
            }
            for other in 0..<size where !holders.contains(other) {
                #expect(graph.slot(of: other, amongHoldersOf: member) == nil)
            }
        }
    }

    @Test("Every window pair is counted: the fast rule equals looking at all pairs")
    func windowsTwin() {
        var random = StreamRandom(seed: 0x5eed_0002, label: "windows")
        for size in 4...24 {
            for width in 1...(size / 2) {
                let marks = (0..<size).map { _ in Int(random.uniform(below: 2)) }
                let window = { (start: Int) in (0..<width).reduce(0) { $0 + marks[(start + $1) % size] } }
                var best = 0
                for first in 0..<size {
                    for second in 0..<size {
                        let distance = (second - first + size) % size
                        if distance >= width && size - distance >= width {
                            best = max(best, window(first) + window(second))
                        }
                    }
                }
                #expect(DropPattern.mostInTwoWindows(marks, width: width) == best)
            }
        }
    }

    @Test("gap_attack: cutting an arc out of the ring is refused, scattered dropouts are not")
    func gapAttack() throws {
        let parameters = try AggregationParameters(
            task: "t", round: 1, context: .of([]), vectorLength: 1, modulusBits: 16, cohort: 100...1000,
            minSurvivors: 100, colluderFraction: Rational("0.05")!, dropoutFraction: Rational("0.1")!)
        let topology = try parameters.topology(cohortSize: 1000)
        let graph = Neighbours(topology: topology, seed: .of([1]))
        let half = topology.neighbours / 2
        var cut = BitSet(count: 1000, members: 0..<1000)
        for place in 0..<half {
            cut[graph.ringOrder[place]] = false
            cut[graph.ringOrder[place + 300]] = false
        }
        #expect(!DropPattern.isPlausible(survivors: cut, neighbours: graph))
        var random = StreamRandom(seed: 0x5eed_0003, label: "scattered")
        // At δ = 0.1 the chance that one honest pattern trips the rule is below 2^−30.
        for _ in 0..<2000 {
            var set = BitSet(count: 1000, members: 0..<1000)
            for _ in 0..<100 { set[Int(random.uniform(below: 1000))] = false }
            #expect(DropPattern.isPlausible(survivors: set, neighbours: graph))
        }
    }
}
