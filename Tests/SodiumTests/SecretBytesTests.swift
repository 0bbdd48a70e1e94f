import Sodium
import Testing

@Suite struct SecretBytesTests {
    @Test("A secret never prints its bytes")
    func redacted() {
        let secret = SecretBytes(copying: Array("do not print".utf8))
        #expect("\(secret)" == "<redacted>")
        #expect(String(reflecting: secret) == "<redacted>")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!dumped.contains("100"))
        #expect(Mirror(reflecting: secret).children.isEmpty)
    }

    @Test(
        "A released slot comes back zeroed, so no secret reaches the next one",
        arguments: [1, 31, 32, 64, 128, 500])
    func zeroed(count: Int) {
        for _ in 0..<2000 {
            var fresh = true
            let secret = SecretBytes(count: count) { buffer in
                fresh = buffer.allSatisfy { $0 == 0 }
                for index in buffer.indices { buffer[index] = 0xa5 }
            }
            #expect(fresh)
            _ = secret
        }
    }

    @Test("Secrets that are alive together never share memory")
    func distinct() {
        let secrets = (0..<5000).map { value in
            SecretBytes(copying: littleEndianBytes(UInt64(value)) + [UInt8](repeating: 1, count: 23))
        }
        for (value, secret) in secrets.enumerated() {
            #expect(secret.withUnsafeBytes { Array($0.prefix(8)) } == littleEndianBytes(UInt64(value)))
        }
    }

    @Test("Comparison tells equal from unequal and looks at every byte")
    func comparison() {
        let bytes = [UInt8](0..<31)
        let reference = SecretBytes(copying: bytes)
        #expect(reference == SecretBytes(copying: bytes))
        for index in bytes.indices {
            var other = bytes
            other[index] ^= 0x80
            #expect(!(reference == SecretBytes(copying: other)))
        }
        #expect(!(reference == SecretBytes(copying: bytes + [0])))
    }
}

@Suite struct StreamTests {
    @Test("Any block of a stream equals the same place of the whole")
    func seek() {
        let stream = ChaChaStream(key: SecretBytes(copying: [UInt8](0..<32)))
        var whole = [UInt8](repeating: 0, count: 4096)
        whole.withUnsafeMutableBytes { stream.generate(into: $0, atByteOffset: 0) }
        for block in [0, 1, 7, 31, 63] {
            for count in [1, 63, 64, 65] where block * 64 + count <= 4096 {
                var part = [UInt8](repeating: 0xff, count: count)
                part.withUnsafeMutableBytes { stream.generate(into: $0, atByteOffset: UInt64(block * 64)) }
                #expect(part == Array(whole[block * 64..<block * 64 + count]))
            }
        }
    }

    @Test("Rejection keeps a bounded draw uniform: exact counts over a whole byte-sized source")
    func uniform() {
        // 3 does not divide 2^64; the one rejected word is the largest.
        struct Fixed: RandomSource {
            var words: [UInt64]
            mutating func fill(_ buffer: UnsafeMutableRawBufferPointer) {
                buffer.copyBytes(from: littleEndianBytes(words.removeFirst()))
            }
        }
        var source = Fixed(words: [.max, 5])
        #expect(source.uniform(below: 3) == 2)
        var edge = Fixed(words: [.max - 1])
        #expect(edge.uniform(below: 3) == 2)
        var power = Fixed(words: [.max])
        #expect(power.uniform(below: 16) == 15)
    }
}
