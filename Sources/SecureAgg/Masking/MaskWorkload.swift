import Sodium

/// The mask arithmetic of one client or one unmasking, alone: for measuring it against the raw stream.
public struct MaskWorkload {
    public let maskCount: Int
    public let dimension: Int
    private let modulusBits: Int
    private let terms: [MaskTerm]
    private let sum: MaskedSum

    /// - Parameter maskCount: k + 1 for one client, or all masks that a server takes off.
    public init(maskCount: Int, dimension: Int, modulusBits: Int) {
        precondition(maskCount >= 1 && dimension >= 1)
        self.maskCount = maskCount
        self.dimension = dimension
        self.modulusBits = modulusBits
        sum = MaskedSum(length: dimension, bits: modulusBits)
        // Public keys, as nothing is hidden here.
        terms = (0..<maskCount).map { index in
            let key = Digest.labelled("mask workload", [littleEndianBytes(UInt64(index))])
            return MaskTerm(
                key: SecretBytes(copying: key.bytes), sign: index.isMultiple(of: 2) ? .plus : .minus)
        }
        streamBytes = maskCount * dimension * (modulusBits <= 16 ? 2 : 4)
    }

    /// Bytes of ChaCha20 key stream that one run expands.
    public let streamBytes: Int

    /// Expands and adds every mask once.
    public func run(threads: Int) {
        sum.add(terms, threads: threads)
    }

    /// One client's whole masking: lifts `values`, adds every mask and packs the result.
    public func masked(_ values: [Int32], threads: Int) -> [UInt8] {
        precondition(values.count == dimension)
        func packed<Lane: RingLane>(_ plain: RingVector<Lane>) -> [UInt8] {
            var vector = plain
            MaskSum.add(terms, to: &vector, threads: threads)
            return vector.packed(0..<dimension)
        }
        return modulusBits <= 16
            ? packed(RingVector<UInt16>(values, bits: modulusBits))
            : packed(RingVector<UInt32>(values, bits: modulusBits))
    }
}
