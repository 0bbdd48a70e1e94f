import Sodium

/// A Merkle tree in the shape of RFC 6962 with BLAKE2b-256: leaves hash 0x00 ‖ data, nodes
/// 0x01 ‖ left ‖ right.
///
/// The RFC splits at the largest power of two from the top; from the bottom that is pairing neighbours
/// on each level and moving an unpaired last node up unchanged.
package struct MerkleTree {
    /// Leaves first, the root alone in the last level.
    private let levels: [[Digest]]

    /// A tree over at least one leaf's data.
    package init(_ data: [[UInt8]]) { self.init(leaves: data.map(Self.leaf)) }

    /// A tree over at least one leaf, each hashed by `leaf`.
    package init(leaves: [Digest]) {
        precondition(!leaves.isEmpty)
        var levels = [leaves]
        while let last = levels.last, last.count > 1 {
            levels.append(
                stride(from: 0, to: last.count, by: 2).map { index in
                    index + 1 < last.count ? Self.node(last[index], last[index + 1]) : last[index]
                })
        }
        self.levels = levels
    }

    package var root: Digest { levels.last![0] }

    /// The siblings from the leaf at `index` up to the root.
    package func path(to index: Int) -> [Digest] {
        var place = index
        return levels.dropLast().compactMap { level in
            defer { place /= 2 }
            let sibling = place ^ 1
            return sibling < level.count ? level[sibling] : nil
        }
    }

    /// Whether `path` connects `data`, as leaf `index` of `count`, to `root`.
    package static func verify(
        _ data: [UInt8], index: Int, count: Int, path: [Digest], root: Digest
    ) -> Bool {
        guard (0..<count).contains(index) else { return false }
        var digest = leaf(data)
        var siblings = path[...]
        var (place, width) = (index, count)
        while width > 1 {
            if place ^ 1 < width {
                guard let sibling = siblings.popFirst() else { return false }
                digest = place.isMultiple(of: 2) ? node(digest, sibling) : node(sibling, digest)
            }
            (place, width) = (place / 2, (width + 1) / 2)
        }
        return siblings.isEmpty && digest == root
    }

    package static func leaf(_ data: [UInt8]) -> Digest { hash(0, [data]) }

    private static func node(_ left: Digest, _ right: Digest) -> Digest {
        hash(1, [left.bytes, right.bytes])
    }

    private static func hash(_ prefix: UInt8, _ parts: [[UInt8]]) -> Digest {
        var hasher = Hasher256()
        hasher.update([prefix])
        for part in parts { hasher.update(part) }
        return hasher.finish()
    }
}
