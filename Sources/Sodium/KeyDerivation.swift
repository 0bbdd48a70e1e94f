import CSodium

/// HKDF with HMAC-SHA-256 (RFC 5869).
public enum KeyDerivation {
    /// Derives `count` bytes (at most 255 · 32) from a secret.
    ///
    /// - Parameters:
    ///   - salt: public; empty means 32 zero bytes, as the RFC says.
    ///   - inputKey: the secret input keying material.
    ///   - info: the label and context that separate this key from every other.
    public static func hkdf(
        salt: [UInt8], inputKey: SecretBytes, info: [UInt8], count: Int = 32
    ) -> SecretBytes {
        precondition((1...255 * 32).contains(count))
        let extractKey = salt.isEmpty ? [UInt8](repeating: 0, count: 32) : salt
        let pseudoRandomKey = SecretBytes(count: 32) { output in
            extractKey.withUnsafeBytes { key in
                inputKey.withUnsafeBytes { hmacSHA256(key: key, parts: [$0], into: output) }
            }
        }
        return SecretBytes(count: count) { output in
            // T(i) = HMAC(PRK, T(i−1) ‖ info ‖ i)
            var previous = SecretBytes(count: 32) { _ in }
            var written = 0
            var counter: UInt8 = 1
            while written < count {
                let block = SecretBytes(count: 32) { blockBytes in
                    pseudoRandomKey.withUnsafeBytes { key in
                        previous.withUnsafeBytes { last in
                            info.withUnsafeBytes { context in
                                withUnsafeBytes(of: counter) { index in
                                    let chain = counter == 1 ? [context, index] : [last, context, index]
                                    hmacSHA256(key: key, parts: chain, into: blockBytes)
                                }
                            }
                        }
                    }
                }
                let take = min(32, count - written)
                block.withUnsafeBytes {
                    output.baseAddress!.advanced(by: written)
                        .copyMemory(from: $0.baseAddress!, byteCount: take)
                }
                previous = block
                written += take
                counter &+= 1
            }
        }
    }
}

/// HMAC-SHA-256 over the concatenation of `parts`; the state is wiped.
private func hmacSHA256(
    key: UnsafeRawBufferPointer, parts: [UnsafeRawBufferPointer],
    into output: UnsafeMutableRawBufferPointer
) {
    precondition(output.count == Int(crypto_auth_hmacsha256_BYTES))
    SodiumLibrary.ensureReady()
    var state = crypto_auth_hmacsha256_state()
    crypto_auth_hmacsha256_init(
        &state, key.baseAddress!.assumingMemoryBound(to: UInt8.self), key.count)
    for part in parts where part.count > 0 {
        crypto_auth_hmacsha256_update(
            &state, part.baseAddress!.assumingMemoryBound(to: UInt8.self), UInt64(part.count))
    }
    crypto_auth_hmacsha256_final(&state, output.baseAddress!.assumingMemoryBound(to: UInt8.self))
    withUnsafeMutableBytes(of: &state) { wipe($0) }
}
