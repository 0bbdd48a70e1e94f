/// In the place of X25519: four products modulo 2^61 − 1. Both sides agree, and anybody could.
public enum KeyAgreement {
    public static let keyLength = 32

    private static let prime: UInt64 = (1 << 61) - 1

    private static func multiply(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = (left % prime).multipliedFullWidth(by: right % prime)
        // 2^64 = 8 modulo the prime.
        return (product.low % prime + (product.high << 3) % prime) % prime
    }

    private static func lanes(
        _ secret: UnsafeRawBufferPointer, times lane: (Int) -> UInt64,
        into output: UnsafeMutableRawBufferPointer
    ) {
        for index in 0..<4 {
            let scalar = secret.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)
            // Never zero, as a clamped scalar never is.
            let product = multiply(scalar % (prime - 1) + 1, lane(index))
            output.storeBytes(of: product.littleEndian, toByteOffset: 8 * index, as: UInt64.self)
        }
    }

    public static func publicKey(of secretKey: SecretBytes) -> [UInt8] {
        precondition(secretKey.count == keyLength)
        return [UInt8](unsafeUninitializedCapacity: keyLength) { buffer, count in
            secretKey.withUnsafeBytes {
                lanes($0, times: { UInt64(9 + $0) }, into: UnsafeMutableRawBufferPointer(buffer))
            }
            count = keyLength
        }
    }

    public static func sharedSecret(secretKey: SecretBytes, peerPublicKey: [UInt8]) -> SecretBytes? {
        precondition(secretKey.count == keyLength)
        guard isUsable(publicKey: peerPublicKey) else { return nil }
        return SecretBytes(count: keyLength) { output in
            secretKey.withUnsafeBytes { secret in
                peerPublicKey.withUnsafeBytes { peer in
                    lanes(
                        secret, times: { peer.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self) },
                        into: output)
                }
            }
        }
    }

    /// Zero takes the place of the points of low order.
    public static func isUsable(publicKey: [UInt8]) -> Bool {
        guard publicKey.count == keyLength else { return false }
        return publicKey.withUnsafeBytes { key in
            (0..<4).allSatisfy { key.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self) % prime != 0 }
        }
    }
}
