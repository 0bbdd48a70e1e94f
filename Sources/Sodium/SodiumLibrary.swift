import CSodium

/// Starts libsodium exactly once per process, before the first call into it.
///
/// Every public entry of this target passes through `ensureReady()`; a library that
/// cannot start (no entropy source) leaves nothing that would be safe to do, so that is fatal.
enum SodiumLibrary {
    private static let started: Bool = {
        precondition(sodium_init() >= 0, "libsodium could not be initialised")
        return true
    }()

    @inline(__always)
    static func ensureReady() {
        _ = started
    }
}
