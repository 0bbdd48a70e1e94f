import CSodium

/// An Ed25519 public key (RFC 8032) of 32 bytes.
public struct VerifyingKey: Hashable, Sendable {
    public static let length = 32
    public static let signatureLength = 64

    public let bytes: [UInt8]

    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.length else { return nil }
        self.bytes = Array(bytes)
    }

    /// Whether `signature` is this key's signature over exactly `message`.
    public func accepts(signature: [UInt8], over message: [UInt8]) -> Bool {
        guard signature.count == Self.signatureLength else { return false }
        SodiumLibrary.ensureReady()
        return crypto_sign_verify_detached(signature, message, UInt64(message.count), bytes) == 0
    }
}

extension VerifyingKey: CustomStringConvertible {
    public var description: String { hexString(bytes) }
}

/// An Ed25519 key pair; the secret half stays in `SecretBytes`.
public struct SigningKey: Sendable {
    public static let seedLength = 32

    public let verifyingKey: VerifyingKey
    private let secretKey: SecretBytes
    private let seed: SecretBytes

    /// The key pair of a 32-byte seed.
    public init(seed: SecretBytes) {
        precondition(seed.count == Self.seedLength)
        SodiumLibrary.ensureReady()
        var publicKey = [UInt8](repeating: 0, count: VerifyingKey.length)
        secretKey = SecretBytes(count: Int(crypto_sign_SECRETKEYBYTES)) { secret in
            seed.withUnsafeBytes {
                let status = crypto_sign_seed_keypair(
                    &publicKey, secret.baseAddress!.assumingMemoryBound(to: UInt8.self),
                    $0.baseAddress!.assumingMemoryBound(to: UInt8.self))
                precondition(status == 0)
            }
        }
        self.seed = seed
        self.verifyingKey = VerifyingKey(bytes: publicKey)!
    }

    public init(generatedBy source: inout some RandomSource) {
        self.init(seed: SecretBytes(random: Self.seedLength, from: &source))
    }

    /// Lends the seed, for writing a key file.
    public func withSeed<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try seed.withUnsafeBytes(body)
    }

    /// A deterministic 64-byte signature over `message`.
    public func sign(_ message: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: VerifyingKey.signatureLength) { buffer, count in
            let status = secretKey.withUnsafeBytes {
                crypto_sign_detached(
                    buffer.baseAddress!, nil, message, UInt64(message.count),
                    $0.baseAddress!.assumingMemoryBound(to: UInt8.self))
            }
            precondition(status == 0)
            count = VerifyingKey.signatureLength
        }
    }
}

extension SigningKey: CustomStringConvertible {
    public var description: String { "SigningKey(public \(verifyingKey), secret <redacted>)" }
}
