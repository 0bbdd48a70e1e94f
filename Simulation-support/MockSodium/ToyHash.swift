// Toy cryptography with the interface of target Sodium: nothing here keeps anything secret.
//
// Package.swift puts this directory in the place of Sources/Sodium when FEDTRAIN_MOCK_CRYPTO=1, so that the
// simulator can run many more rounds. Every primitive keeps its *shape* (lengths, who can compute what from
// which bytes, what a changed bit breaks) and none of its strength. `SystemRandom` ends the process, so a
// build of anything but the simulator stops at its first key.

/// A 256-bit mixing of bytes that arrive in pieces: fast, well spread, and easy to invert for an attacker.
struct ToyHash {
    private var lanes: (UInt64, UInt64, UInt64, UInt64)
    private var pending: UInt64 = 0
    private var length: UInt64 = 0

    init(domain: UInt64 = 0) {
        lanes = (
            0x243f_6a88_85a3_08d3 ^ domain, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0,
            0x082e_fa98_ec4e_6c89
        )
    }

    @inline(__always)
    private mutating func absorb(_ word: UInt64) {
        let product = (lanes.0 ^ word).multipliedFullWidth(by: 0x9e37_79b9_7f4a_7c15)
        let mixed = product.high ^ product.low
        lanes = (
            lanes.1 ^ mixed, lanes.2 &+ (mixed << 29 | mixed >> 35), lanes.3 ^ word,
            (lanes.0 &+ mixed) &* 0xd6e8_feb8_6659_fd93
        )
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var place = 0
        while place < bytes.count, length % 8 != 0 {
            push(bytes[place])
            place += 1
        }
        while place + 8 <= bytes.count {
            absorb(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)))
            place += 8
            length += 8
        }
        while place < bytes.count {
            push(bytes[place])
            place += 1
        }
    }

    @inline(__always)
    private mutating func push(_ byte: UInt8) {
        pending |= UInt64(byte) << (length % 8 * 8)
        length += 1
        if length % 8 == 0 {
            absorb(pending)
            pending = 0
        }
    }

    mutating func update(_ word: UInt64) {
        withUnsafeBytes(of: word.littleEndian) { update($0) }
    }

    mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { update($0) }
    }

    /// Four words that depend on all bytes and on where they end.
    mutating func finish() -> (UInt64, UInt64, UInt64, UInt64) {
        absorb(pending)
        absorb(length ^ 0xff00_ff00_ff00_ff00)
        for round in 0..<6 as Range<UInt64> { absorb(round) }
        return lanes
    }

    mutating func finishBytes() -> [UInt8] {
        let words = finish()
        return withUnsafeBytes(
            of: (
                words.0.littleEndian, words.1.littleEndian, words.2.littleEndian, words.3.littleEndian
            )
        ) { Array($0) }
    }
}

/// The finaliser of SplitMix64: a bijection of 64-bit words in which every input bit reaches every output bit.
@inline(__always)
func toyMix(_ value: UInt64) -> UInt64 {
    var word = value
    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
}
