import CSodium

/// The operating system's generator, through libsodium.
public struct SystemRandom: RandomSource, Sendable {
    public init() {
        SodiumLibrary.ensureReady()
    }

    public mutating func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        guard let base = buffer.baseAddress else { return }
        randombytes_buf(base, buffer.count)
    }
}
