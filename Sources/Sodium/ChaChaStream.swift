import CSodium

/// The ChaCha20-IETF key stream (RFC 8439), nonce 0, addressable at any byte offset.
///
/// A key must serve one stream only: the fixed nonce is safe because every key is derived for a
/// single purpose. Holds at most 2^32 blocks of 64 bytes (256 GiB).
public struct ChaChaStream: Sendable {
    public static let keyLength = 32
    public static let blockLength = 64

    private let key: SecretBytes

    public init(key: SecretBytes) {
        precondition(key.count == Self.keyLength)
        SodiumLibrary.ensureReady()
        self.key = key
    }

    /// Overwrites `output` with the key stream from `offset`, a multiple of 64 bytes.
    public func generate(into output: UnsafeMutableRawBufferPointer, atByteOffset offset: UInt64) {
        precondition(offset % UInt64(Self.blockLength) == 0, "the stream is seekable by block")
        let firstBlock = offset / UInt64(Self.blockLength)
        let blocks = (UInt64(output.count) + UInt64(Self.blockLength) - 1) / UInt64(Self.blockLength)
        precondition(firstBlock + blocks <= 1 << 32, "the key's stream is exhausted")
        guard let base = output.baseAddress else { return }
        // XOR of zeros: libsodium's plain keystream call cannot start at a given block. Reading zeros that
        // stay in the cache is cheaper than clearing the output first.
        for start in stride(from: 0, to: output.count, by: Self.zeroCount) {
            xor(
                base + start, count: min(Self.zeroCount, output.count - start),
                firstBlock: UInt32(firstBlock) + UInt32(start / Self.blockLength))
        }
    }

    private static let zeroCount = 8 << 10
    // Written when it is made and never again.
    nonisolated(unsafe) private static let zeros: UnsafePointer<UInt8> = {
        let zeros = UnsafeMutablePointer<UInt8>.allocate(capacity: zeroCount)
        zeros.initialize(repeating: 0, count: zeroCount)
        return UnsafePointer(zeros)
    }()

    private func xor(_ base: UnsafeMutableRawPointer, count: Int, firstBlock: UInt32) {
        let bytes = base.assumingMemoryBound(to: UInt8.self)
        key.withUnsafeBytes { keyBytes in
            withUnsafeTemporaryAllocation(
                of: UInt8.self, capacity: Int(crypto_stream_chacha20_ietf_NONCEBYTES)
            ) { nonce in
                nonce.initialize(repeating: 0)
                let status = crypto_stream_chacha20_ietf_xor_ic(
                    bytes, Self.zeros, UInt64(count), nonce.baseAddress!, firstBlock,
                    keyBytes.baseAddress!.assumingMemoryBound(to: UInt8.self))
                precondition(status == 0)
            }
        }
    }
}
