import Foundation
import GMP
import SecureAgg
import Sodium
import Testing

/// Attacks of the design notes' list that have no home among the lying servers and clients.
@Suite struct NamedAttackTests {
    @Test("tiny_threshold: k and t are in no message; weaker terms are refused, one signature opens nothing")
    func tinyThreshold() throws {
        // n = 1000 under the default terms: far above t = 1 or k = 2.
        let parameters = try AggregationParameters(
            task: "t", round: 1, context: .of([]), vectorLength: 1, modulusBits: 16, cohort: 1000...1000,
            minSurvivors: 116, colluderFraction: Rational(1, 10), dropoutFraction: Rational(1, 10))
        let topology = try parameters.topology(cohortSize: 1000)
        #expect(topology.neighbours == 150 && topology.threshold == 108)
        // Terms that would shrink them are below the client's own floors.
        let round = try LoopbackRound(clients: 5)
        var policy = round.policy()
        policy.minColluderFraction = Rational(1, 10)
        policy.minSecurityBits = 40
        let session = ClientSession(
            identity: round.identities[0], server: round.serverKey.verifyingKey, roster: round.roster,
            policy: policy, journal: round.journals[0])
        #expect(throws: AggregationFault.self) {
            try session.advertiseKeys(round.server.manifestMessage, now: 0, random: &round.random)
        }
        // A server that behaves as if t were 1 gets nothing.
        round.tamperDown = { stage, _, bytes in
            guard stage == .unmask else { return bytes }
            var message = try! Message(decoding: bytes, limit: bytes.count)
            var wire = try! decodeWire(message.body) as Secagg_V1_SurvivorSignatures
            var signers = BitSet(count: 5, bytes: [UInt8](wire.signers))!
            for slot in signers.members.dropFirst() { signers[slot] = false }
            wire.signers = Data(signers.bytes)
            wire.signatures = wire.signatures.prefix(64)
            message.body = encodeWire(wire)
            return message.encoded()
        }
        let outcome = round.run()
        #expect(outcome.sum == nil)
        #expect(Set(outcome.clientFaults.values.map(\.check)) == [.tooFewSignatures])
    }

    @Test("neighbour_forgery: boxes and signatures of others in a neighbour's place are refused on the ring")
    func neighbourForgery() throws {
        for stage in [Stage.submitMaskedInput, .unmask] {
            let round = try LoopbackRound(
                clients: 100, minSurvivors: 60, cohortFloor: 100, colluders: Rational("0.02")!,
                dropouts: Rational("0.05")!, threads: 2)
            var first: [UInt8]?
            round.tamperDown = { at, index, bytes in
                guard at == stage else { return bytes }
                defer { first = first ?? bytes }
                // Clients 1 … 9 are shown what belongs to client 0's neighbours.
                return index < 10 && first != nil ? first! : bytes
            }
            let outcome = round.run()
            #expect(round.server.topology?.shape == .ring)
            let left = Set(round.identities[1..<10].map(\.id))
            // A signature is valid whoever shows it; only those of non-neighbours are refused, which these are.
            #expect(Set(outcome.clientFaults.keys) == left)
            let expected: Set<AggregationFault.Check> =
                stage == .unmask ? [.badSignature, .malformed] : [.shareRejected, .shareCount]
            #expect(Set(outcome.clientFaults.values.map(\.check)).isSubset(of: expected))
        }
    }

    @Test("dealer_split_poly: shares off one polynomial never give a wrong seed, however they are split")
    func splitPolynomial() {
        var random = StreamRandom(seed: 0x5eed_0500, label: "split")
        for (holders, threshold) in [(7, 4), (12, 5), (20, 11)] {
            for split in 0...holders {
                let secret = SecretBytes(random: Shamir.secretLength, from: &random)
                let other = SecretBytes(random: Shamir.secretLength, from: &random)
                let dealt = [secret, other].map {
                    Shamir.share($0, threshold: threshold, holders: holders, random: &random)
                }
                let shares = (0..<holders).map { slot in
                    let value = dealt[slot < split ? 0 : 1].withUnsafeBytes { bytes in
                        FieldElement(
                            canonical: UnsafeRawBufferPointer(rebasing: bytes[32 * slot..<32 * slot + 32]))!
                    }
                    return ShareRecovery.Share(holder: slot, slot: slot, value: value)
                }
                var recovery = ShareRecovery(threshold: threshold)
                switch recovery.recover(shares, isRight: { $0 == secret }) {
                case .recovered(let seed, let named):
                    #expect(seed == secret && split >= threshold)
                    #expect(named.allSatisfy { $0 >= split })
                case .dealerLied: #expect(2 * split <= holders - threshold)
                case .tooManyWrong: #expect(split < threshold)
                case .tooFew: Issue.record("all shares are there")
                }
            }
        }
    }

    @Test("drop_before_share: clients that never share, or never come, cost the round nothing")
    func dropBeforeShare() throws {
        let round = try LoopbackRound(clients: 8)
        round.lossStage = [0: .advertiseKeys, 3: .shareKeys, 5: .shareKeys]
        let outcome = round.run()
        #expect(outcome.sum?.elements == round.plainSum([1, 2, 4, 6, 7]))
        #expect(outcome.refused.isEmpty && outcome.clientFaults.isEmpty)
    }

    @Test(
        "dropout_at_t_boundary: with exactly t answers a secret comes back, with t − 1 nothing is published")
    func thresholdBoundary() throws {
        // Complete graph, n = 7, t = 4; client 6 is once in the sum, once lost after sharing.
        for lostEarly in [false, true] {
            for answering in [4, 3] {
                let round = try LoopbackRound(clients: 7)
                let present = lostEarly ? 0..<6 : 0..<7
                if lostEarly { round.lossStage[6] = .submitMaskedInput }
                for index in present.dropFirst(answering) { round.lossStage[index] = .unmask }
                let outcome = round.run()
                if answering == 4 {
                    #expect(outcome.sum?.elements == round.plainSum(present))
                } else {
                    #expect(outcome.sum == nil && outcome.abort?.check == .unrecoverable)
                }
            }
        }
    }

    @Test("result_equivocation: two results of one session are two signatures that contradict each other")
    func resultEquivocation() throws {
        let round = try LoopbackRound(clients: 5)
        let outcome = round.run()
        let sum = try #require(outcome.sum)
        let honest = try #require(outcome.results.values.first)
        #expect(outcome.results.values.allSatisfy { $0 == honest })
        // A second client of the same round is told another sum by the same server.
        let twin = try LoopbackRound(clients: 5)
        var told: [ClientID: VerifiedResult] = [:]
        _ = twin.run { result, client in
            guard client == 2 else { return result }
            var message = try! Message(decoding: result, limit: result.count)
            var wire = try! decodeWire(message.body) as Secagg_V1_RoundResult
            wire.resultDigest = Data(Digest.of([7]).bytes)
            message.body = encodeWire(wire)
            message.signature = twin.serverKey.sign(
                signedDigest(.result, scope: message.session!, body: message.body))
            return message.encoded()
        } told: {
            told[$0] = $1
        }
        let lied = try #require(told[twin.identities[2].id])
        let others = told.filter { $0.key != twin.identities[2].id }.values
        #expect(others.count == 4 && others.allSatisfy { $0 == honest })
        #expect(lied != honest && lied.session == honest.session)
        // Nor does the published sum bear the lie out.
        #expect(honest.covers(elements: sum.elements) && !lied.covers(elements: sum.elements))
    }

    @Test("ct_compare: secrets are compared by libsodium's constant-time function and by nothing else")
    func constantTimeComparison() throws {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Sources")
        let secretBytes = try String(
            contentsOf: root.appendingPathComponent("Sodium/SecretBytes.swift"), encoding: .utf8)
        #expect(secretBytes.contains("sodium_memcmp(left.storage, right.storage"))
        #expect(!secretBytes.contains(": Hashable") && !secretBytes.contains(": Equatable"))
        // Nobody takes a secret's bytes out into an array to compare them.
        for folder in ["SecureAgg", "Sodium"] {
            let files = FileManager.default.enumerator(
                at: root.appendingPathComponent(folder), includingPropertiesForKeys: nil)!
            for case let file as URL in files where file.pathExtension == "swift" {
                let text = try String(contentsOf: file, encoding: .utf8)
                #expect(
                    !text.contains("memcmp(") || file.lastPathComponent == "SecretBytes.swift",
                    "\(file.lastPathComponent)")
                #expect(!text.contains(".withUnsafeBytes { Array($0) } =="), "\(file.lastPathComponent)")
                #expect(!text.contains(".withUnsafeBytes { [UInt8]($0) } =="), "\(file.lastPathComponent)")
            }
        }
        var random = StreamRandom(seed: 1, label: "compare")
        let secret = random.bytes(31)
        for position in 0..<31 {
            var other = secret
            other[position] ^= 0x80
            #expect(!(SecretBytes(copying: secret) == SecretBytes(copying: other)))
        }
        #expect(SecretBytes(copying: secret) == SecretBytes(copying: secret))
    }
}
