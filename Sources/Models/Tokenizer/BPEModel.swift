/// Byte-pair encoding of one word: characters become tokens, then neighbours are joined in the order
/// of the merge list until none can be.
///
/// Follows the `tokenizers` package decision by decision (its `models/bpe/{model,word}.rs`), since
/// token ids must be the same.
struct BPEModel: Sendable {
    /// Token texts by id; nil where the vocabulary has a gap.
    let tokens: [String?]
    private let ids: [ByteString: Int32]
    /// Tokens of one scalar.
    private let scalarIDs: [Unicode.Scalar: Int32]
    /// The 256 tokens `<0x00>`…`<0xFF>`, nil where the vocabulary lacks one.
    private let byteIDs: [Int32?]
    private let merges: MergeTable
    private let unknownID: Int32?
    private let fusesUnknown: Bool
    private let fallsBackToBytes: Bool
    /// A word that is a token as a whole is not taken apart.
    private let ignoresMerges: Bool

    struct Options {
        var unknownID: Int32?
        var fusesUnknown = false
        var fallsBackToBytes = false
        var ignoresMerges = false
    }

    /// - Parameters:
    ///   - ids: the vocabulary; ids are not negative and distinct.
    ///   - merges: in order of rank.
    init(ids: [ByteString: Int32], merges: [(left: Int32, right: Int32, id: Int32)], options: Options) {
        var tokens = [String?](repeating: nil, count: Int(ids.values.max() ?? -1) + 1)
        var scalarIDs: [Unicode.Scalar: Int32] = [:]
        for (token, id) in ids {
            let text = token.string
            tokens[Int(id)] = text
            let scalars = text.unicodeScalars
            if scalars.count == 1 { scalarIDs[scalars.first!] = id }
        }
        self.tokens = tokens
        self.ids = ids
        self.scalarIDs = scalarIDs
        self.merges = MergeTable(merges)
        byteIDs = (0...255).map { ids[ByteString(Self.byteToken(UInt8($0)))] }
        unknownID = options.unknownID
        fusesUnknown = options.fusesUnknown
        fallsBackToBytes = options.fallsBackToBytes
        ignoresMerges = options.ignoresMerges
    }

    func id(of token: String) -> Int32? { ids[ByteString(token)] }

    static func byteToken(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return "<0x\(digits.count == 1 ? "0" : "")\(digits)>"
    }

    /// Appends the tokens of one word.
    func encode(_ word: ArraySlice<Unicode.Scalar>, into result: inout [Int32]) {
        if ignoresMerges {
            var text = String.UnicodeScalarView()
            text.append(contentsOf: word)
            if let id = ids[ByteString(String(text))] {
                result.append(id)
                return
            }
        }
        var symbols = self.symbols(word)
        if symbols.count > 1 { merge(&symbols) }
        result.append(contentsOf: symbols)
    }

    /// One token per character, or what stands in for a character without a token.
    private func symbols(_ word: ArraySlice<Unicode.Scalar>) -> [Int32] {
        var symbols: [Int32] = []
        symbols.reserveCapacity(word.count)
        // An unknown character is written when the next known one is met, so that a run can be fused.
        var pending: Int32?
        for scalar in word {
            if let id = scalarIDs[scalar] {
                if let unknown = pending { symbols.append(unknown) }
                pending = nil
                symbols.append(id)
                continue
            }
            if fallsBackToBytes {
                let bytes = scalar.utf8Bytes.compactMap { byteIDs[Int($0)] }
                if bytes.count == UTF8.width(scalar) {
                    symbols += bytes
                    continue
                }
            }
            if let unknownID {
                if let unknown = pending, !fusesUnknown { symbols.append(unknown) }
                pending = unknownID
            }
        }
        if let unknown = pending { symbols.append(unknown) }
        return symbols
    }

    /// Joins neighbours, lowest rank first, then leftmost. O(n log n) in the number of symbols.
    private func merge(_ symbols: inout [Int32]) {
        let count = symbols.count
        // Neighbours as a doubly linked list; a symbol joined into its left neighbour is dead.
        var next = Array(1...count)
        var previous = Array(-1..<count - 1)
        var isDead = [Bool](repeating: false, count: count)
        var queue = MergeQueue()
        for index in 0..<count - 1 {
            if let merge = merges[symbols[index], symbols[index + 1]] { queue.push(merge, at: index) }
        }
        while let (position, id) = queue.pop() {
            if isDead[position] || next[position] == count { continue }
            let right = next[position]
            // The entry is stale if the pair now yields another token.
            guard let merge = merges[symbols[position], symbols[right]], merge.id == id else { continue }
            symbols[position] = id
            isDead[right] = true
            next[position] = next[right]
            if next[right] < count { previous[next[right]] = position }
            let left = previous[position]
            if left >= 0, let merge = merges[symbols[left], id] { queue.push(merge, at: left) }
            let following = next[position]
            if following < count, let merge = merges[id, symbols[following]] {
                queue.push(merge, at: position)
            }
        }
        var kept = 0
        for index in 0..<count where !isDead[index] {
            symbols[kept] = symbols[index]
            kept += 1
        }
        symbols.removeLast(count - kept)
    }
}

/// A binary heap of possible merges, ordered by rank, then by position.
private struct MergeQueue {
    private var heap: [(key: UInt64, id: Int32)] = []

    mutating func push(_ merge: MergeTable.Merge, at position: Int) {
        heap.append((UInt64(UInt32(merge.rank)) << 32 | UInt64(position), merge.id))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if heap[parent].key <= heap[child].key { break }
            heap.swapAt(parent, child)
            child = parent
        }
    }

    mutating func pop() -> (position: Int, id: Int32)? {
        guard let top = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            siftDown()
        }
        return (Int(top.key & 0xFFFF_FFFF), top.id)
    }

    private mutating func siftDown() {
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { return }
            if child + 1 < heap.count, heap[child + 1].key < heap[child].key { child += 1 }
            if heap[parent].key <= heap[child].key { return }
            heap.swapAt(parent, child)
            parent = child
        }
    }
}
