import GMP
import SecureAgg
import Sodium
import Testing

/// The implementation agrees with an independent one in pure Python, byte for byte.
@Suite struct KnownAnswerTests {
    let known: KnownAnswers
    let session: Digest
    let secrets: [SecretBytes]

    init() throws {
        known = try VectorFile.load("known_answers.json")
        session = Digest(hex: known.session)!
        secrets = known.maskKeySeeds.map { Derivation.maskSecret(seed: secret($0)) }
    }

    private func pairKey(_ own: Int, _ peer: Int) -> SecretBytes {
        Derivation.pairMask(
            session: session, own: own, peer: peer, ownSecret: secrets[own],
            ownKey: bytesFromHex(known.maskKeys[own])!, peerKey: bytesFromHex(known.maskKeys[peer])!)!
    }

    private func selfKey(_ member: Int) -> SecretBytes {
        Derivation.selfMask(
            session: session, member: member, seed: secret(known.selfMaskSeeds[member]))
    }

    @Test("Manifest digest, mask keys, cohort root and session")
    func schedule() {
        let manifest = Labels.manifest.hash([Array(known.manifest.utf8)])
        #expect(manifest.hex == known.manifestDigest)
        #expect(secrets.map { hexString(KeyAgreement.publicKey(of: $0)) } == known.maskKeys)
        let leaves = known.maskKeys.enumerated().map { index, key in
            lengthPrefixed(ByteOrder.bytes(index)) + lengthPrefixed(bytesFromHex(key)!)
        }
        let root = MerkleTree(leaves).root
        #expect(root.hex == known.cohortRoot)
        #expect(Derivation.session(manifest: manifest, cohortRoot: root) == session)
    }

    @Test("Both ends of an edge derive the known pair key; the self key is the known one")
    func maskKeys() {
        #expect(hexOf(pairKey(0, 1)) == known.pairKey01)
        #expect(hexOf(pairKey(1, 0)) == known.pairKey01)
        #expect(hexOf(selfKey(0)) == known.selfKey0)
    }

    @Test("Mask lanes of 32 and 16 bits, at the start and deep in the stream")
    func lanes() {
        let term = MaskTerm(key: pairKey(0, 1), sign: .plus)
        var wide = RingVector<UInt32>(zeros: 4, bits: 32)
        MaskSum.add([term], to: &wide, threads: 1)
        #expect(wide.lanes == known.pair01Lanes32)
        var deep = RingVector<UInt32>(zeros: 2, bits: 32)
        MaskSum.add([term], to: &deep, startingAt: 1 << 20, threads: 1)
        #expect(deep.lanes == known.pair01Lanes32At1048576)
        var narrow = RingVector<UInt16>(zeros: 4, bits: 16)
        MaskSum.add([term], to: &narrow, threads: 1)
        #expect(narrow.lanes == known.pair01Lanes16)
    }

    private func masked<Lane: RingLane>(_ lane: Lane.Type, bits: Int) -> [RingVector<Lane>] {
        (0..<3).map { own in
            var vector = RingVector<Lane>(known.plain[own], bits: bits)
            var terms = [MaskTerm(key: selfKey(own), sign: .plus)]
            for peer in 0..<3 where peer != own {
                terms.append(MaskTerm(key: pairKey(own, peer), sign: peer < own ? .plus : .minus))
            }
            MaskSum.add(terms, to: &vector, threads: 1)
            return vector
        }
    }

    @Test("Masked vectors of three clients, packed at 16 and 20 bits")
    func maskedVectors() {
        #expect(masked(UInt32.self, bits: 16).map { hexString($0.packed(0..<8)) } == known.masked16Lanes32)
        #expect(masked(UInt16.self, bits: 16).map { hexString($0.packed(0..<8)) } == known.masked16Lanes16)
        #expect(masked(UInt32.self, bits: 20).map { hexString($0.packed(0..<8)) } == known.masked20)
    }

