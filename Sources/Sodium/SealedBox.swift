import CSodium

/// XChaCha20-Poly1305 with associated data: what one neighbour may read and nobody else may alter.
public enum SealedBox {
    public static let keyLength = 32
    public static let nonceLength = 24
    public static let tagLength = 16

    /// Encrypts; the result is nonce ‖ ciphertext ‖ tag, 40 bytes longer than the plaintext.
    ///
    /// - Parameter nonce: 24 random bytes that this key was never used with. The caller draws them, so that
    ///   many boxes can be sealed at once.
    public static func seal(
        _ plaintext: SecretBytes, key: SecretBytes, associatedData: [UInt8], nonce: [UInt8]
    ) -> [UInt8] {
        precondition(key.count == keyLength && nonce.count == nonceLength)
        SodiumLibrary.ensureReady()
        var ciphertext = [UInt8](repeating: 0, count: plaintext.count + tagLength)
        plaintext.withUnsafeBytes { message in
            key.withUnsafeBytes { keyBytes in
                let status = crypto_aead_xchacha20poly1305_ietf_encrypt(
                    &ciphertext, nil, message.baseAddress!.assumingMemoryBound(to: UInt8.self),
                    UInt64(message.count), associatedData, UInt64(associatedData.count), nil, nonce,
                    keyBytes.baseAddress!.assumingMemoryBound(to: UInt8.self))
                precondition(status == 0)
            }
        }
        return nonce + ciphertext
    }

    /// Decrypts; nil when the box was made for another key or other associated data, or was altered.
    public static func open(
        _ box: [UInt8], key: SecretBytes, associatedData: [UInt8]
    ) -> SecretBytes? {
        precondition(key.count == keyLength)
        guard box.count > nonceLength + tagLength else { return nil }
        SodiumLibrary.ensureReady()
        let nonce = Array(box[..<nonceLength])
        let ciphertext = Array(box[nonceLength...])
        var opened = false
        let plaintext = SecretBytes(count: ciphertext.count - tagLength) { output in
            key.withUnsafeBytes { keyBytes in
                opened =
                    crypto_aead_xchacha20poly1305_ietf_decrypt(
                        output.baseAddress!.assumingMemoryBound(to: UInt8.self), nil, nil,
                        ciphertext, UInt64(ciphertext.count), associatedData,
                        UInt64(associatedData.count), nonce,
                        keyBytes.baseAddress!.assumingMemoryBound(to: UInt8.self)) == 0
            }
        }
        return opened ? plaintext : nil
    }
}
