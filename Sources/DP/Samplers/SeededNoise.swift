import Sodium

/// Noise that a seed determines, coordinate by coordinate: whoever learns the seed can compute any
/// part of it again, bit for bit.
///
/// Coordinate j uses the 64-bit word j of the seed's ChaCha20 stream. Should that word tie in the table,
/// a stream of the coordinate's own decides, so that every other coordinate keeps its place.
public struct SeededNoise: Sendable {
    private let sampler: TableSampler
    private let key: SecretBytes

    /// - Parameters:
    ///   - seed: 31 secret bytes, used for one vector of noise and nothing else.
    ///   - label: tells apart what several seeds of one client are for.
    public init(sampler: TableSampler, seed: SecretBytes, label: String) {
        self.sampler = sampler
        key = KeyDerivation.hkdf(salt: [], inputKey: seed, info: Array("dp/v1/noise/\(label)".utf8))
    }

    /// target[j] ± noise[`start` + j] for every j, modulo 2^32.
    ///
    /// - Parameter start: the coordinate of `target`'s first element, a multiple of 8.
    public func add(to target: UnsafeMutableBufferPointer<Int32>, startingAt start: Int = 0) {
        forEach(target, start) { $0 &+ $1 }
    }

    public func subtract(from target: UnsafeMutableBufferPointer<Int32>, startingAt start: Int = 0) {
        forEach(target, start) { $0 &- $1 }
    }

    private static let wordsPerChunk = 2048

    @inline(__always)
    private func forEach(
        _ target: UnsafeMutableBufferPointer<Int32>, _ start: Int, _ combine: (Int32, Int32) -> Int32
    ) {
        precondition(start >= 0 && start % 8 == 0, "the stream is seekable by blocks of eight words")
        let stream = ChaChaStream(key: key)
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Self.wordsPerChunk) { words in
            defer { wipe(UnsafeMutableRawBufferPointer(words)) }
            var done = 0
            while done < target.count {
                let count = min(Self.wordsPerChunk, target.count - done)
                let first = start + done
                stream.generate(
                    into: UnsafeMutableRawBufferPointer(
                        UnsafeMutableBufferPointer(rebasing: words[..<count])),
                    atByteOffset: 8 * UInt64(first))
                for index in 0..<count {
                    let word = UInt64(littleEndian: words[index])
                    let sample = sampler.sample(word) ?? settle(word, coordinate: first + index)
                    target[done + index] = combine(target[done + index], sample)
                }
                done += count
            }
        }
    }

    @inline(never)
    private func settle(_ word: UInt64, coordinate: Int) -> Int32 {
        let info = Array("dp/v1/noise-tie".utf8) + littleEndianBytes(UInt64(coordinate))
        let random = StreamRandom(key: KeyDerivation.hkdf(salt: [], inputKey: key, info: info))
        return sampler.refined(word) { random.nextUInt64() }
    }
}
