import CSodium

/// X25519 key agreement (RFC 7748).
public enum KeyAgreement {
    public static let keyLength = 32

    /// The public half of a 32-byte secret scalar.
    public static func publicKey(of secretKey: SecretBytes) -> [UInt8] {
        precondition(secretKey.count == keyLength)
        SodiumLibrary.ensureReady()
        return [UInt8](unsafeUninitializedCapacity: keyLength) { buffer, count in
            secretKey.withUnsafeBytes {
                let status = crypto_scalarmult_base(
                    buffer.baseAddress!, $0.baseAddress!.assumingMemoryBound(to: UInt8.self))
                precondition(status == 0)
            }
            count = keyLength
        }
    }

    /// The shared point, or nil when the peer's key has low order (the peer is then lying).
    ///
    /// The raw output is not a key: it must go through `KeyDerivation` with both public keys in the info.
    public static func sharedSecret(secretKey: SecretBytes, peerPublicKey: [UInt8]) -> SecretBytes? {
        precondition(secretKey.count == keyLength)
        guard peerPublicKey.count == keyLength else { return nil }
        SodiumLibrary.ensureReady()
        var accepted = false
        let shared = SecretBytes(count: keyLength) { output in
            secretKey.withUnsafeBytes { secret in
                accepted =
                    crypto_scalarmult(
                        output.baseAddress!.assumingMemoryBound(to: UInt8.self),
                        secret.baseAddress!.assumingMemoryBound(to: UInt8.self),
                        peerPublicKey) == 0
            }
        }
        return accepted ? shared : nil
    }
}

extension KeyAgreement {
    /// Whether a peer's public key yields a shared secret at all: false for keys of low order, with
    /// which every agreement gives the same known value. Costs one scalar multiplication.
    public static func isUsable(publicKey: [UInt8]) -> Bool {
        guard publicKey.count == keyLength else { return false }
        SodiumLibrary.ensureReady()
        // Any scalar serves: clamping makes it a multiple of the cofactor, which low-order points do
        // not survive.
        let scalar = [UInt8](repeating: 1, count: keyLength)
        var shared = [UInt8](repeating: 0, count: keyLength)
        return crypto_scalarmult(&shared, scalar, publicKey) == 0
    }
}
