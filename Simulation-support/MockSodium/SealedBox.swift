/// In the place of XChaCha20-Poly1305.
public enum SealedBox {
    public static let keyLength = 32
    public static let nonceLength = 24
    public static let tagLength = 16

    public static func seal(
        _ plaintext: SecretBytes, key: SecretBytes, associatedData: [UInt8], nonce: [UInt8]
    ) -> [UInt8] {
        precondition(key.count == keyLength && nonce.count == nonceLength)
        let ciphertext = plaintext.withUnsafeBytes { combine($0, key, nonce) }
        return nonce + ciphertext + tag(ciphertext[...], key, nonce, associatedData)
    }

    public static func open(
        _ box: [UInt8], key: SecretBytes, associatedData: [UInt8]
    ) -> SecretBytes? {
        precondition(key.count == keyLength)
        guard box.count > nonceLength + tagLength else { return nil }
        let nonce = Array(box[..<nonceLength])
        let ciphertext = box[nonceLength..<box.count - tagLength]
        guard tag(ciphertext, key, nonce, associatedData) == Array(box.suffix(tagLength)) else { return nil }
        return SecretBytes(copying: Array(ciphertext).withUnsafeBytes { combine($0, key, nonce) })
    }

    private static func combine(
        _ bytes: UnsafeRawBufferPointer, _ key: SecretBytes, _ nonce: [UInt8]
    ) -> [UInt8] {
        var hash = ToyHash(domain: 3)
        key.withUnsafeBytes { hash.update($0) }
        hash.update(nonce)
        let seed = hash.finish()
        return bytes.enumerated().map { index, byte in
            byte ^ UInt8(truncatingIfNeeded: toyMix(seed.0 ^ seed.1 &+ UInt64(index / 8)) >> (index % 8 * 8))
        }
    }

    private static func tag(
        _ ciphertext: ArraySlice<UInt8>, _ key: SecretBytes, _ nonce: [UInt8], _ associatedData: [UInt8]
    ) -> [UInt8] {
        var hash = ToyHash(domain: 4)
        key.withUnsafeBytes { hash.update($0) }
        hash.update(nonce)
        hash.update(UInt64(associatedData.count))
        hash.update(associatedData)
        ciphertext.withUnsafeBytes { hash.update($0) }
        return Array(hash.finishBytes()[..<tagLength])
    }
}
