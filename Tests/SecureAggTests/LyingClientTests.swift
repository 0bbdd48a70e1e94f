import Foundation
import GMP
import SecureAgg
import Sodium
import Testing

/// Clients that break the protocol: the server names them, drops them and goes on, or ends the round
/// without opening anything. It never publishes a wrong sum.
@Suite struct LyingClientTests {
    /// Re-signs an altered body with the sender's own key, as a lying client would.
    private func forge(
        _ round: LoopbackRound, _ index: Int, _ bytes: [UInt8], _ label: Labels,
        _ change: (inout Message) -> Void
    ) -> [UInt8] {
        var message = try! Message(decoding: bytes, limit: bytes.count)
        change(&message)
        message.signature = round.identities[index].signingKey.sign(
            signedDigest(label, scope: message.session!, body: message.body))
        return message.encoded()
    }

    private func lieAboutShares(
        _ round: LoopbackRound, by liars: Set<Int>, alter: @escaping (inout [UInt8]) -> Void
    ) {
        round.tamperUp = { stage, index, messages in
            guard stage == .unmask, liars.contains(index) else { return messages }
            return [
                self.forge(round, index, messages[0], .unmask) { message in
                    var shares = try! decodeWire(message.body) as Secagg_V1_UnmaskShares
                    var bytes = [UInt8](shares.shares)
                    alter(&bytes)
                    shares.shares = Data(bytes)
                    message.body = encodeWire(shares)
                }
            ]
        }
    }

    @Test("bad_share_1..e: up to (m − t)/2 wrong shares are decoded around and named", arguments: 1...3)
    func badShares(count: Int) throws {
        // n = 11, t = 6, one lost: m = 10 shares per secret, room for 2 liars.
        let round = try LoopbackRound(clients: 11)
        round.lossStage = [10: .submitMaskedInput]
        // The lowest roster numbers hold the first slots, so that their shares are used first.
        let order = round.identities.indices.filter { $0 != 10 }
            .sorted { round.identities[$0].id < round.identities[$1].id }
        let liars = Set(order.prefix(count))
        lieAboutShares(round, by: liars) { bytes in
            for place in stride(from: 0, to: bytes.count, by: 32) { bytes[place] ^= 1 }
        }
        let outcome = round.run()
        if count <= 2 {
            #expect(outcome.sum?.elements == round.plainSum(0..<10))
            let named = Set(outcome.sum!.faults.flatMap(\.culprits))
            #expect(named == Set(liars.map { round.identities[$0].id }))
            #expect(outcome.sum!.faults.allSatisfy { $0.check == .wrongShare })
        } else {
            // bad_share_too_many
            #expect(outcome.sum == nil && outcome.abort?.check == .unrecoverable)
        }
    }

    @Test("A share that is no field element is set aside and its author named")
    func nonCanonicalShare() throws {
        let round = try LoopbackRound(clients: 7)
        lieAboutShares(round, by: [3]) { bytes in
            for place in bytes.indices { bytes[place] = 0xff }
        }
        let outcome = round.run()
        #expect(outcome.sum?.elements == round.plainSum(0..<7))
        #expect(Set(outcome.sum!.faults.flatMap(\.culprits)) == [round.identities[3].id])
    }

    @Test("wrong_b_commit: a dealer that commits to another seed is named and the round ends")
    func wrongCommitment() throws {
        let round = try LoopbackRound(clients: 7)
        round.tamperUp = { stage, index, messages in
            guard stage == .shareKeys, index == 2 else { return messages }
            return [
                self.forge(round, index, messages[0], .share) { message in
                    var shares = try! decodeWire(message.body) as Secagg_V1_ShareKeys
                    shares.selfMaskCommitment = Data([UInt8](repeating: 5, count: 32))
                    message.body = encodeWire(shares)
                }
            ]
        }
        let outcome = round.run()
        #expect(outcome.sum == nil)
        #expect(outcome.abort?.check == .unrecoverable)
        #expect(outcome.abort?.culprits == [round.identities[2].id])
    }

    @Test("late_y: a vector after the survivor list is frozen is refused and not in the sum")
    func lateVector() throws {
        let round = try LoopbackRound(clients: 5)
        var late: [[UInt8]] = []
        round.tamperUp = { stage, index, messages in
            guard stage == .submitMaskedInput, index == 1 else {
                return stage == .confirmSurvivors && index == 0 ? messages + late : messages
            }
            late = messages
            return []
        }
        let outcome = round.run()
        #expect(outcome.sum?.elements == round.plainSum([0, 2, 3, 4]))
        #expect(outcome.refused.count == late.count)
        #expect(Set(outcome.refused.map(\.check)) == [.wrongStage])
    }