    @Test("The sum opens with everyone there and with client 1 lost after sharing")
    func sums() {
        let vectors = masked(UInt16.self, bits: 16)
        var all = RingVector<UInt16>(zeros: 8, bits: 16)
        for vector in vectors { all.add(packed: vector.packed(0..<8), to: 0..<8) }
        MaskSum.add((0..<3).map { MaskTerm(key: selfKey($0), sign: .minus) }, to: &all, threads: 1)
        #expect(all.elements == known.sumAll)

        var rest = RingVector<UInt16>(zeros: 8, bits: 16)
        for survivor in [0, 2] { rest.add(packed: vectors[survivor].packed(0..<8), to: 0..<8) }
        let terms =
            [0, 2].map { MaskTerm(key: selfKey($0), sign: .minus) }
            + [0, 2].map { MaskTerm(key: pairKey(1, $0), sign: $0 > 1 ? .minus : .plus) }
        MaskSum.add(terms, to: &rest, threads: 1)
        #expect(rest.elements == known.sumWithout1)
    }

    @Test("Shamir shares from a known coefficient stream")
    func shamir() {
        for (threshold, holders) in [(3, 5), (20, 40)] {
            var random = StreamRandom(key: secret(known.shamirStreamKey))
            let shares = Shamir.share(
                secret(known.selfMaskSeeds[0]), threshold: threshold, holders: holders, random: &random)
            let all = shares.withUnsafeBytes { bytes in
                (0..<holders).map { hexString(Array(bytes[$0 * 32..<($0 + 1) * 32])) }
            }
            if holders == 5 { #expect(all == known.shamirT3N5) }
            if holders == 40 { #expect(all.last == known.shamirT20N40Last) }
        }
    }

    @Test("Graph permutation and ring neighbours")
    func graph() {
        let seed = Digest(hex: known.graphSeed)!
        #expect(Neighbours.permutation(seed: seed, count: 10) == known.permutation10)
        #expect(
            Array(Neighbours.permutation(seed: seed, count: 1000).prefix(16)) == known.permutation1000Head)
        let topology = Topology(
            shape: .ring, cohortSize: 10, neighbours: 4, threshold: 3, colluders: 0, windowDropLimit: nil)
        let ring = Neighbours(topology: topology, seed: seed)
        #expect((0..<10).map { ring.holders(of: $0).sorted() } == known.ring10Neighbours4)
    }

    @Test("Packing at 20 and 11 bits")
    func packing() {
        let twenty = RingVector<UInt32>([0, 1, 2, 3, 0xfffff, 0x80000, 0x12345, 7], bits: 20)
        #expect(hexString(twenty.packed(0..<8)) == known.pack20)
        let eleven = RingVector<UInt16>([0, 1, 2047, 1024, 5], bits: 11)
        #expect(hexString(eleven.packed(0..<5)) == known.pack11)
    }

    @Test("Merkle roots of one to eleven leaves")
    func merkle() {
        let leaves = (1...11).map { [UInt8](repeating: UInt8($0), count: $0) }
        #expect((1...11).map { MerkleTree(Array(leaves[..<$0])).root.hex } == known.merkleRoots)
    }

    @Test("Hypergeometric tails as exact fractions")
    func tails() {
        func atMost(_ population: Int, _ marked: Int, _ draws: Int, _ bound: Int) -> Rational {
            let law = Hypergeometric(population: population, marked: marked, draws: draws)
            return Rational(law.weight(atMost: bound), law.total)
        }
        #expect((1 - atMost(999, 50, 30, 16)).description == known.tails["Hyp(999,50,30)>=17"])
        #expect(atMost(1000, 950, 30, 16).description == known.tails["Hyp(1000,950,30)<=16"])
        #expect((1 - atMost(999, 100, 114, 41)).description == known.tails["Hyp(999,100,114)>=42"])
        #expect(atMost(999, 899, 114, 77).description == known.tails["Hyp(999,899,114)<=77"])
    }
}
