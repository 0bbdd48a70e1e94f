import Sodium

/// A Merkle tree in the shape of RFC 6962 with BLAKE2b-256: leaves hash 0x00 ‖ data, nodes
/// 0x01 ‖ left ‖ right, the left subtree being the largest power of two that leaves a right one.
package struct MerkleTree {
    private let leaves: [Digest]

    /// A tree over at least one leaf's data.
    package init(_ data: [[UInt8]]) {
        precondition(!data.isEmpty)
        leaves = data.map(Self.leaf)
    }

    package var root: Digest { Self.root(leaves[...]) }

    /// The siblings from the leaf at `index` up to the root.
    package func path(to index: Int) -> [Digest] {
        var path: [Digest] = []
        Self.collect(leaves[...], index, into: &path)
        return path
    }

    /// Whether `path` connects `data`, as leaf `index` of `count`, to `root`.
    package static func verify(
        _ data: [UInt8], index: Int, count: Int, path: [Digest], root: Digest
    ) -> Bool {
        guard (0..<count).contains(index) else { return false }
        // Sides from the root down, as the tree is not balanced; applied from the leaf up.
        var leafIsLeft: [Bool] = []
        var (low, high) = (0, count)
        while high - low > 1 {
            let middle = low + split(high - low)
            leafIsLeft.append(index < middle)
            if index < middle { high = middle } else { low = middle }
        }
        guard path.count == leafIsLeft.count else { return false }
        var digest = leaf(data)
        for (sibling, isLeft) in zip(path, leafIsLeft.reversed()) {
            digest = isLeft ? node(digest, sibling) : node(sibling, digest)
        }
        return digest == root
    }

    private static func leaf(_ data: [UInt8]) -> Digest { hash(0, [data]) }

    private static func node(_ left: Digest, _ right: Digest) -> Digest {
        hash(1, [left.bytes, right.bytes])
    }

    private static func hash(_ prefix: UInt8, _ parts: [[UInt8]]) -> Digest {
        var hasher = Hasher256()
        hasher.update([prefix])
        for part in parts { hasher.update(part) }
        return hasher.finish()
    }

    private static func split(_ count: Int) -> Int {
        // The largest power of two below count ≥ 2.
        1 << (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount)
    }

    private static func root(_ leaves: ArraySlice<Digest>) -> Digest {
        guard leaves.count > 1 else { return leaves.first! }
        let middle = leaves.startIndex + split(leaves.count)
        return node(root(leaves[..<middle]), root(leaves[middle...]))
    }

    private static func collect(
        _ leaves: ArraySlice<Digest>, _ index: Int, into path: inout [Digest]
    ) {
        guard leaves.count > 1 else { return }
        let middle = leaves.startIndex + split(leaves.count)
        if leaves.startIndex + index < middle {
            collect(leaves[..<middle], index, into: &path)
            path.append(root(leaves[middle...]))
        } else {
            collect(leaves[middle...], index - (middle - leaves.startIndex), into: &path)
            path.append(root(leaves[..<middle]))
        }
    }
}
