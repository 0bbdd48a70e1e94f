/// Pairs of token ids that BPE may join: an open-addressing hash table, since looking up pairs is
/// most of the work of encoding.
struct MergeTable: Sendable {
    struct Merge: Sendable {
        /// Lower is joined earlier.
        let rank: Int32
        /// The token that results.
        let id: Int32
    }

    private var keys: [UInt64]
    private var merges: [Merge]
    private let mask: Int

    /// No pair of ids has this key, because ids are not negative.
    private static let empty = UInt64.max

    /// - Parameter pairs: in order of rank. Of equal pairs the later counts.
    init(_ pairs: [(left: Int32, right: Int32, id: Int32)]) {
        var capacity = 16
        while capacity < 2 * pairs.count { capacity *= 2 }
        mask = capacity - 1
        keys = [UInt64](repeating: Self.empty, count: capacity)
        merges = [Merge](repeating: Merge(rank: 0, id: 0), count: capacity)
        for (rank, pair) in pairs.enumerated() {
            let key = Self.key(pair.left, pair.right)
            let slot = slot(of: key)
            keys[slot] = key
            merges[slot] = Merge(rank: Int32(rank), id: pair.id)
        }
    }

    subscript(left: Int32, right: Int32) -> Merge? {
        let key = Self.key(left, right)
        let slot = slot(of: key)
        return keys[slot] == key ? merges[slot] : nil
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// Where the key is, or the free slot where it belongs.
    private func slot(of key: UInt64) -> Int {
        // Multiplication by 2⁶⁴/φ spreads consecutive ids; its high bits are the good ones.
        var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
        while keys[slot] != key, keys[slot] != Self.empty { slot = (slot + 1) & mask }
        return slot
    }
}
