import Foundation
import Sodium

/// The digests that stand for one client's masked vector.
enum VectorDigest {
    static func chunk(session: Digest, member: Int, index: Int, packed: [UInt8]) -> Digest {
        Labels.maskedChunk.hash([
            session.bytes, ByteOrder.bytes(member), ByteOrder.bytes(index), packed,
        ])
    }

    /// The Merkle root over a vector's chunk digests.
    static func root(_ chunks: [Digest]) -> Digest { MerkleTree(chunks.map(\.bytes)).root }

    /// One survivor's leaf in the tree that everyone signs: LP(index) ‖ LP(vector root).
    static func survivorLeaf(member: Int, root: Digest) -> [UInt8] {
        lengthPrefixed(ByteOrder.bytes(member)) + lengthPrefixed(root.bytes)
    }
}

/// The signed digests of one member's masked vector, as sent and as read.
struct VectorHeader: Sendable {
    let body: [UInt8]
    let signature: [UInt8]
    let chunkDigests: [Digest]

    /// Nil unless the body lists exactly `chunkCount` digests.
    init?(body: [UInt8], signature: [UInt8], chunkCount: Int) {
        guard let wire = try? decodeWire(body) as Secagg_V1_MaskedHeader,
            wire.chunkDigests.count == chunkCount * Digest.length
        else { return nil }
        let bytes = [UInt8](wire.chunkDigests)
        self.body = body
        self.signature = signature
        chunkDigests = (0..<chunkCount).map {
            Digest(bytes: bytes[$0 * Digest.length..<($0 + 1) * Digest.length])!
        }
    }

    var root: Digest { VectorDigest.root(chunkDigests) }
}
