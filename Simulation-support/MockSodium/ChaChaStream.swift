/// In the place of the ChaCha20 key stream: a counter through a 64-bit mixing function.
public struct ChaChaStream: Sendable {
    public static let keyLength = 32
    public static let blockLength = 64

    private let start: UInt64
    private let step: UInt64

    public init(key: SecretBytes) {
        precondition(key.count == Self.keyLength)
        var hash = ToyHash(domain: 1)
        key.withUnsafeBytes { hash.update($0) }
        let words = hash.finish()
        start = words.0 ^ words.2
        step = (words.1 ^ words.3) | 1
    }

    public func generate(into output: UnsafeMutableRawBufferPointer, atByteOffset offset: UInt64) {
        precondition(offset % UInt64(Self.blockLength) == 0, "the stream is seekable by block")
        var counter = start &+ step &* (offset / 8)
        var place = 0
        while place + 8 <= output.count {
            output.storeBytes(of: toyMix(counter).littleEndian, toByteOffset: place, as: UInt64.self)
            counter &+= step
            place += 8
        }
        withUnsafeBytes(of: toyMix(counter).littleEndian) { last in
            for index in place..<output.count { output[index] = last[index - place] }
        }
    }
}
