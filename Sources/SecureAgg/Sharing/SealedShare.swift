import Sodium

/// The two shares that one dealer gives one holder, and the box they travel in.
enum SealedShare {
    /// Self-mask share ‖ mask-seed share.
    static let plaintextLength = 2 * Shamir.shareLength
    /// nonce 24 ‖ ciphertext 64 ‖ tag 16.
    static let length = SealedBox.nonceLength + plaintextLength + SealedBox.tagLength

    static func seal(
        selfMask: UnsafeRawBufferPointer, maskSeed: UnsafeRawBufferPointer, key: SecretBytes,
        session: Digest, from: Int, to: Int, random: inout some RandomSource
    ) -> [UInt8] {
        let plaintext = SecretBytes(count: plaintextLength) { output in
            output.baseAddress!.copyMemory(from: selfMask.baseAddress!, byteCount: Shamir.shareLength)
            (output.baseAddress! + Shamir.shareLength)
                .copyMemory(from: maskSeed.baseAddress!, byteCount: Shamir.shareLength)
        }
        return SealedBox.seal(
            plaintext, key: key,
            associatedData: Derivation.shareAssociatedData(session: session, from: from, to: to),
            random: &random)
    }

    /// The two shares, or nil when the box is not the one that `from` sealed for `to` in this session
    /// or holds numbers outside the field.
    static func open(
        _ box: [UInt8], key: SecretBytes, session: Digest, from: Int, to: Int
    ) -> SecretBytes? {
        guard box.count == length,
            let shares = SealedBox.open(
                box, key: key,
                associatedData: Derivation.shareAssociatedData(session: session, from: from, to: to))
        else { return nil }
        let valid = shares.withUnsafeBytes { bytes in
            [0, Shamir.shareLength].allSatisfy { start in
                FieldElement(
                    canonical: UnsafeRawBufferPointer(
                        rebasing: bytes[start..<start + Shamir.shareLength])) != nil
            }
        }
        return valid ? shares : nil
    }
}
