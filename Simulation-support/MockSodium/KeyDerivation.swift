/// In the place of HKDF.
public enum KeyDerivation {
    public static func hkdf(
        salt: [UInt8], inputKey: SecretBytes, info: [UInt8], count: Int = 32
    ) -> SecretBytes {
        precondition((1...255 * 32).contains(count))
        return SecretBytes(count: count) { output in
            for start in stride(from: 0, to: count, by: 32) {
                var hash = ToyHash(domain: 2)
                hash.update(UInt64(start))
                hash.update(UInt64(salt.count))
                hash.update(salt)
                inputKey.withUnsafeBytes { hash.update($0) }
                hash.update(UInt64(inputKey.count))
                hash.update(info)
                let block = hash.finishBytes()
                for index in 0..<min(32, count - start) { output[start + index] = block[index] }
            }
        }
    }
}
