import Foundation
import SecureAgg
import Sodium
import Testing

/// Seeds of noise that is removed again: exactly those are opened that the losses leave superfluous.
@Suite struct RemovableNoiseTests {
    static func levels(_ dropouts: [Int]) -> RemovableNoise {
        try! RemovableNoise(dropouts: dropouts, derivation: .of([9]))
    }

    private func round(
        clients: Int = 6, minSurvivors: Int = 3, dropouts: [Int] = [1, 2, 3]
    ) throws -> LoopbackRound {
        try LoopbackRound(
            clients: clients, minSurvivors: minSurvivors, cohortFloor: minSurvivors,
            removableNoise: Self.levels(dropouts))
    }

    /// The opened seeds are the survivors' own, of the levels above `kept` and of no other.
    private func expectOpened(_ sum: AggregateSum, _ round: LoopbackRound, kept: Int) {
        let expected = sum.survivors.flatMap { id in
            round.noiseSeeds[round.index(of: id)].enumerated().filter { $0.offset + 1 > kept }
                .map { (id, $0.offset + 1, $0.element) }
        }
        #expect(expected.count == sum.revealedNoise.count)
        for (one, revealed) in zip(expected, sum.revealedNoise) {
            #expect(one.0 == revealed.client && one.1 == revealed.level && one.2 == revealed.seed)
        }
    }

    @Test("Every set of lost clients opens exactly the levels above what its size needs")
    func everyLoss() throws {
        for subset in 0..<64 {
            let lost = (0..<6).filter { subset >> $0 & 1 == 1 }
            let round = try round()
            for client in lost { round.lossStage[client] = .submitMaskedInput }
            let outcome = round.run()
            // Threshold 4 on the complete graph of six: with three lost nothing is recoverable.
            guard lost.count <= 2 else {
                #expect(outcome.sum == nil)
                continue
            }
            let sum = try #require(outcome.sum)
            #expect(sum.elements == round.plainSum((0..<6).filter { !lost.contains($0) }))
            expectOpened(sum, round, kept: lost.count)
        }
    }

    @Test("A grid opens the levels above the first one that covers the losses", arguments: 0...5)
    func grid(lost: Int) throws {
        let round = try round(clients: 16, minSurvivors: 10, dropouts: [2, 5, 6])
        for client in 0..<lost {
            round.lossStage[client] = Stage(rawValue: client % 2 == 0 ? 1 : 2)!
        }
        let sum = try #require(round.run().sum)
        expectOpened(sum, round, kept: [0, 1, 1, 2, 2, 2][lost])
    }

    @Test("Survivors that leave before the last stage are opened through their neighbours")
    func lateLosses() throws {
        let round = try round(clients: 9, minSurvivors: 5, dropouts: [1, 4])
        round.lossStage = [0: .submitMaskedInput, 1: .confirmSurvivors, 2: .unmask]
        let sum = try #require(round.run().sum)
        #expect(sum.survivors.count == 8)
        expectOpened(sum, round, kept: 1)
    }

    @Test("On a sparse graph the neighbours alone rebuild every seed")
    func sparseGraph() throws {
        let round = try LoopbackRound(
            clients: 300, dimension: 4, minSurvivors: 200, cohortFloor: 200, colluders: 0,
            dropouts: .init(1, 20),
            profile: .semiHonest, removableNoise: Self.levels([10, 100]))
        for client in 0..<10 { round.lossStage[client * 29] = .submitMaskedInput }
        let outcome = round.run()
        let sum = try #require(outcome.sum)
        #expect(sum.topology.shape == .ring)
        expectOpened(sum, round, kept: 1)
    }

