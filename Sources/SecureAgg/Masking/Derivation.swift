import Sodium

/// Every key of the protocol, each from its secret, its label and the session.
package enum Derivation {
    /// The X25519 secret behind a mask key; whoever rebuilds the seed can recompute the public key.
    package static func maskSecret(seed: SecretBytes) -> SecretBytes {
        KeyDerivation.hkdf(salt: [], inputKey: seed, info: Labels.maskSecretKey.bytes)
    }

    /// H(manifest digest, cohort root): enters every other key, so clients shown different rounds or
    /// cohorts hold unrelated masks.
    package static func session(manifest: Digest, cohortRoot: Digest) -> Digest {
        Labels.session.hash([manifest.bytes, cohortRoot.bytes])
    }

    /// The stream key of the mask between two members; both sides get the same. Nil for a low-order key.
    package static func pairMask(
        session: Digest, own: Int, peer: Int, ownSecret: SecretBytes, ownKey: [UInt8], peerKey: [UInt8]
    ) -> SecretBytes? {
        let ownFirst = own < peer
        let info =
            Labels.pairMask.bytes + ByteOrder.bytes(min(own, peer)) + ByteOrder.bytes(max(own, peer))
            + (ownFirst ? ownKey + peerKey : peerKey + ownKey)
        return KeyAgreement.sharedSecret(secretKey: ownSecret, peerPublicKey: peerKey).map {
            KeyDerivation.hkdf(salt: session.bytes, inputKey: $0, info: info)
        }
    }

    /// The stream key of a member's own mask.
    package static func selfMask(session: Digest, member: Int, seed: SecretBytes) -> SecretBytes {
        KeyDerivation.hkdf(
            salt: session.bytes, inputKey: seed, info: Labels.selfMask.bytes + ByteOrder.bytes(member))
    }

    /// The key that seals the shares `from` sends to `to`; the other direction has another key.
    package static func channel(
        session: Digest, from: Int, to: Int, agreed: SecretBytes, fromKey: [UInt8], toKey: [UInt8]
    ) -> SecretBytes {
        let info =
            Labels.channel.bytes + ByteOrder.bytes(from) + ByteOrder.bytes(to) + fromKey + toKey
        return KeyDerivation.hkdf(salt: session.bytes, inputKey: agreed, info: info)
    }

    /// The commitment that ties a self-mask seed to its member and session; the seed has 248 bits of
    /// entropy, so the commitment hides it.
    package static func selfMaskCommitment(session: Digest, member: Int, seed: SecretBytes) -> Digest {
        var hasher = Hasher256()
        hasher.updateLengthPrefixed(Labels.commitSelfMask.bytes)
        hasher.updateLengthPrefixed(session.bytes)
        hasher.updateLengthPrefixed(ByteOrder.bytes(member))
        hasher.update(ByteOrder.bytes(seed.count))
        seed.withUnsafeBytes { hasher.update($0) }
        return hasher.finish()
    }

    /// The commitment to the noise seed of one level, hiding and binding like the self-mask's.
    package static func noiseCommitment(
        session: Digest, member: Int, level: Int, seed: SecretBytes
    ) -> Digest {
        var hasher = Hasher256()
        hasher.updateLengthPrefixed(Labels.commitNoise.bytes)
        hasher.updateLengthPrefixed(session.bytes)
        hasher.updateLengthPrefixed(ByteOrder.bytes(member))
        hasher.updateLengthPrefixed(ByteOrder.bytes(level))
        hasher.update(ByteOrder.bytes(seed.count))
        seed.withUnsafeBytes { hasher.update($0) }
        return hasher.finish()
    }

    package static func shareAssociatedData(session: Digest, from: Int, to: Int) -> [UInt8] {
        Labels.shareAssociatedData.hash([session.bytes, ByteOrder.bytes(from), ByteOrder.bytes(to)]).bytes
    }
}
