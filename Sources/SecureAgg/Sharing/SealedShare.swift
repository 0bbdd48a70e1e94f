import Sodium

/// The shares that one dealer gives one holder, and the box they travel in: self-mask share ‖ mask-seed
/// share ‖ one share for each level of removable noise, 32 bytes each.
enum SealedShare {
    static func plaintextLength(shares: Int) -> Int { shares * Shamir.shareLength }

    /// nonce 24 ‖ ciphertext ‖ tag 16.
    static func length(shares: Int) -> Int {
        SealedBox.nonceLength + plaintextLength(shares: shares) + SealedBox.tagLength
    }

    static func seal(
        _ shares: SecretBytes, key: SecretBytes, session: Digest, from: Int, to: Int, nonce: [UInt8]
    ) -> [UInt8] {
        SealedBox.seal(
            shares, key: key,
            associatedData: Derivation.shareAssociatedData(session: session, from: from, to: to),
            nonce: nonce)
    }

    /// The shares, or nil when the box is not the one that `from` sealed for `to` in this session or holds
    /// numbers outside the field.
    static func open(
        _ box: [UInt8], shares count: Int, key: SecretBytes, session: Digest, from: Int, to: Int
    ) -> SecretBytes? {
        guard box.count == length(shares: count),
            let shares = SealedBox.open(
                box, key: key,
                associatedData: Derivation.shareAssociatedData(session: session, from: from, to: to))
        else { return nil }
        let valid = (0..<count).allSatisfy { slot in
            shares.withShare(slot) { FieldElement(canonical: $0) != nil }
        }
        return valid ? shares : nil
    }
}
