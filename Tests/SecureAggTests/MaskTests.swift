import SecureAgg
import Sodium
import Testing

@Suite struct MaskTests {
    static let seed: UInt64 = 0x5eed_0010

    private func terms(_ count: Int) -> [MaskTerm] {
        var random = StreamRandom(seed: Self.seed, label: "mask keys")
        return (0..<count).map {
            MaskTerm(key: SecretBytes(random: 32, from: &random), sign: $0 % 3 == 0 ? .minus : .plus)
        }
    }

    /// One lane at a time, straight from the definition.
    private func naive<Lane: RingLane>(_ terms: [MaskTerm], count: Int, from offset: Int) -> [Lane] {
        let bytes = MemoryLayout<Lane>.size
        return (0..<count).map { index in
            terms.reduce(Lane(0)) { sum, term in
                let position = (offset + index) * bytes
                var block = [UInt8](repeating: 0, count: 64)
                block.withUnsafeMutableBytes {
                    term.stream.generate(into: $0, atByteOffset: UInt64(position / 64 * 64))
                }
                let lane = (0..<bytes).reversed().reduce(Lane(0)) {
                    $0 << 8 | Lane(block[position % 64 + $1])
                }
                return term.sign == .plus ? sum &+ lane : sum &- lane
            }
        }
    }

    @Test("Tiled expansion equals the definition", arguments: [1, 63, 64, 65, 8191, 8192, 8193, 20_000])
    func naiveTwin(count: Int) {
        let masks = terms(3)
        var narrow = RingVector<UInt16>(zeros: count, bits: 16)
        MaskSum.add(masks, to: &narrow, startingAt: 128, threads: 1)
        var wide = RingVector<UInt32>(zeros: count, bits: 32)
        MaskSum.add(masks, to: &wide, startingAt: 128, threads: 1)
        let window = [0, count / 3, count - 1]
        for index in window {
            #expect(narrow.lanes[index] == (naive(masks, count: index + 1, from: 128) as [UInt16]).last)
            #expect(wide.lanes[index] == (naive(masks, count: index + 1, from: 128) as [UInt32]).last)
        }
    }

    @Test("The number of threads never changes the result", arguments: [100, 9000, 70_000])
    func threads(count: Int) {
        let masks = terms(37)
        var reference = RingVector<UInt16>([Int32](repeating: -5, count: count), bits: 13)
        MaskSum.add(masks, to: &reference, threads: 1)
        for threads in [2, 3, 8] {
            var vector = RingVector<UInt16>([Int32](repeating: -5, count: count), bits: 13)
            MaskSum.add(masks, to: &vector, threads: threads)
            #expect(vector.elements == reference.elements)
        }
    }

    @Test("seek_equals_stream: a chunk's mask is the slice of the whole mask")
    func seek() {
        let masks = terms(2)
        var whole = RingVector<UInt32>(zeros: 5000, bits: 24)
        MaskSum.add(masks, to: &whole, threads: 1)
        for start in [0, 64, 1024, 4096] {
            var part = RingVector<UInt32>(zeros: 500, bits: 24)
            MaskSum.add(masks, to: &part, startingAt: start, threads: 1)
            #expect(part.elements == Array(whole.elements[start..<start + 500]))
        }
    }

    @Test("A mask added and taken off leaves nothing")
    func cancels() {
        let masks = terms(5)
        let values = (0..<3000).map { Int32($0 * 7919 % 1000 - 500) }
        var vector = RingVector<UInt16>(values, bits: 12)
        MaskSum.add(masks, to: &vector, threads: 1)
        MaskSum.add(
            masks.map { MaskTerm(stream: $0.stream, sign: $0.sign.negated) }, to: &vector, threads: 2)
        #expect(centredLift(vector.elements, modulusBits: 12) == values)
    }

    @Test("Packing and adding packed chunks agree with plain arithmetic at every width", arguments: 8...32)
    func packing(bits: Int) {
        let random = StreamRandom(seed: Self.seed, label: "packing \(bits)")
        let mask = UInt32.max >> UInt32(32 - bits)
        let first = (0..<173).map { _ in Int32(truncatingIfNeeded: random.nextUInt64()) }
        let second = (0..<173).map { _ in Int32(truncatingIfNeeded: random.nextUInt64()) }
        let expected = zip(first, second).map { UInt32(bitPattern: $0 &+ $1) & mask }
        func check<Lane: RingLane>(_: Lane.Type) {
            var sum = RingVector<Lane>(zeros: 173, bits: bits)
            for values in [first, second] {
                let vector = RingVector<Lane>(values, bits: bits)
                for range in [0..<64, 64..<128, 128..<173] {
                    let packed = vector.packed(range)
                    #expect(packed.count == (range.count * bits + 7) / 8)
                    sum.add(packed: packed, to: range)
                }
            }
            #expect(sum.elements == expected)
        }
        if bits <= 16 { check(UInt16.self) }
        check(UInt32.self)
    }

    @Test("wrap: the centred lift is right at both edges", arguments: [8, 13, 16, 20, 31, 32])
    func centred(bits: Int) {
        let half = Int64(1) << Int64(bits - 1)
        let values = [0, 1, -1, half - 1, -half, half, -half - 1]
        let ring = values.map { UInt32(truncatingIfNeeded: $0) & (UInt32.max >> UInt32(32 - bits)) }
        let lifted = centredLift(ring, modulusBits: bits).map { Int64($0) }
        #expect(lifted == [0, 1, -1, half - 1, -half, -half, half - 1])
    }
}

@Suite struct SmallStructureTests {
    @Test("Every Merkle path verifies at its own place only")
    func merklePaths() {
        for count in 1...17 {
            let leaves = (0..<count).map { [UInt8($0), 1] }
            let tree = MerkleTree(leaves)
            for index in 0..<count {
                let path = tree.path(to: index)
                for place in 0..<count {
                    let fits = MerkleTree.verify(
                        leaves[index], index: place, count: count, path: path, root: tree.root)
                    #expect(fits == (place == index))
                }
                #expect(
                    !MerkleTree.verify(
                        leaves[index] + [0], index: index, count: count, path: path, root: tree.root))
                if !path.isEmpty {
                    #expect(
                        !MerkleTree.verify(
                            leaves[index], index: index, count: count, path: Array(path.dropLast()),
                            root: tree.root))
                }
            }
        }
    }

    @Test("Bit sets refuse wrong lengths and stray bits")
    func bitSets() {
        for count in 0...17 {
            let set = BitSet(count: count, members: (0..<count).filter { $0 % 3 == 1 })
            #expect(BitSet(count: count, bytes: set.bytes) == set)
            #expect(set.members == (0..<count).filter { $0 % 3 == 1 })
            #expect(BitSet(count: count, bytes: set.bytes + [0]) == nil)
            if count % 8 != 0 {
                var stray = set.bytes
                stray[stray.count - 1] |= 0x80
                #expect(BitSet(count: count, bytes: stray) == nil)
            }
        }
    }
}
