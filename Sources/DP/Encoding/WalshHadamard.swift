import CVector

/// The unnormalised Walsh–Hadamard transform, in place: one loop in the processor's best instructions.
package enum WalshHadamard {
    /// The processor's sets of instructions, from the plain one, which every processor has, to its best.
    package static let levels = Array(0...Int(vector_level_max()))

    package static func name(ofLevel level: Int) -> String {
        String(cString: vector_loops_for(Int32(level)).pointee.name)
    }

    nonisolated(unsafe) private static let loops = levels.map { vector_loops_for(Int32($0)) }

    /// Replaces x by after·H·(before·x), H the ±1 Hadamard matrix in natural order; H·H = count·I.
    ///
    /// `count` is a power of two; nil factors are ones. Sums and differences come in one order on every
    /// processor, so results are the same bits everywhere. Cost: count·log2(count) additions.
    static func transform(
        _ x: UnsafeMutablePointer<Float>, before: UnsafePointer<Float>? = nil,
        after: UnsafePointer<Float>? = nil, count: Int, level: Int
    ) {
        precondition(count > 0 && count & (count - 1) == 0, "the length must be a power of two")
        loops[level].pointee.hadamard(x, before, after, count)
    }
}