    @Test("noise_level_overreveal: no list that a server shows opens a level that the losses need")
    func overReveal() throws {
        // Two of seven are lost. The server claims fewer losses to all, to two, or to one; client 0 is gone.
        for (claimed, audience) in [(1, 7), (2, 7), (1, 3), (2, 3), (2, 2)] {
            let round = try round(clients: 7, minSurvivors: 4, dropouts: [1, 2, 3])
            round.lossStage = [0: .submitMaskedInput, 3: .submitMaskedInput]
            var noiseShares = 0
            round.tamperDown = { stage, index, bytes in
                guard stage == .confirmSurvivors, index < audience else { return bytes }
                var message = try! Message(decoding: bytes, limit: bytes.count)
                var set = try! decodeWire(message.body) as Secagg_V1_SurvivorSet
                var survivors = try! decodeWire([UInt8](set.survivors)) as Secagg_V1_Survivors
                var missing = claimed
                for place in 0..<7 where missing > 0 && survivors.bitmap[0] >> UInt8(place) & 1 == 0 {
                    survivors.bitmap[0] |= 1 << UInt8(place)
                    missing -= 1
                }
                set.survivors = Data(encodeWire(survivors))
                message.body = encodeWire(set)
                return message.encoded()
            }
            round.tamperUp = { stage, _, messages in
                guard stage == .unmask else { return messages }
                for bytes in messages {
                    let message = try! Message(decoding: bytes, limit: bytes.count)
                    let shares = try! decodeWire(message.body) as Secagg_V1_UnmaskShares
                    noiseShares += shares.noiseShares.count / 32
                    // Five survivors, one level above i* = 2, from whoever answers.
                    #expect(shares.noiseShares.count == 5 * 32)
                }
                return messages
            }
            let outcome = round.run()
            if audience == 7 {
                #expect(outcome.sum == nil && noiseShares == 0)
            }
            #expect(!outcome.clientFaults.isEmpty)
            if let sum = outcome.sum { expectOpened(sum, round, kept: 2) }
        }
    }

