import CSodium

/// libsodium's own ChaCha20-IETF stream with nothing around it: the limit that mask speeds are measured
/// against. The key is public; not for use as a mask.
public enum RawChaCha20 {
    private static let key = [UInt8](repeating: 0x42, count: Int(crypto_stream_chacha20_ietf_KEYBYTES))
    private static let nonce = [UInt8](repeating: 0, count: Int(crypto_stream_chacha20_ietf_NONCEBYTES))

    /// Overwrites `buffer` with the stream's first bytes.
    public static func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        guard let base = buffer.baseAddress else { return }
        SodiumLibrary.ensureReady()
        let status = crypto_stream_chacha20_ietf(
            base.assumingMemoryBound(to: UInt8.self), UInt64(buffer.count), nonce, key)
        precondition(status == 0)
    }
}
