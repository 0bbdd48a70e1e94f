/// In the place of BLAKE2b-256.
public struct Hasher256: ~Copyable {
    private var hash = ToyHash()

    public init() {}

    public mutating func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bytes) }

    public mutating func update(_ bytes: some Collection<UInt8>) {
        let done: Void? = bytes.withContiguousStorageIfAvailable { hash.update(UnsafeRawBufferPointer($0)) }
        if done == nil { hash.update(Array(bytes)) }
    }

    public mutating func updateLengthPrefixed(_ bytes: [UInt8]) {
        withUnsafeBytes(of: UInt32(bytes.count).littleEndian) { hash.update($0) }
        hash.update(bytes)
    }

    public consuming func finish() -> Digest { Digest(unchecked: hash.finishBytes()) }
}
