import GMP
import SecureAgg
import Sodium
import Testing

/// What the server sees of one client looks uniform, as far as counting can tell. Seeds are fixed, so
/// these tests never fail by chance; their thresholds would fail a true uniform source with the
/// probability that each states.
@Suite struct SecrecyTests {
    /// χ² of the low and the high eight bits of each packed coordinate, 255 degrees of freedom.
    private func chiSquare(_ values: [UInt8]) -> Double {
        var counts = [Double](repeating: 0, count: 256)
        for value in values { counts[Int(value)] += 1 }
        let expected = Double(values.count) / 256
        return counts.reduce(0) { $0 + ($1 - expected) * ($1 - expected) / expected }
    }

    /// Quantile of χ² with 255 degrees of freedom at 10^−6 from the top.
    private static let bound = 375.0

    private func packedVectors(_ round: LoopbackRound, of client: Int) -> [UInt8] {
        var packed: [UInt8] = []
        round.tamperUp = { stage, index, messages in
            if stage == .submitMaskedInput, index == client {
                for message in messages { packed += MaskedChunk.packed(in: message)?.packed ?? [] }
            }
            return messages
        }
        _ = round.run()
        return packed
    }

    @Test(
        "uniform_mask: a masked vector of zeros is uniform modulo 2^b, 2^b − 1 included (false alarm 2·10^−6)",
        arguments: [8, 16, 20])
    func uniform(bits: Int) throws {
        let round = try LoopbackRound(
            clients: 3, dimension: 1 << 18, modulusBits: bits, chunkLength: 1 << 16, seed: 0x5eed_0200)
        let packed = packedVectors(round, of: 1)
        var vector = RingVector<UInt32>(zeros: 1 << 18, bits: bits)
        vector.add(packed: packed, to: 0..<(1 << 18))
        let elements = vector.elements
        #expect(chiSquare(elements.map { UInt8(truncatingIfNeeded: $0) }) < Self.bound)
        #expect(chiSquare(elements.map { UInt8(truncatingIfNeeded: $0 >> UInt32(bits - 8)) }) < Self.bound)
        if bits <= 16 { #expect(elements.contains(UInt32.max >> UInt32(32 - bits))) }
    }

    @Test(
        "late_y_attack: with every mask key of a client known, its vector is still uniform (false alarm 10^−6)"
    )
    func doubleMask() throws {
        // The server called client 1 dropped, got its mask key, and then receives its vector: what is
        // left under the pairwise masks is the self-mask. Here the test takes the pairwise masks off.
        let known = try VectorFile.load("known_answers.json", as: KnownAnswers.self)
        let session = Digest(hex: known.session)!
        let secrets = known.maskKeySeeds.map { Derivation.maskSecret(seed: secret($0)) }
        let keys = known.maskKeys.map { bytesFromHex($0)! }
        let pairs = [0, 2].map { peer in
            MaskTerm(
                key: Derivation.pairMask(
                    session: session, own: 1, peer: peer, ownSecret: secrets[1], ownKey: keys[1],
                    peerKey: keys[peer])!,
                sign: peer < 1 ? .plus : .minus)
        }
        let own = MaskTerm(
            key: Derivation.selfMask(session: session, member: 1, seed: secret(known.selfMaskSeeds[1])),
            sign: .plus)
        var vector = RingVector<UInt16>(zeros: 1_000_000, bits: 16)
        MaskSum.add(pairs + [own], to: &vector, threads: 1)
        MaskSum.add(pairs.map { MaskTerm(stream: $0.stream, sign: $0.sign.negated) }, to: &vector, threads: 1)
        #expect(chiSquare(vector.elements.map { UInt8(truncatingIfNeeded: $0) }) < Self.bound)
        #expect(vector.elements != [UInt32](repeating: 0, count: 1_000_000))
    }

    @Test("prg_independence: the same pair in two sessions, and two pairs in one, have unrelated streams")
    func sessions() throws {
        let known = try VectorFile.load("known_answers.json", as: KnownAnswers.self)
        let secrets = known.maskKeySeeds.map { Derivation.maskSecret(seed: secret($0)) }
        let keys = known.maskKeys.map { bytesFromHex($0)! }
        func lanes(_ session: Digest, _ own: Int, _ peer: Int) -> [UInt32] {
            var vector = RingVector<UInt32>(zeros: 4096, bits: 32)
            let key = Derivation.pairMask(
                session: session, own: own, peer: peer, ownSecret: secrets[own], ownKey: keys[own],
                peerKey: keys[peer])!
            MaskSum.add([MaskTerm(key: key, sign: .plus)], to: &vector, threads: 1)
            return vector.elements
        }
        let streams = [
            lanes(.of([1]), 0, 1), lanes(.of([2]), 0, 1), lanes(.of([1]), 0, 2), lanes(.of([1]), 1, 2),
        ]
        for (index, left) in streams.enumerated() {
            for right in streams[(index + 1)...] {
                // 4096 lanes of 32 bits: one coincidence has probability 10^−6.
                #expect(!zip(left, right).contains { $0 == $1 })
            }
        }
    }

    @Test(
        "Each client releases exactly one share per member of U2, of the kind that the survivor list asks for"
    )
    func oneShareEach() throws {
        let round = try LoopbackRound(clients: 6)
        round.lossStage = [1: .shareKeys, 2: .submitMaskedInput]
        var lengths: [Int] = []
        round.tamperUp = { stage, _, messages in
            if stage == .unmask {
                let message = try! Message(decoding: messages[0], limit: 10_000)
                lengths.append((try! decodeWire(message.body) as Secagg_V1_UnmaskShares).shares.count)
            }
            return messages
        }
        let outcome = round.run()
        #expect(lengths == [Int](repeating: 5 * 32, count: 4))
        #expect(outcome.sum?.elements == round.plainSum([0, 3, 4, 5]))
    }
}
