/// In the place of an Ed25519 public key.
public struct VerifyingKey: Hashable, Sendable {
    public static let length = 32
    public static let signatureLength = 64

    public let bytes: [UInt8]

    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.length else { return nil }
        self.bytes = Array(bytes)
    }

    public func accepts(signature: [UInt8], over message: [UInt8]) -> Bool {
        signature == toySignature(self, message)
    }
}

/// Anybody who knows the public key could make it; the simulator's liars do not.
private func toySignature(_ key: VerifyingKey, _ message: [UInt8]) -> [UInt8] {
    var hash = ToyHash(domain: 5)
    hash.update(key.bytes)
    hash.update(message)
    let half = hash.finishBytes()
    return half + half.reversed()
}

extension VerifyingKey: CustomStringConvertible {
    public var description: String { hexString(bytes) }
}

/// In the place of an Ed25519 key pair.
public struct SigningKey: Sendable {
    public static let seedLength = 32

    public let verifyingKey: VerifyingKey
    private let seed: SecretBytes

    public init(seed: SecretBytes) {
        precondition(seed.count == Self.seedLength)
        var hash = ToyHash(domain: 6)
        seed.withUnsafeBytes { hash.update($0) }
        self.seed = seed
        verifyingKey = VerifyingKey(bytes: hash.finishBytes())!
    }

    public init(generatedBy source: inout some RandomSource) {
        self.init(seed: SecretBytes(random: Self.seedLength, from: &source))
    }

    public func withSeed<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try seed.withUnsafeBytes(body)
    }

    public func sign(_ message: [UInt8]) -> [UInt8] { toySignature(verifyingKey, message) }
}

extension SigningKey: CustomStringConvertible {
    public var description: String { "SigningKey(public \(verifyingKey), secret <redacted>)" }
}