    @Test("A client of a round without levels, or with others, refuses the manifest")
    func otherLevels() throws {
        let round = try round()
        for other in [
            nil, Self.levels([1, 3]), try RemovableNoise(dropouts: [1, 2, 3], derivation: .of([8])),
        ] {
            var policy = round.policy()
            policy.removableNoise = other
            let session = ClientSession(
                identity: round.identities[0], server: round.serverKey.verifyingKey, roster: round.roster,
                policy: policy, journal: InMemoryJournal(),
                noiseSeeds: Array(round.noiseSeeds[0].prefix(other?.count ?? 0)))
            let fault = #expect(throws: AggregationFault.self) {
                try session.advertiseKeys(round.server.manifestMessage, now: 1, random: &round.random)
            }
            #expect(fault?.check == .contextMismatch)
        }
    }

    @Test("Levels that are no levels are refused")
    func badLevels() throws {
        for dropouts in [[], [0], [2, 2], [3, 1], Array(1...65)] {
            #expect(throws: ParameterError.self) {
                try RemovableNoise(dropouts: dropouts, derivation: .of([]))
            }
        }
        // The last level must be what the floor allows to lose.
        #expect(throws: ParameterError.self) { try round(dropouts: [1, 2]) }
        #expect(throws: ParameterError.self) { try round(dropouts: [1, 2, 4]) }
        let levels = Self.levels([2, 5])
        #expect((0...6).map { levels.kept(lost: $0) } == [0, 1, 1, 2, 2, 2, nil])
        #expect(levels.kept(lost: -1) == nil)
    }

    /// Changes the noise shares that some clients release, under their own signatures.
    private func lie(_ round: LoopbackRound, by liars: Set<Int>, _ change: @escaping (inout Data) -> Void) {
        round.tamperUp = { stage, index, messages in
            guard stage == .unmask, liars.contains(index) else { return messages }
            var message = try! Message(decoding: messages[0], limit: messages[0].count)
            var shares = try! decodeWire(message.body) as Secagg_V1_UnmaskShares
            change(&shares.noiseShares)
            message.body = encodeWire(shares)
            message.signature = round.identities[index].signingKey.sign(
                signedDigest(.unmask, scope: message.session!, body: message.body))
            return [message.encoded()]
        }
    }

    @Test("Wrong noise shares are decoded around and named; missing ones are refused")
    func lies() throws {
        let round = try round(clients: 11, minSurvivors: 6, dropouts: [5])
        // The lowest roster number holds the first slot, so its shares are used first.
        let liar = round.identities.indices.min { round.identities[$0].id < round.identities[$1].id }!
        lie(round, by: [liar]) { for place in stride(from: 0, to: $0.count, by: 32) { $0[place] ^= 1 } }
        let sum = try #require(round.run().sum)
        expectOpened(sum, round, kept: 0)
        #expect(Set(sum.faults.flatMap(\.culprits)) == [round.identities[liar].id])
        #expect(sum.faults.allSatisfy { $0.check == .wrongShare })

        for change in [{ $0.removeLast(32) }, { $0 += Data(count: 32) }] as [(inout Data) -> Void] {
            let round = try self.round(clients: 11, minSurvivors: 6, dropouts: [5])
            lie(round, by: [4], change)
            let outcome = round.run()
            #expect(outcome.refused.map(\.check) == [.shareCount])
            expectOpened(try #require(outcome.sum), round, kept: 0)
        }
    }

    @Test("A dealer whose noise commitment fits no share ends the round and is named")
    func wrongCommitment() throws {
        let round = try round(clients: 6, minSurvivors: 3, dropouts: [1, 2, 3])
        round.tamperUp = { stage, index, messages in
            guard stage == .shareKeys, index == 2 else { return messages }
            var message = try! Message(decoding: messages[0], limit: messages[0].count)
            var share = try! decodeWire(message.body) as Secagg_V1_ShareKeys
            share.noiseCommitments[40] ^= 1
            message.body = encodeWire(share)
            message.signature = round.identities[index].signingKey.sign(
                signedDigest(.share, scope: message.session!, body: message.body))
            return [message.encoded()]
        }
        let outcome = round.run()
        #expect(outcome.sum == nil)
        #expect(outcome.abort?.check == .unrecoverable)
        #expect(outcome.abort?.culprits == [round.identities[2].id])
    }

    @Test("A transcript shows the opened seeds, each checked against its commitment")
    func transcript() throws {
        let round = try round(clients: 6, minSurvivors: 3, dropouts: [1, 3])
        round.lossStage = [5: .submitMaskedInput]
        let sum = try #require(round.run().sum)
        let bytes = sum.transcript.bytes
        func verify(_ bytes: [UInt8]) throws -> VerifiedTranscript {
            try VerifiedTranscript(bytes, server: round.serverKey.verifyingKey, roster: round.roster)
        }
        let verified = try verify(bytes)
        #expect(verified.revealedNoise.count == 5)
        for (one, other) in zip(verified.revealedNoise, sum.revealedNoise) {
            #expect(one.client == other.client && one.level == other.level && one.seed == other.seed)
        }
        for change in [{ $0[3] ^= 1 }, { $0.removeLast(31) }, { $0 += Data(count: 31) }]
            as [(inout Data) -> Void]
        {
            var wire = try decodeWire(bytes) as Secagg_V1_Transcript
            change(&wire.noiseSeeds)
            #expect(throws: AggregationFault.self) { try verify(encodeWire(wire)) }
        }
    }

    @Test("Traffic is predicted to the byte, with and without losses", arguments: [0, 2])
    func traffic(lost: Int) throws {
        let round = try round(clients: 9, minSurvivors: 5, dropouts: [1, 2, 4])
        for client in 0..<lost { round.lossStage[client] = .submitMaskedInput }
        let outcome = round.run()
        let traffic = try Traffic(round.parameters, advertised: 9, masked: 9 - lost)
        // The manifest's time stamps differ by a few bytes from the prediction's.
        for stage in Stage.allCases where stage != .advertiseKeys {
            #expect(outcome.up[stage] == traffic.stages[stage]!.up, "\(stage.name)")
        }
    }

    @Test("A drill opens the right seeds, and a server that claims survivors opens nothing")
    func drill() throws {
        var drill = Drill(clients: 20, dimension: 50, drops: [.submitMaskedInput: .init(1, 10)], seed: 4)
        drill.noiseLevels = 4
        let honest = try drill.run { 0 }
        #expect(honest.isExact)
        #expect(honest.sum?.revealedNoise.isEmpty == false)
        drill.faults = [.claimSurvivors]
        let lying = try drill.run { 0 }
        #expect(lying.sum == nil && !lying.isExact)
    }
}
