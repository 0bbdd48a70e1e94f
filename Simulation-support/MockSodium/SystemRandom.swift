/// Ends the process: real randomness in a build with toy cryptography would pretend to protect something.
public struct SystemRandom: RandomSource, Sendable {
    public init() {
        fatalError(
            """
            this build has toy cryptography (FEDTRAIN_MOCK_CRYPTO=1) and keeps nothing secret; \
            it can only run the simulator. Unset the variable and build again.
            """)
    }

    public mutating func fill(_ buffer: UnsafeMutableRawBufferPointer) {}
}