    @Test("resend_identical: every message twice changes nothing")
    func resendIdentical() throws {
        let round = try LoopbackRound(clients: 5, dimension: 300)
        round.lossStage = [3: .submitMaskedInput]
        round.tamperUp = { _, _, messages in messages + messages }
        let outcome = round.run()
        #expect(outcome.refused.isEmpty)
        #expect(outcome.sum?.elements == round.plainSum([0, 1, 2, 4]))
    }

    @Test(
        "resend_different: the first message stands, the second is a fault",
        arguments: [Stage.shareKeys, .submitMaskedInput, .unmask])
    func resendDifferent(stage: Stage) throws {
        let round = try LoopbackRound(clients: 5)
        let label: [Stage: Labels] = [.shareKeys: .share, .submitMaskedInput: .masked, .unmask: .unmask]
        round.tamperUp = { at, index, messages in
            guard at == stage, index == 1 else { return messages }
            let other = self.forge(round, index, messages[0], label[stage]!) { message in
                message.body[message.body.count - 1] ^= 1
            }
            return messages + [other]
        }
        let outcome = round.run()
        #expect(outcome.refused.map(\.check) == [.conflictingRepeat])
        #expect(outcome.sum?.elements == round.plainSum(0..<5))
    }

    @Test(
        "A flipped byte anywhere in any message is refused and never changes the sum",
        arguments: Stage.allCases)
    func flippedBytes(stage: Stage) throws {
        for position in 0..<60 {
            let round = try LoopbackRound(clients: 5, dimension: 40)
            round.tamperUp = { at, index, messages in
                guard at == stage, index == 4 else { return messages }
                return messages.map { bytes in
                    var altered = bytes
                    altered[position * bytes.count / 60] ^= 0x10
                    return altered
                }
            }
            let outcome = round.run()
            #expect(!outcome.refused.isEmpty, "byte \(position)/60 of \(stage.name) went through")
            let survivors = stage <= .submitMaskedInput ? 0..<4 : 0..<5
            #expect(outcome.sum?.elements == round.plainSum(survivors))
        }
    }

    @Test("Truncated, empty and oversized messages are faults of their sender", arguments: Stage.allCases)
    func malformed(stage: Stage) throws {
        for length in [0, 1, 30, 4000, 100_000] {
            let round = try LoopbackRound(clients: 5)
            round.tamperUp = { at, index, messages in
                guard at == stage, index == 4 else { return messages }
                return [
                    length < messages[0].count
                        ? Array(messages[0].prefix(length)) : [UInt8](repeating: 0x0a, count: length)
                ]
            }
            let outcome = round.run()
            #expect(outcome.refused.count == 1)
            #expect(outcome.refused.allSatisfy { $0.scope == .peer(round.identities[4].id) })
            #expect(outcome.refused.allSatisfy { $0.culprits == [round.identities[4].id] })
            #expect(outcome.sum?.elements == round.plainSum(stage <= .submitMaskedInput ? 0..<4 : 0..<5))
        }
    }

    @Test("Messages of strangers, and of members under another name, are refused")
    func strangers() throws {
        let round = try LoopbackRound(clients: 5)
        var first: [Stage: [UInt8]] = [:]
        round.tamperUp = { stage, index, messages in
            if first[stage] == nil { first[stage] = messages[0] }
            return messages
        }
        round.beforeClose = { stage, server in
            guard let message = first[stage] else { return }
            #expect(throws: AggregationFault.self) { try server.receive(message, from: ClientID(999)) }
            #expect(throws: AggregationFault.self) {
                try server.receive(message, from: round.identities[3].id)
            }
        }
        #expect(round.run().sum?.elements == round.plainSum(0..<5))
    }

    @Test("Chunks: out of order, repeated, without a header, or of another vector")
    func chunks() throws {
        let round = try LoopbackRound(clients: 5, dimension: 400)
        var stolen: [UInt8] = []
        round.tamperUp = { stage, index, messages in
            guard stage == .submitMaskedInput else { return messages }
            switch index {
            case 0: stolen = messages[2]; return [messages[0]] + messages.dropFirst().reversed()
            case 1: return messages + [messages[3]]
            case 2: return [messages[2]] + messages
            case 3: return messages.dropLast() + [stolen]
            default: return messages
            }
        }
        let outcome = round.run()
        // Client 3 never completed: its chunks must leave no trace in the sum.
        #expect(outcome.sum?.elements == round.plainSum([0, 1, 2, 4]))
        #expect(outcome.refused.map(\.check) == [.vectorDigest, .vectorDigest])
    }
}
