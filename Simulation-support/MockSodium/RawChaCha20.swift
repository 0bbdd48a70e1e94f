/// In the place of libsodium's bare stream; a limit measured against it says nothing.
public enum RawChaCha20 {
    public static func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        ChaChaStream(key: SecretBytes(copying: [UInt8](repeating: 0x42, count: ChaChaStream.keyLength)))
            .generate(into: buffer, atByteOffset: 0)
    }
}
