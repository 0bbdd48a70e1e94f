import SecureAgg
import Simulation
import Sodium
import Testing

/// Every rule must be able to fail: each test breaks one and nothing else.
@Suite("Invariants that are broken")
struct InvariantTests {
    private func broken(_ change: (inout History) -> Void) -> [Invariant] {
        var history = History()
        change(&history)
        return history.violations.map(\.invariant)
    }

    private func answer(
        _ history: inout History, client: Int = 1, round: UInt64 = 1, stage: Stage, _ byte: UInt8,
        isJournaled: Bool = true, keys: [[UInt8]] = []
    ) {
        history.answered(
            client: client, round: round, stage: stage, manifest: .of([0]), message: [byte],
            isJournaled: isJournaled, keys: keys)
    }

    @Test("An honest history breaks nothing")
    func honest() {
        let violations = broken { history in
            for round in 1...3 as ClosedRange<UInt64> {
                for stage in Stage.allCases {
                    answer(&history, round: round, stage: stage, UInt8(round))
                    answer(&history, round: round, stage: stage, UInt8(round))
                }
                history.released(round: round, elements: [1], expected: [1], digest: .of([9]))
                history.finished(
                    client: 1, round: round, session: .of([UInt8(round)]), survivors: [ClientID(1)],
                    digest: .of([9]), isHonest: true)
            }
        }
        #expect(violations.isEmpty)
    }

    @Test(
        "Two different answers to a stage",
        arguments: zip(
            Stage.allCases,
            [.roundsGrow, .oneAnswer, .oneVector, .oneList, .oneRelease] as [Invariant]))
    func twoAnswers(stage: Stage, rule: Invariant) {
        #expect(
            broken { history in
                answer(&history, stage: stage, 1)
                answer(&history, stage: stage, 2)
            } == [rule])
    }

    @Test("An earlier round, an unrecorded message, a key used again")
    func clientRules() {
        #expect(
            broken { history in
                answer(&history, round: 5, stage: .advertiseKeys, 1)
                answer(&history, round: 4, stage: .advertiseKeys, 2)
            } == [.roundsGrow])
        #expect(broken { answer(&$0, stage: .unmask, 1, isJournaled: false) } == [.journalFirst])
        #expect(
            broken { history in
                answer(&history, round: 1, stage: .advertiseKeys, 1, keys: [[1], [2]])
                answer(&history, round: 2, stage: .advertiseKeys, 2, keys: [[3], [2]])
            } == [.freshKeys])
    }

    @Test("Wrong, doubled and contradicting results; wrong blame; another message after a crash")
    func results() {
        #expect(
            broken { $0.released(round: 1, elements: [1], expected: [2], digest: .of([])) } == [.exactSum])
        #expect(
            broken { history in
                history.released(round: 1, elements: [1], expected: [1], digest: .of([1]))
                history.released(round: 1, elements: [1], expected: [1], digest: .of([2]))
            } == [.oneResult])
        func finish(
            _ history: inout History, client: Int, survivors: [UInt64], _ digest: UInt8, _ honest: Bool
        ) {
            history.finished(
                client: client, round: 1, session: .of([1]), survivors: survivors.map { ClientID($0) },
                digest: .of([digest]), isHonest: honest)
        }
        #expect(
            broken { history in
                finish(&history, client: 1, survivors: [1, 2], 1, false)
                finish(&history, client: 2, survivors: [1, 3], 1, false)
            } == [.oneResult])
        #expect(
            broken { history in
                finish(&history, client: 1, survivors: [1, 2], 1, true)
                finish(&history, client: 2, survivors: [1, 2], 2, true)
            } == [.oneResult])
        #expect(
            broken { $0.blamed(round: 1, culprits: [ClientID(3)], liars: [ClientID(4)]) } == [.justBlame])
        #expect(broken { $0.resent(round: 1, stage: .unmask, before: [1], after: [2]) } == [.sameAfterCrash])
    }

    // MARK: What the server can rebuild

    /// Ten members of whom everybody sent a vector that everybody's masks are in.
    private func knowledge(threshold: Int = 6, floor: Int = 6, colluders: Set<Int> = []) -> ServerKnowledge {
        var knowledge = ServerKnowledge(
            round: 1, members: 10, threshold: threshold, floor: floor, colluders: colluders)
        for member in 0..<10 {
            knowledge.vectorSent(by: member, live: [Bool](repeating: true, count: 10))
            for dealer in 0..<10 where colluders.contains(member) {
                knowledge.colluderHolds(member, of: dealer)
            }
        }
        return knowledge
    }

    /// Members of `signers` answer stage 4 for a list of `survivors`.
    private func unmask(_ knowledge: inout ServerKnowledge, signers: [Int], survivors: Set<Int>) {
        for holder in signers {
            for dealer in 0..<10 {
                let survives = survivors.contains(dealer)
                knowledge.released(
                    survives ? .selfMask : .maskSeed, by: holder, of: dealer, signedAsSurvivor: survives)
            }
        }
    }

    @Test("One list that t members sign opens one sum over its survivors")
    func oneList() {
        var knowledge = knowledge()
        unmask(&knowledge, signers: Array(0..<6), survivors: Set(0..<8))
        #expect(knowledge.violations.isEmpty)
        #expect(knowledge.openedSums == [Array(0..<8)])
    }

    @Test("Both shares of one peer, and a share that does not fit the list")
    func shares() {
        var both = knowledge()
        both.released(.selfMask, by: 1, of: 2, signedAsSurvivor: true)
        both.released(.maskSeed, by: 1, of: 2, signedAsSurvivor: false)
        #expect(both.violations.map(\.invariant) == [.oneKindPerPeer])
        var wrong = knowledge()
        wrong.released(.maskSeed, by: 1, of: 2, signedAsSurvivor: true)
        #expect(wrong.violations.map(\.invariant) == [.kindFitsList])
    }

    @Test("Two lists with t signatures each open both secrets of the client between them")
    func bothSecrets() {
        // 2t > n + C fails for t = 6, n = 10, C = 2: five honest members on one side, five on the other.
        var knowledge = knowledge(floor: 2, colluders: [8, 9])
        unmask(&knowledge, signers: [0, 1, 2, 3], survivors: Set(0..<10))
        #expect(knowledge.violations.isEmpty)
        unmask(&knowledge, signers: [4, 5, 6, 7], survivors: Set(1..<10))
        #expect(knowledge.violations.map(\.invariant) == [.notBothSecrets])
    }

    @Test("A sum over fewer than were promised, and an arc cut out of a ring")
    func floor() {
        var few = knowledge(threshold: 3)
        unmask(&few, signers: [0, 1, 2], survivors: [0, 1, 2])
        #expect(few.violations.map(\.invariant) == [.survivorFloor])
        #expect(few.openedSums == [[0, 1, 2]])

        // A ring with two neighbours on either side: two lost pairs separate 2, 3 from 6 … 9.
        var ring = ServerKnowledge(round: 1, members: 10, threshold: 2, floor: 4, colluders: [])
        for member in 0..<10 {
            ring.vectorSent(
                by: member, live: (0..<10).map { [1, 2, 8, 9].contains((($0 - member) + 10) % 10) })
        }
        unmask(&ring, signers: Array(0..<10), survivors: [2, 3, 6, 7, 8, 9])
        #expect(ring.openedSums.contains([2, 3]))
        #expect(ring.violations.map(\.invariant).contains(.survivorFloor))
    }
}
