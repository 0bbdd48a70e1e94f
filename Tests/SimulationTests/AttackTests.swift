import Foundation
import GMP
import SecureAgg
import Simulation
import Sodium
import Testing

/// Attacks in the large: what a server could open, share by share, if it tried everything.
@Suite("Attacks on the whole protocol")
struct AttackTests {
    /// Every way to split the honest clients between two lists that differ in one of them.
    private func splits(_ members: Int, colluders: Int, threshold: Int) -> [Violation] {
        let corrupt = Set(members - colluders..<members)
        let honest = members - colluders
        var found: [Violation] = []
        // Client 0 is the one that the second list leaves out; it sits on the first list's side.
        for side in 0..<(1 << (honest - 1)) {
            let first = [0] + (1..<honest).filter { side >> ($0 - 1) & 1 == 0 }
            let second = (1..<honest).filter { side >> ($0 - 1) & 1 == 1 }
            var knowledge = ServerKnowledge(
                round: 1, members: members, threshold: threshold, floor: 2, colluders: corrupt)
            for member in 0..<members {
                knowledge.vectorSent(by: member, live: [Bool](repeating: true, count: members))
                for dealer in 0..<members where corrupt.contains(member) {
                    knowledge.colluderHolds(member, of: dealer)
                }
            }
            for (signers, leavesOut) in [(first, false), (second, true)]
            // Colluders sign both lists; a client answers when t have signed its own.
            where signers.count + colluders >= threshold {
                for holder in signers {
                    for dealer in 0..<members {
                        let survives = !(leavesOut && dealer == 0)
                        knowledge.released(
                            survives ? .selfMask : .maskSeed, by: holder, of: dealer,
                            signedAsSurvivor: survives)
                    }
                }
            }
            found += knowledge.violations
        }
        return found
    }

    @Test("split_u3: over all splits of up to ten clients nobody's two secrets are both opened")
    func splitSurvivors() throws {
        var couldFail = 0
        for members in 3...10 {
            for colluders in 0...members / 3 {
                let parameters = try AggregationParameters(
                    task: "split", round: 1, context: .of([]), vectorLength: 1, modulusBits: 8,
                    cohort: 3...members, minSurvivors: 2,
                    colluderFraction: Rational(BigInteger(colluders), BigInteger(members)),
                    dropoutFraction: 0, allowTinyCohort: true)
                let threshold = try parameters.topology(cohortSize: members).threshold
                #expect(splits(members, colluders: colluders, threshold: threshold).isEmpty)
                // One less opens both whenever the honest clients can be halved.
                let weaker = splits(members, colluders: colluders, threshold: threshold - 1)
                if (members - colluders).isMultiple(of: 2) {
                    #expect(weaker.contains { $0.invariant == .notBothSecrets })
                    couldFail += 1
                }
            }
        }
        #expect(couldFail > 8)
    }

    private func ring(dropped places: Set<Int>, threshold: Int) -> (
        ServerKnowledge, arc: [Int], BitSet, Neighbours
    ) {
        let topology = Topology(
            shape: .ring, cohortSize: 60, neighbours: 12, threshold: threshold, colluders: 0,
            windowDropLimit: 10)
        let graph = Neighbours(topology: topology, seed: .of([16]))
        let order = graph.ringOrder
        let survivors = BitSet(count: 60, members: (0..<60).filter { !places.contains($0) }.map { order[$0] })
        var knowledge = ServerKnowledge(
            round: 1, members: 60, threshold: threshold, floor: 40, colluders: [])
        for member in 0..<60 {
            let holders = Set(graph.holders(of: member))
            knowledge.vectorSent(by: member, live: (0..<60).map { holders.contains($0) })
        }
        for holder in survivors.members {
            for dealer in graph.holders(of: holder) {
                knowledge.released(
                    survivors[dealer] ? .selfMask : .maskSeed, by: holder, of: dealer,
                    signedAsSurvivor: survivors[dealer])
            }
        }
        return (knowledge, (6..<20).map { order[$0] }.sorted(), survivors, graph)
    }

    @Test(
        "gap_attack: without the rule and with t ≤ k/2 an arc between two gaps opens alone; with it nobody signs"
    )
    func gapAttack() {
        let gaps = Set(0..<6).union(20..<26)
        let (knowledge, arc, survivors, graph) = ring(dropped: gaps, threshold: 6)
        #expect(knowledge.openedSums.contains(arc))
        #expect(knowledge.violations.contains { $0.invariant == .survivorFloor })
        #expect(!DropPattern.isPlausible(survivors: survivors, neighbours: graph))
        // With t > k/2 the members beside a gap have too few holders left, so the arc stays closed.
        let (safe, _, _, _) = ring(dropped: gaps, threshold: 7)
        #expect(safe.violations.isEmpty)
    }

    @Test(
        "gap_attack: ten thousand honest rounds with 10 % lost never look like it (false alarm < 2^-30 each)")
    func honestGaps() throws {
        let parameters = try AggregationParameters(
            task: "gaps", round: 1, context: .of([]), vectorLength: 1, modulusBits: 8, cohort: 100...200,
            minSurvivors: 90, colluderFraction: Rational(1, 20), dropoutFraction: Rational(1, 10))
        let graph = Neighbours(topology: try parameters.topology(cohortSize: 200), seed: .of([17]))
        try #require(graph.topology.windowDropLimit != nil)
        var random = SimulationRandom(seed: 0x6a_70)
        for _ in 0..<10_000 {
            var survivors = BitSet(count: 200, members: 0..<200)
            for lost in random.sample(20, below: 200) { survivors[lost] = false }
            #expect(DropPattern.isPlausible(survivors: survivors, neighbours: graph))
        }
    }

    @Test("model_inconsistency: were it not refused, two sessions in one sum would leave uniform noise")
    func modelInconsistency() {
        var random = SimulationRandom(seed: 0x13)
        let (clients, dimension) = (6, 1 << 14)
        let secrets = (0..<clients).map { _ in SecretBytes(random: 32, from: &random) }
        let keys = secrets.map { KeyAgreement.publicKey(of: $0) }
        let values = (0..<clients).map { client in [Int32](repeating: Int32(client), count: dimension) }
        // Half of the clients hold another model, hence another session.
        func sum(sessions: [Digest]) -> [UInt32] {
            var total = RingVector<UInt16>(zeros: dimension, bits: 16)
            for client in 0..<clients {
                var vector = RingVector<UInt16>(values[client], bits: 16)
                let terms = (0..<clients).filter { $0 != client }.map { peer in
                    MaskTerm(
                        key: Derivation.pairMask(
                            session: sessions[client], own: client, peer: peer, ownSecret: secrets[client],
                            ownKey: keys[client], peerKey: keys[peer])!,
                        sign: peer < client ? .plus : .minus)
                }
                MaskSum.add(terms, to: &vector, threads: 1)
                total.add(packed: vector.packed(0..<dimension), to: 0..<dimension)
            }
            return total.elements
        }
        let one = Digest.of([1])
        let two = Digest.of([2])
        #expect(sum(sessions: Array(repeating: one, count: 6)).allSatisfy { $0 == 15 })
        let mixed = sum(sessions: [one, one, one, two, two, two])
        // χ² over 256 cells has mean 255 and deviation 22.6: 400 is exceeded once in 10^8.
        var cells = [Double](repeating: 0, count: 256)
        for element in mixed { cells[Int(element >> 8)] += 1 }
        let expected = Double(dimension) / 256
        let statistic = cells.reduce(0) { $0 + ($1 - expected) * ($1 - expected) / expected }
        #expect(statistic < 400, "seed 0x13")
    }
}
