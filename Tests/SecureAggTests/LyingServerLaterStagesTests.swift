import Foundation
import SecureAgg
import Sodium
import Testing

/// Stages 2 to 4 and the result: what a client checks after it has shared its keys.
extension LyingServerTests {
    @Test("share_reroute: a box meant for another holder does not open")
    func shareReroute() throws {
        let (_, outcome) = try attack(.submitMaskedInput, victim: 0) { _, _, bytes in
            self.edit(bytes) { message in
                var delivery = try! decodeWire(message.body) as Secagg_V1_ShareDelivery
                var boxes = [UInt8](delivery.boxes)
                boxes.replaceSubrange(0..<104, with: boxes[104..<208])
                delivery.boxes = Data(boxes)
                message.body = encodeWire(delivery)
            }
        }
        #expect(checks(outcome) == [.shareRejected])
        #expect(outcome.clientFaults.values.first?.culprits.count == 1)
    }

    @Test("share_replay_session: a delivery of an earlier session is refused")
    func shareReplay() throws {
        var captured: [Int: [UInt8]] = [:]
        let first = try LoopbackRound(clients: 5, round: 1)
        first.tamperDown = { stage, index, bytes in
            if stage == .submitMaskedInput { captured[index] = bytes }
            return bytes
        }
        _ = first.run()
        let second = try LoopbackRound(clients: 5, round: 2)
        second.tamperDown = { [captured] stage, index, bytes in
            stage == .submitMaskedInput ? captured[index]! : bytes
        }
        #expect(checks(second.run()) == [.wrongSession])
        // With the session's name corrected, the boxes themselves do not open.
        let third = try LoopbackRound(clients: 5, round: 3)
        third.tamperDown = { [captured] stage, index, bytes in
            guard stage == .submitMaskedInput else { return bytes }
            let session = try! Message(decoding: bytes, limit: bytes.count).session
            return self.edit(captured[index]!) { $0.session = session }
        }
        #expect(checks(third.run()) == [.shareRejected])
    }

