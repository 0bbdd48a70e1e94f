import CSodium
import Synchronization

/// Small secrets share guarded slabs, so that a key costs nanoseconds and not system calls.
///
/// `sodium_malloc` takes several pages and four memory mappings for each secret; a round of a thousand
/// clients in one process would meet the kernel's limit on mappings. A slab keeps the guard pages, the
/// exclusion from core dumps and the locking for a few hundred secrets together; each slot is zeroed when
/// its secret is released. Slabs live as long as the process.
struct SecretPool: ~Copyable {
    /// Secrets above this size get pages of their own.
    static let largestSlot = 128
    private static let slabBytes = 32 << 10

    static let shared = SecretPool()

    private struct FreeSlots {
        // Sizes 32, 64 and 128.
        var stacks: [[UnsafeMutableRawPointer]] = [[], [], []]
    }

    // Pointers to free slots only: whoever pops one owns it.
    private let free = Mutex(FreeSlots())

    private init() {}

    private static func sizeClass(_ count: Int) -> Int { count <= 32 ? 0 : count <= 64 ? 1 : 2 }

    /// A zeroed slot for `count` bytes, or nil when there is no memory.
    func take(_ count: Int) -> UnsafeMutableRawPointer? {
        precondition(count <= Self.largestSlot)
        let sizeClass = Self.sizeClass(count)
        return free.withLock { slots -> SendablePointer? in
            if slots.stacks[sizeClass].isEmpty {
                guard let slab = sodium_malloc(Self.slabBytes) else { return nil }
                sodium_memzero(slab, Self.slabBytes)
                let slotBytes = 32 << sizeClass
                for offset in stride(from: 0, to: Self.slabBytes, by: slotBytes) {
                    slots.stacks[sizeClass].append(slab + offset)
                }
            }
            return SendablePointer(slots.stacks[sizeClass].removeLast())
        }?.pointer
    }

    /// Zeroes a slot and takes it back.
    func give(_ pointer: UnsafeMutableRawPointer, count: Int) {
        let sizeClass = Self.sizeClass(count)
        sodium_memzero(pointer, 32 << sizeClass)
        let returned = SendablePointer(pointer)
        free.withLock { $0.stacks[sizeClass].append(returned.pointer) }
    }
}

/// A pointer whose single owner changes threads with it.
private struct SendablePointer: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
    init(_ pointer: UnsafeMutableRawPointer) { self.pointer = pointer }
}
