import CSodium

/// BLAKE2b-256 over bytes that arrive in pieces.
public struct Hasher256: ~Copyable {
    // libsodium keeps the state's layout to itself: 384 bytes, aligned to 64.
    private let state: OpaquePointer

    public init() {
        SodiumLibrary.ensureReady()
        state = OpaquePointer(
            UnsafeMutableRawPointer.allocate(
                byteCount: crypto_generichash_statebytes(), alignment: 64))
        precondition(crypto_generichash_init(state, nil, 0, Digest.length) == 0)
    }

    deinit {
        UnsafeMutableRawPointer(state).deallocate()
    }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        crypto_generichash_update(
            state, base.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count))
    }

    public mutating func update(_ bytes: some Collection<UInt8>) {
        let done: Void? = bytes.withContiguousStorageIfAvailable { update(UnsafeRawBufferPointer($0)) }
        if done == nil { Array(bytes).withUnsafeBytes { update($0) } }
    }

    public mutating func updateLengthPrefixed(_ bytes: [UInt8]) {
        update(littleEndianBytes(UInt32(bytes.count)))
        update(bytes)
    }

    public consuming func finish() -> Digest {
        let bytes = [UInt8](unsafeUninitializedCapacity: Digest.length) { buffer, count in
            crypto_generichash_final(state, buffer.baseAddress!, Digest.length)
            count = Digest.length
        }
        return Digest(unchecked: bytes)
    }
}
