import Foundation
import SecureAgg
import Sodium
import Testing

/// Clients of one program that check a round's public facts once between them.
@Suite struct SharedChecksTests {
    private func round() throws -> LoopbackRound {
        let round = try LoopbackRound(clients: 5)
        let cache = CohortCache()
        for index in round.sessions.indices {
            round.sessions[index] = ClientSession(
                identity: round.identities[index], server: round.serverKey.verifyingKey, roster: round.roster,
                policy: round.policy(), journal: round.journals[index], threads: 1, noiseSeeds: [],
                cohortCache: cache)
        }
        return round
    }

    @Test("the sum and every byte sent are those of clients that check for themselves")
    func sameRound() throws {
        let (shared, alone) = (try round().run(), try LoopbackRound(clients: 5).run())
        #expect(shared.sum != nil && shared.sum?.elements == alone.sum?.elements)
        #expect(shared.up == alone.up)
    }

    @Test(
        "a wrong signature under the survivors is refused by the clients that are shown it, and by them only")
    func wrongSignature() throws {
        let round = try round()
        round.tamperDown = { stage, index, bytes in
            guard stage == .unmask, index >= 3 else { return bytes }
            var message = try! Message(decoding: bytes, limit: bytes.count)
            var evidence = try! decodeWire(message.body) as Secagg_V1_SurvivorSignatures
            evidence.signatures[0] ^= 1
            message.body = encodeWire(evidence)
            return message.encoded()
        }
        let outcome = round.run()
        #expect(Set(outcome.clientFaults.keys) == Set(round.identities[3...].map(\.id)))
        #expect(outcome.clientFaults.values.allSatisfy { $0.check == .badSignature })
    }
}