    @Test("Too few neighbours, missing boxes and a hidden own bit are refused")
    func deliveryShape() throws {
        func change(_ body: @escaping (inout Secagg_V1_ShareDelivery) -> Void) throws -> Set<
            AggregationFault.Check
        > {
            checks(
                try attack(.submitMaskedInput) { _, _, bytes in
                    self.edit(bytes) { message in
                        var delivery = try! decodeWire(message.body) as Secagg_V1_ShareDelivery
                        body(&delivery)
                        message.body = encodeWire(delivery)
                    }
                }.1)
        }
        #expect(try change { $0.boxes.removeLast() } == [.shareCount])
        #expect(try change { $0.live = Data([0x1f, 0]) } == [.malformed])
        #expect(try change { $0.live = Data([0x3f]) } == [.malformed])
        #expect(
            try change {
                $0.live = Data([0]); $0.boxes = Data()
            } == [.malformed])
        // Everyone with only itself and, for most, one neighbour live: below t = 3.
        let (_, few) = try attack(.submitMaskedInput, victim: 0) { round, index, bytes in
            self.edit(bytes) { message in
                var delivery = try! decodeWire(message.body) as Secagg_V1_ShareDelivery
                let ownSlot = round.identities.map(\.id).sorted().firstIndex(of: round.identities[index].id)!
                delivery.live = Data(BitSet(count: 5, members: [ownSlot]).bytes)
                delivery.boxes = Data()
                message.body = encodeWire(delivery)
            }
        }
        #expect(checks(few) == [.tooFewNeighbours])
    }

    // MARK: Stages 3 and 4

    private func editSurvivors(_ bytes: [UInt8], _ change: (inout Secagg_V1_Survivors) -> Void) -> [UInt8] {
        edit(bytes) { message in
            var set = try! decodeWire(message.body) as Secagg_V1_SurvivorSet
            var survivors = try! decodeWire([UInt8](set.survivors)) as Secagg_V1_Survivors
            change(&survivors)
            set.survivors = Data(encodeWire(survivors))
            message.body = encodeWire(set)
        }
    }

    @Test("A survivor list that omits the client, or another vector in its place, is not signed")
    func ownVector() throws {
        let (round, omitted) = try attack(.confirmSurvivors, victim: 2) { round, index, bytes in
            let place = round.identities.map(\.id).sorted().firstIndex(of: round.identities[index].id)!
            return self.editSurvivors(bytes) { $0.bitmap = Data([0x1f & ~(1 << UInt8(place))]) }
        }
        #expect(omitted.clientFaults[round.identities[2].id]?.check == .ownVectorMissing)
        let (_, forged) = try attack(.confirmSurvivors) { _, _, bytes in
            self.editSurvivors(bytes) { $0.vectorsRoot = Data([UInt8](repeating: 1, count: 32)) }
        }
        #expect(checks(forged) == [.ownVectorMissing] && forged.sum == nil)
    }

    @Test("split_u3: two survivor lists cannot both collect t signatures; nobody releases a share")
    func splitSurvivors() throws {
        // Half of the clients are told that client 5 survived, half that it was lost: with t signatures
        // on both lists the server would get both of its secrets.
        let round = try LoopbackRound(clients: 6)
        round.tamperDown = { stage, index, bytes in
            guard stage == .confirmSurvivors, index < 3 else { return bytes }
            return self.edit(bytes) { message in
                var set = try! decodeWire(message.body) as Secagg_V1_SurvivorSet
                var survivors = try! decodeWire([UInt8](set.survivors)) as Secagg_V1_Survivors
                var bitmap = [UInt8](survivors.bitmap)
                let hidden = round.identities.map(\.id).sorted().firstIndex(of: round.identities[5].id)!
                bitmap[0] &= ~(1 << UInt8(hidden))
                survivors.bitmap = Data(bitmap)
                set.survivors = Data(encodeWire(survivors))
                message.body = encodeWire(set)
            }
        }
        let outcome = round.run()
        // Each client signs the one list it was shown: three signatures on either, below t = 4.
        #expect(outcome.clientFaults.count + outcome.refused.count == 3)
        #expect(outcome.abort?.check == .tooFewSignatures)
        #expect(outcome.sum == nil && outcome.up[.unmask] == nil)
    }

    @Test("u3_after_freeze and dup_both_lists: shares go out once, for the list that was signed")
    func releaseOnce() throws {
        let round = try LoopbackRound(clients: 5)
        var kept: [Int: [UInt8]] = [:]
        round.tamperDown = { stage, index, bytes in
            if stage == .unmask { kept[index] = bytes }
            return bytes
        }
        let outcome = round.run()
        #expect(outcome.sum != nil)
        for (index, bytes) in kept {
            #expect(throws: AggregationFault.self) { try round.sessions[index].unmask(bytes) }
        }
        // Signatures over any other list do not open anything.
        let (_, swapped) = try attack(.unmask) { round, _, bytes in
            self.edit(bytes) { message in
                var evidence = try! decodeWire(message.body) as Secagg_V1_SurvivorSignatures
                var joined: [UInt8] = []
                let other = Digest.of([1])
                let order = round.identities.sorted { $0.id < $1.id }
                for slot in 0..<5 where evidence.signers[0] >> UInt8(slot) & 1 == 1 {
                    joined += order[slot].signingKey.sign(
                        signedDigest(.survivors, scope: message.session!, body: other.bytes))
                }
                evidence.signatures = Data(joined)
                message.body = encodeWire(evidence)
            }
        }
        #expect(checks(swapped) == [.badSignature] && swapped.sum == nil)
    }

    @Test("Fewer than t signatures release nothing")
    func tooFewSignatures() throws {
        let (_, outcome) = try attack(.unmask) { _, _, bytes in
            self.edit(bytes) { message in
                var evidence = try! decodeWire(message.body) as Secagg_V1_SurvivorSignatures
                let first = evidence.signers[0].trailingZeroBitCount
                evidence.signers = Data([evidence.signers[0] & ~(1 << UInt8(first))])
                evidence.signatures.removeFirst(64)
                message.body = encodeWire(evidence)
            }
        }
        #expect(checks(outcome) == [.tooFewSignatures] && outcome.sum == nil)
    }

    @Test("A result for other survivors or under another key is refused")
    func resultForgery() throws {
        let round = try LoopbackRound(clients: 5)
        round.lossStage = [0: .unmask]
        let outcome = round.run()
        let sum = try #require(outcome.sum)
        #expect(outcome.results.count == 4)
        for result in outcome.results.values {
            #expect(result.covers(elements: sum.elements))
            var altered = sum.elements
            altered[3] ^= 1
            #expect(!result.covers(elements: altered))
            #expect(result.transcriptRoot == sum.transcript.root)
        }
    }
}
