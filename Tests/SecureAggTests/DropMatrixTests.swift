import GMP
import SecureAgg
import Sodium
import Testing

/// drop_matrix: the sum is exact exactly when the thresholds hold, and otherwise nothing is opened.
@Suite struct DropMatrixTests {
    /// What must happen, from the sets alone: nil means abort, else the survivors.
    private func expected(
        _ losses: [Stage?], cohortFloor: Int, minSurvivors: Int, threshold: (Int) -> Int
    ) -> [Int]? {
        func left(after stage: Stage) -> [Int] {
            losses.indices.filter { losses[$0].map { $0 > stage } ?? true }
        }
        let cohort = left(after: .advertiseKeys)
        guard cohort.count >= cohortFloor else { return nil }
        let needed = threshold(cohort.count)
        guard left(after: .shareKeys).count >= max(minSurvivors, needed) else { return nil }
        let survivors = left(after: .submitMaskedInput)
        guard survivors.count >= max(minSurvivors, needed),
            left(after: .confirmSurvivors).count >= needed, left(after: .unmask).count >= needed
        else { return nil }
        return survivors
    }

    private func check(_ losses: [Stage?], _ round: LoopbackRound, _ survivors: [Int]?) {
        for (index, stage) in losses.enumerated() { round.lossStage[index] = stage }
        let outcome = round.run()
        #expect(outcome.clientFaults.isEmpty && outcome.refused.isEmpty)
        guard let survivors else {
            #expect(outcome.sum == nil && outcome.abort != nil, "\(losses)")
            return
        }
        #expect(outcome.sum?.elements == round.plainSum(survivors), "\(losses)")
        #expect(outcome.sum.map { Set($0.survivors) } == Set(survivors.map { round.identities[$0].id }))
        for result in outcome.results.values {
            #expect(result.covers(elements: outcome.sum?.elements ?? []))
        }
    }

    @Test(
        "Every client of 3, 4 and 5 lost at every stage or never: 9288 rounds (about a minute)",
        arguments: [3, 4, 5], 0...5)
    func exhaustive(clients: Int, firstClient: Int) throws {
        let choices: [Stage?] = [nil] + Stage.allCases.map { $0 }
        for code in 0..<Int(pow(6, clients - 1)) {
            var digits = code
            var losses = [choices[firstClient]]
            for _ in 1..<clients {
                losses.append(choices[digits % 6])
                digits /= 6
            }
            check(
                losses, try LoopbackRound(clients: clients, dimension: 3),
                expected(losses, cohortFloor: 3, minSurvivors: 2) { $0 / 2 + 1 })
        }
    }

    @Test("Colluders raise the threshold to ⌊(n + C)/2⌋ + 1: every number of losses at every stage, n = 9")
    func threshold() throws {
        for stage in Stage.allCases {
            for lost in 0...6 {
                let losses = (0..<9).map { $0 < lost ? stage : Stage?.none }
                let round = try LoopbackRound(
                    clients: 9, cohortFloor: 3, colluders: Rational("0.23")!, dropouts: Rational("0.2")!)
                check(
                    losses, round,
                    expected(losses, cohortFloor: 3, minSurvivors: 2) {
                        // Dropouts of ⌊0.2·n⌋ must be survivable, or the cohort is refused.
                        let least = ($0 + $0 * 23 / 100) / 2 + 1
                        return $0 - $0 / 5 >= least ? least : 100
                    })
            }
        }
    }

    @Test("n_min_after_drop: the survivor floor binds even when the threshold is met")
    func survivorFloor() throws {
        for lost in 0...4 {
            let losses = (0..<8).map { $0 < lost ? Stage.submitMaskedInput : Stage?.none }
            check(
                losses, try LoopbackRound(clients: 8, minSurvivors: 6, cohortFloor: 6),
                expected(losses, cohortFloor: 6, minSurvivors: 6) { $0 / 2 + 1 })
        }
    }

    @Test(
        "Random losses on a ring of 120 with real thresholds: exact or aborted, never wrong", arguments: 1...6
    )
    func ring(seed: UInt64) throws {
        let round = try LoopbackRound(
            clients: 120, dimension: 40, minSurvivors: 60, cohortFloor: 100, colluders: Rational("0.05")!,
            dropouts: Rational("0.1")!, threads: 2, seed: seed)
        var random = StreamRandom(seed: seed, label: "ring losses")
        let rate = [0, 5, 10, 10, 20, 60][Int(seed) - 1]
        for index in 0..<120 where random.uniform(below: 100) < UInt64(rate) {
            round.lossStage[index] = Stage(rawValue: 1 + Int(random.uniform(below: 4)))
        }
        let outcome = round.run()
        let survivors = (0..<120).filter { round.lossStage[$0].map { $0 > .submitMaskedInput } ?? true }
        #expect(round.server.topology?.shape == .ring)
        if rate <= 10 {
            #expect(outcome.sum != nil, "δ = 0.1 must be survived; \(String(describing: outcome.abort))")
        }
        if rate == 60 { #expect(outcome.sum == nil) }
        if let sum = outcome.sum { #expect(sum.elements == round.plainSum(survivors)) }
    }

    @Test("Every width of the ring, several chunks, both profiles", arguments: [8, 9, 15, 16, 17, 24, 32])
    func widths(bits: Int) throws {
        for profile in SecurityProfile.allCases {
            let round = try LoopbackRound(
                clients: 5, dimension: 1000, modulusBits: bits, profile: profile, chunkLength: 256)
            round.lossStage = [2: .submitMaskedInput, 4: .unmask]
            let outcome = round.run()
            #expect(outcome.sum?.elements == round.plainSum([0, 1, 3, 4]))
        }
    }
}

private func pow(_ base: Int, _ exponent: Int) -> Int {
    (0..<exponent).reduce(1) { product, _ in product * base }
}
