/// Where random bits come from. Everything below the command line takes it as an argument,
/// so that a whole federation can be replayed from one seed.
public protocol RandomSource {
    /// Overwrites `buffer` with random bytes.
    mutating func fill(_ buffer: UnsafeMutableRawBufferPointer)
}

extension RandomSource {
    public mutating func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialised in
            fill(UnsafeMutableRawBufferPointer(buffer))
            initialised = count
        }
    }

    public mutating func nextUInt64() -> UInt64 {
        var word: UInt64 = 0
        withUnsafeMutableBytes(of: &word) { fill($0) }
        return UInt64(littleEndian: word)
    }

    /// A uniform integer below `bound`, by rejection, so that no value is favoured.
    public mutating func uniform(below bound: UInt64) -> UInt64 {
        precondition(bound > 0)
        let limit = UInt64.max - (UInt64.max % bound + 1) % bound
        while true {
            let word = nextUInt64()
            if word <= limit { return word % bound }
        }
    }
}

/// A buffered ChaCha20 stream under one key: fast, and the same bytes for the same key.
///
/// With a key from `SystemRandom` this is the generator for bulk draws (noise, rounding);
/// with a key derived from a printed seed it makes simulations replayable. The buffer is wiped
/// as it is handed out.
public final class StreamRandom: RandomSource {
    private var stream: ChaChaStream
    private var position: UInt64 = 0
    private var buffer: [UInt8]
    private var available = 0

    public init(key: SecretBytes) {
        self.stream = ChaChaStream(key: key)
        self.buffer = [UInt8](repeating: 0, count: 1 << 14)
    }

    public convenience init(keyedBy source: inout some RandomSource) {
        self.init(key: SecretBytes(random: ChaChaStream.keyLength, from: &source))
    }

    /// A replayable generator for simulations and tests: not secret, the seed is printed.
    public convenience init(seed: UInt64, label: String) {
        let digest = Digest.labelled(label, [littleEndianBytes(seed)])
        self.init(key: SecretBytes(copying: digest.bytes))
    }

    deinit {
        wipe(&buffer)
    }

    public func fill(_ output: UnsafeMutableRawBufferPointer) {
        var written = 0
        while written < output.count {
            if available == 0 { refill() }
            let count = min(available, output.count - written)
            buffer.withUnsafeMutableBytes { bytes in
                let start = bytes.count - available
                let slice = UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + count])
                output.baseAddress!.advanced(by: written).copyMemory(
                    from: slice.baseAddress!, byteCount: count)
                slice.initializeMemory(as: UInt8.self, repeating: 0)
            }
            available -= count
            written += count
        }
    }

    public func nextUInt64() -> UInt64 {
        if available < 8 { refill() }
        let start = buffer.count - available
        available -= 8
        return buffer.withUnsafeMutableBytes { bytes in
            let word = bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)
            bytes.storeBytes(of: 0, toByteOffset: start, as: UInt64.self)
            return UInt64(littleEndian: word)
        }
    }

    private func refill() {
        buffer.withUnsafeMutableBytes { stream.generate(into: $0, atByteOffset: position) }
        position += UInt64(buffer.count)
        available = buffer.count
    }
}

/// The eight bytes of `value`, least significant first.
public func littleEndianBytes(_ value: UInt64) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

/// The four bytes of `value`, least significant first.
public func littleEndianBytes(_ value: UInt32) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}
