import CSodium

/// Bytes that must not outlive their use: guarded and locked memory, wiped when released.
///
/// The storage comes from `sodium_malloc` (guard pages, excluded from core dumps, locked where
/// the system's limit allows), small secrets sharing slabs of it, and is zeroed on release. Copies of the value share the storage,
/// so the bytes exist once. Not covered: copies that a caller makes of the bytes it borrows.
public final class SecretBytes: @unchecked Sendable {
    // Written only during initialisation, before the reference is shared.
    private let storage: UnsafeMutableRawPointer
    public let count: Int

    /// Creates `count` bytes and lets `fill` write all of them.
    public init(count: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
        precondition(count > 0, "a secret has at least one byte")
        SodiumLibrary.ensureReady()
        let isSmall = count <= SecretPool.largestSlot
        guard let pointer = isSmall ? SecretPool.shared.take(count) : sodium_malloc(count) else {
            preconditionFailure("no memory for a secret of \(count) bytes")
        }
        self.storage = pointer
        self.count = count
        if !isSmall { sodium_memzero(pointer, count) }
        do {
            try fill(UnsafeMutableRawBufferPointer(start: pointer, count: count))
        } catch {
            // All stored properties are set, so deinit wipes and frees the storage.
            throw error
        }
    }

    /// Draws `count` uniformly random bytes.
    public convenience init(random count: Int, from source: inout some RandomSource) {
        self.init(count: count) { source.fill($0) }
    }

    /// Takes over public-looking bytes; the caller remains responsible for wiping its own copy.
    public convenience init(copying bytes: some Collection<UInt8>) {
        self.init(count: bytes.count) { $0.copyBytes(from: bytes) }
    }

    deinit {
        if count <= SecretPool.largestSlot {
            SecretPool.shared.give(storage, count: count)
        } else {
            sodium_free(storage)
        }
    }

    /// Lends the bytes for the duration of `body`.
    public func withUnsafeBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        try body(UnsafeRawBufferPointer(start: storage, count: count))
    }

    /// Constant-time comparison.
    public static func == (left: SecretBytes, right: SecretBytes) -> Bool {
        left.count == right.count && sodium_memcmp(left.storage, right.storage, left.count) == 0
    }
}

extension SecretBytes: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "<redacted>" }
    public var debugDescription: String { "<redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Zeroes memory in a way the compiler may not remove.
public func wipe(_ buffer: UnsafeMutableRawBufferPointer) {
    guard let base = buffer.baseAddress else { return }
    sodium_memzero(base, buffer.count)
}

/// Zeroes an array's elements in place; call it on the only reference, or a copy survives.
public func wipe<Element: BitwiseCopyable>(_ array: inout [Element]) {
    array.withUnsafeMutableBytes { wipe($0) }
}

/// Compares two byte strings of equal length in constant time.
public func constantTimeEqual(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
}
