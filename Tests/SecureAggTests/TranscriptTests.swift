import Foundation
import GMP
import SecureAgg
import Sodium
import Testing

@Suite struct TranscriptTests {
    /// A finished round, its masked vectors as an auditor would store them, and the sum.
    private final class Audited {
        let round: LoopbackRound
        var chunks: [ClientID: [Int: [UInt8]]] = [:]
        let sum: AggregateSum

        init() throws {
            let round = try LoopbackRound(clients: 6, dimension: 500, modulusBits: 20, chunkLength: 128)
            round.lossStage = [1: .submitMaskedInput, 4: .unmask]
            var stored: [ClientID: [Int: [UInt8]]] = [:]
            round.tamperUp = { stage, index, messages in
                for message in messages where stage == .submitMaskedInput {
                    guard let chunk = MaskedChunk.packed(in: message) else { continue }
                    stored[round.identities[index].id, default: [:]][chunk.index] = chunk.packed
                }
                return messages
            }
            sum = try #require(round.run().sum)
            self.round = round
            chunks = stored
        }

        func verify(_ bytes: [UInt8]) throws -> VerifiedTranscript {
            try VerifiedTranscript(bytes, server: round.serverKey.verifyingKey, roster: round.roster)
        }
    }

    @Test("A stranger recomputes every chunk of the sum")
    func recompute() throws {
        let audited = try Audited()
        let transcript = try audited.verify(audited.sum.transcript.bytes)
        #expect(transcript.survivors == audited.sum.survivors)
        #expect(transcript.root == audited.sum.transcript.root)
        #expect(transcript.covers(elements: audited.sum.elements))
        var elements: [UInt32] = []
        for chunk in 0..<transcript.chunkCount {
            elements += try transcript.recompute(chunk: chunk) { audited.chunks[$0]![chunk]! }
        }
        #expect(elements == audited.sum.elements)
    }

    @Test("audit_tamper: a changed sum, a changed vector and every flipped byte are found")
    func tamper() throws {
        let audited = try Audited()
        let bytes = audited.sum.transcript.bytes
        let transcript = try audited.verify(bytes)
        var altered = audited.sum.elements
        altered[499] &+= 1
        #expect(!transcript.covers(elements: altered))
        #expect(throws: AggregationFault.self) {
            try transcript.recompute(chunk: 2) { id in
                var packed = audited.chunks[id]![2]!
                if id == audited.sum.survivors[1] { packed[7] ^= 4 }
                return packed
            }
        }
        for position in stride(from: 0, to: bytes.count, by: 3) {
            var flipped = bytes
            flipped[position] ^= 1
            // The result digest is the one field that only the sum itself and the signed result bear out.
            if let read = try? audited.verify(flipped) {
                #expect(!read.covers(elements: audited.sum.elements) || read.root != transcript.root)
                #expect(read.root != transcript.root)
            }
        }
        var random = StreamRandom(seed: 1, label: "other server")
        #expect(throws: AggregationFault.self) {
            try VerifiedTranscript(
                bytes, server: SigningKey(generatedBy: &random).verifyingKey, roster: audited.round.roster)
        }
        #expect(throws: AggregationFault.self) {
            try VerifiedTranscript(bytes, server: audited.round.serverKey.verifyingKey, roster: nil)
        }
    }

    @Test("proto_fuzz: random and mutated bytes never crash a decoder and always give a typed fault")
    func fuzz() throws {
        let audited = try Audited()
        var random = StreamRandom(seed: 0x5eed_0300, label: "fuzz")
        let transcript = audited.sum.transcript.bytes
        for round in 0..<3000 {
            var bytes: [UInt8]
            if round % 2 == 0 {
                bytes = random.bytes(Int(random.uniform(below: 300)))
            } else {
                bytes = transcript
                for _ in 0...random.uniform(below: 4) {
                    switch random.uniform(below: 3) {
                    case 0:
                        bytes[Int(random.uniform(below: UInt64(bytes.count)))] = UInt8(
                            random.uniform(below: 256))
                    case 1: bytes.remove(at: Int(random.uniform(below: UInt64(bytes.count))))
                    default:
                        bytes.insert(
                            UInt8(random.uniform(below: 256)),
                            at: Int(random.uniform(below: UInt64(bytes.count))))
                    }
                }
            }
            if bytes.count == transcript.count, bytes == transcript { continue }
            if let read = try? audited.verify(bytes) { #expect(read.root != audited.sum.transcript.root) }
            let session = audited.round.session(0)
            #expect(throws: AggregationFault.self) {
                try session.advertiseKeys(bytes, now: 1, random: &random)
            }
        }
    }
}
